# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central's timers brought into the buckets, and its locks: told by boto3, ssh-keygen, tar and sha256sum."""

from __future__ import annotations

import configparser
import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

    Rows = Callable[[Host, str, str], list[dict[str, Any]]]
    WaitFor = Callable[[str, Callable[[], object], float], Any]

STATE = Path(__file__).resolve().parents[3] / ".cache/molecule"
HOT, COLD = "larapee-hot", "larapee-cold"
LOCK_DAYS = 90


def client(identity: str) -> Any:
    parser = configparser.ConfigParser()
    parser.read(STATE / f"s3/{identity}.ini")
    hosts = yaml.safe_load((STATE / "inventory.yml").read_text())["all"]["children"]["storage"]["hosts"]
    return boto3.session.Session(**credentials(parser["s3"]), region_name="us-east-1").client(
        "s3", endpoint_url=f"https://{hosts['storage-001']['ansible_host']}:8333", verify=str(STATE / "s3/ca.pem")
    )


def credentials(section: configparser.SectionProxy) -> dict[str, str]:
    return {"aws_access_key_id": section["access_key"], "aws_secret_access_key": section["secret_key"]}


def versions(bucket: str, code: str) -> list[dict[str, Any]]:
    pages = client("restorer").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"estate/{code}/")
    return [each for page in pages for each in page.get("Versions", ())]


def names(bucket: str, code: str) -> set[str]:
    return {each["Key"].split("/")[-1] for each in versions(bucket, code)}


def download(bucket: str, code: str, directory: Path) -> Path:
    restorer = client("restorer")
    for each in versions(bucket, code):
        path = directory / each["Key"].split("/")[-1]
        restorer.download_file(bucket, each["Key"], str(path), ExtraArgs={"VersionId": each["VersionId"]})
    return directory


def require_whole(directory: Path, code: str, signers: Path) -> set[str]:
    """The kinds of what is there, each signed by the branch and with the bytes that were signed."""
    kinds = set()
    for manifest in directory.glob("*.manifest.json"):
        argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", code, "-n", "larapee-backup"]
        with manifest.open("rb") as signed:
            subprocess.run([*argv, "-s", f"{manifest}.sig"], stdin=signed, check=True, capture_output=True)
        document = json.loads(manifest.read_text())
        sums = f"{document['sha256']}  {document['artifact']}\n"
        subprocess.run(["sha256sum", "--check", "--quiet"], cwd=directory, input=sums, text=True, check=True)
        kinds.add(document["kind"])
    return kinds


@pytest.fixture
def signers(central: Host, tmp_path: Path) -> Path:
    path = tmp_path / "allowed_signers"
    path.write_text(central.file("/etc/larapee-backup/allowed_signers").content_string)
    return path


def test_the_hot_bucket_has_what_central_has(code: str, signers: Path, tmp_path: Path, wait_for: WaitFor) -> None:
    def full() -> bool:
        return any(".sql." in name and name.endswith(".manifest.json") for name in names(HOT, code))

    wait_for(f"a full of {code} in the hot bucket", full, 300)
    (tmp_path / "hot").mkdir()
    assert "db_full" in require_whole(download(HOT, code, tmp_path / "hot"), code, signers)


def test_the_archive_has_fulls_and_bundles_and_each_version_is_locked(
    code: str, signers: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    def bundle() -> bool:
        return any(name.startswith("increments-") and name.endswith(".tar") for name in names(COLD, code))

    wait_for(f"increments of {code} in the archive", bundle, 400)
    there = versions(COLD, code)
    restorer = client("restorer")
    least = dt.datetime.now(dt.UTC) + dt.timedelta(days=LOCK_DAYS) - dt.timedelta(hours=2)
    administrator = client("administrator")
    for each in there:
        where = {"Bucket": COLD, "Key": each["Key"], "VersionId": each["VersionId"]}
        retention = restorer.get_object_retention(**where)["Retention"]
        assert (retention["Mode"], retention["RetainUntilDate"] > least) == ("COMPLIANCE", True), each["Key"]
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        administrator.delete_object(**where, BypassGovernanceRetention=True)
    (tmp_path / "cold").mkdir()
    place = download(COLD, code, tmp_path / "cold")
    for tar in place.glob("increments-*.tar"):
        subprocess.run(["tar", "-xf", tar], cwd=place, check=True)
    assert {"db_full", "db_increment", "files_full", "config"} <= require_whole(place, code, signers)


@pytest.mark.parametrize("place", ["hot", "cold"])
def test_a_timer_verified_the_place(central: Host, code: str, place: str, rows: Rows, wait_for: WaitFor) -> None:
    def verified() -> list[dict[str, Any]]:
        mine = [row for row in rows(central, "verify", code) if json.loads(row["details"]).get("place") == place]
        return [row for row in mine if row["status"] == "success" and row["launcher"] == "timer"]

    (row, *_others) = wait_for(f"a successful verification of {code} in the {place} place", verified, 500)
    details = json.loads(row["details"])
    assert details["levels"]["intact"]["OK"] > 0
    assert ("locked_until" in details) == (place == "cold")


def test_the_restorers_key_is_not_on_central(central: Host) -> None:
    assert set(central.run("ls /etc/larapee-backup/s3").stdout.split()) >= {"writer.ini", "auditor.ini", "pruner.ini"}
    for name in ("restorer", "administrator"):
        parser = configparser.ConfigParser()
        parser.read(STATE / f"s3/{name}.ini")
        found = central.run("grep -rlF %s /etc /root /srv/backups /var/lib", parser["s3"]["secret_key"])
        assert found.stdout == ""

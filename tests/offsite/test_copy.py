# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real artifacts of a branch, from central's directory into real buckets."""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _offsite
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central, defects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._catalog import Entry
    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed
    from tests.retention.branch import Branch

CODE = CODES[0]


def copied(
    central: Central, store: Store, target: str = "hot", *, check_mode: bool = False, **changes: Any
) -> _offsite.OffsiteOutcome:
    request = _offsite.OffsiteRequest(
        **central.common(CODE, central_path=str(central.path), target=target, **changes),
    )
    # The storage has a clock of its own, and locks nothing in the past.
    return _offsite.copy_offsite(store, request, check_mode=check_mode)


def entries(branch: Branch) -> Sequence[Entry]:
    return _catalog.read_catalogue(str(branch.directory)).entries


def download(store: Store, directory: Path) -> Path:
    directory.mkdir()
    for version in store.list(f"{CODE}/"):
        with store.open(version) as stream:
            (directory / version.key.split("/")[1]).write_bytes(stream.read())
    return directory


def test_the_hot_place_gets_all_of_it_once(
    central: Central, bucket: str, opened: Callable[..., Store], tmp_path: Path
) -> None:
    branch = central.branch(CODE, runs=2)
    branch.run("log")
    store = opened(f"s3://{bucket}/branches")
    previewed = copied(central, store, check_mode=True)
    assert list(store.list(f"{CODE}/")) == []
    outcome = copied(central, store)
    assert outcome.sent == previewed.sent
    assert len(outcome.sent) == 8
    assert outcome.recovery_point is not None
    assert "error" not in outcome.report()
    again = copied(central, store)
    assert (again.sent, again.present, again.recovery_point) == ([], 8, outcome.recovery_point)
    (central.state / "offsite" / f"hot-{CODE}.json").unlink()
    assert (copied(central, store).sent, len(store.list(f"{CODE}/"))) == ([], len(store.list(f"{CODE}/")))
    there = download(store, tmp_path / "there")
    (there / "SHA256SUMS").write_bytes((branch.directory / "SHA256SUMS").read_bytes())
    assert defects(there, central.keys, tmp_path, CODE) == []


def test_what_is_damaged_at_central_is_not_stored_as_good(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=2)
    damaged = branch.damage(1)
    store = opened(f"s3://{bucket}")
    outcome = copied(central, store)
    assert outcome.report()["details"]["reason"] == "not_copied"
    assert len(outcome.left_out) >= 1, damaged
    keys = {version.key for version in store.list(f"{CODE}/")}
    for name in outcome.left_out:
        assert not any(key.startswith(f"{CODE}/{name}.manifest.json") for key in keys)


def test_the_cold_place_gets_fulls_and_one_bundle_all_locked(
    central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Store], tmp_path: Path
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    outcome = copied(central, store, "cold", lock_days=120)
    kinds = sorted(each["name"].split("-")[0] for each in outcome.sent)
    assert kinds == ["config", "db", "increments", "public"]
    assert outcome.recovery_point == copied(central, opened(str(tmp_path / "hot"))).recovery_point
    client = seaweed.client()
    due = dt.datetime.now(dt.UTC) + dt.timedelta(days=120)
    versions = client.list_object_versions(Bucket=locked)["Versions"]
    assert len(versions) > 8
    for each in versions:
        where = {"Bucket": locked, "Key": each["Key"], "VersionId": each["VersionId"]}
        retention = client.get_object_retention(**where)["Retention"]
        assert retention["Mode"] == "COMPLIANCE"
        assert abs(retention["RetainUntilDate"] - due) < dt.timedelta(minutes=5)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied|Forbidden|locked|WORM"):
            client.delete_object(**where, BypassGovernanceRetention=True)
    bundle = next(each["Key"] for each in versions if each["Key"].endswith(".tar"))
    (tmp_path / "out").mkdir()
    content = client.get_object(Bucket=locked, Key=bundle)["Body"].read()
    subprocess.run(["tar", "-C", str(tmp_path / "out"), "-xf", "-"], input=content, check=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = set(tar.getnames())
    assert {f"{name}.manifest.json" for name in names if name.endswith(".age") and ".index." not in name} <= names
    assert copied(central, store, "cold", lock_days=120).sent == []


def test_a_base_keeps_up_with_a_default_that_is_longer_than_what_is_asked_for(
    central: Central, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    seaweed.bucket("longer", locked=True, days=200)
    branch = central.branch(CODE, runs=1)
    store = opened("s3://longer")
    copied(central, store, "cold")
    branch.run("log")
    # The default counts from the moment at which each object is stored.
    time.sleep(4)
    copied(central, store, "cold")
    locks = {version.key.split("/")[1]: store.locked_until(version) for version in store.list(f"{CODE}/")}
    (bundle,) = (name for name in locks if name.startswith("increments-") and name.endswith(".tar"))
    (full,) = (name for name in locks if name.startswith("db-") and name.endswith(".gz.age"))
    of_full, of_bundle = locks[full], locks[bundle]
    assert of_full is not None
    assert of_bundle is not None
    assert of_full >= of_bundle - dt.timedelta(seconds=2)


def test_a_base_is_locked_as_long_as_what_stands_on_it(
    central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold", lock_days=90)
    branch.run("log")
    copied(central, store, "cold", lock_days=200)
    client = seaweed.client()
    due = dt.datetime.now(dt.UTC) + dt.timedelta(days=199)
    locked_long = {
        each["Key"]
        for each in client.list_object_versions(Bucket=locked)["Versions"]
        if client.get_object_retention(Bucket=locked, Key=each["Key"], VersionId=each["VersionId"])["Retention"][
            "RetainUntilDate"
        ]
        > due
    }
    assert any("/db-" in key for key in locked_long)
    assert any("/public-uploads-" in key for key in locked_long)
    assert not any("/config-" in key for key in locked_long)


def test_a_bucket_that_cannot_lock_is_refused(central: Central, bucket: str, opened: Callable[..., Store]) -> None:
    central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    with pytest.raises(BackupError, match="no Object Lock") as caught:
        copied(central, store, "cold")
    assert caught.value.reason == "no_object_lock"
    assert list(store.list(f"{CODE}/")) == []


@pytest.mark.parametrize("days", [0, 89, 366])
def test_a_lock_outside_the_plan_is_refused(
    central: Central, locked: str, opened: Callable[..., Store], days: int
) -> None:
    central.branch(CODE, runs=1)
    with pytest.raises(BackupError, match="90 to 365"):
        copied(central, opened(f"s3://{locked}"), "cold", lock_days=days)


def test_a_directory_as_archive_is_accepted_by_name_only(
    central: Central, opened: Callable[..., Store], tmp_path: Path
) -> None:
    central.branch(CODE, runs=1)
    store = opened(str(tmp_path / "place"))
    with pytest.raises(BackupError, match="a directory cannot do that"):
        copied(central, store, "cold")
    assert len(copied(central, store, "cold", unlocked=True).sent) == 3


class Liar:
    """A storage that takes every lock and keeps none, as one does that echoes what it was sent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def locked_until(self, version: Any) -> None:
        return None


def test_a_lock_that_is_not_there_when_read_back_fails_the_run(
    central: Central, locked: str, opened: Callable[..., Store]
) -> None:
    central.branch(CODE, runs=1)
    store: Any = Liar(opened(f"s3://{locked}"))
    with pytest.raises(BackupError, match="says nothing of it when asked") as caught:
        copied(central, store, "cold")
    assert caught.value.reason == "not_locked"

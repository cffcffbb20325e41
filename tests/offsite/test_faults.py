# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage that is busy, cut off or of another time, a process killed while it sends, and memory that is lost."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING, Any

import botocore.auth
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _bundle, _lease
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store._base import digest_of
from ansible_collections.larapee.backup.plugins.module_utils._store._uploads import PART_SIZE, part_size
from tests.central.central import CODES, Central
from tests.offsite.door import UNLIMITED, Door, door
from tests.offsite.test_copy import copied, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store, Version
    from tests.offsite.seaweed import Seaweed

CODE = CODES[0]
KEY = f"{CODE}/db-20261122-0300.sql.gz.age"
PARTS = 6


@pytest.fixture
def way(seaweed: Seaweed) -> Iterator[Door]:
    with door(seaweed) as made:
        yield made


@pytest.fixture
def large(tmp_path: Path) -> dict[str, Any]:
    """A file of six parts, all of them different."""
    content = b"".join(bytes([number]) * PART_SIZE for number in range(PARTS))
    (tmp_path / "large").write_bytes(content)
    return {"path": str(tmp_path / "large"), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def forget(central: Central, target: str) -> None:
    (central.state / "offsite" / f"{target}-{CODE}.json").unlink()


def test_a_busy_storage_is_asked_again(way: Door, central: Central, bucket: str, opened: Callable[..., Store]) -> None:
    central.branch(CODE, runs=1)
    way.busy = 2
    assert len(copied(central, opened(f"s3://{bucket}", endpoint=way.endpoint)).sent) == 3
    assert way.busy == 0


def test_a_storage_that_stays_busy_fails_the_run_and_the_next_goes_on(
    way: Door, central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    central.branch(CODE, runs=1)
    way.busy = 1000
    with pytest.raises(BackupError, match="Check the storage and the way to it") as caught:
        copied(central, opened(f"s3://{bucket}", endpoint=way.endpoint))
    assert caught.value.reason == "store_failed"
    way.busy = 0
    assert len(copied(central, opened(f"s3://{bucket}", endpoint=way.endpoint)).sent) == 3


def test_an_upload_that_was_cut_off_goes_on(
    way: Door, bucket: str, opened: Callable[..., Store], tmp_path: Path, large: dict[str, Any]
) -> None:
    uploads = tmp_path / "uploads.json"
    way.let_pass(4 * PART_SIZE + PART_SIZE // 2)
    with pytest.raises(BackupError, match="Check the storage and the way to it") as caught:
        opened(f"s3://{bucket}", endpoint=way.endpoint, uploads_path=str(uploads)).put(KEY, **large)
    assert caught.value.reason == "store_failed"
    assert list(opened(f"s3://{bucket}").list(f"{CODE}/")) == []
    way.let_pass(UNLIMITED)
    store = opened(f"s3://{bucket}", endpoint=way.endpoint, uploads_path=str(uploads))
    assert digest_of(store, store.put(KEY, **large)) == large["sha256"]
    assert way.passed < 5 * PART_SIZE
    assert json.loads(uploads.read_text()) == {}


def test_an_upload_whose_process_was_killed_goes_on(
    way: Door, seaweed: Seaweed, bucket: str, opened: Callable[..., Store], tmp_path: Path, large: dict[str, Any]
) -> None:
    opened(f"s3://{bucket}")  # writes the credentials
    uploads = tmp_path / "uploads.json"
    program = (
        "import json, sys\n"
        "from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import open_bucket\n"
        f"store = open_bucket('s3://{bucket}', endpoint='{way.endpoint}', "
        f"credentials_file='{tmp_path}/adminkey.ini', region='us-east-1', ca_file='{seaweed.certificate}', "
        f"allow_plain=False, uploads_path='{uploads}')\n"
        f"store.put('{KEY}', **json.loads(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program, json.dumps(large)], env=environment) as process:
        deadline = time.monotonic() + 60
        while way.passed < 2 * PART_SIZE and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert way.passed >= 2 * PART_SIZE
    assert process.returncode == -signal.SIGKILL
    store = opened(f"s3://{bucket}", uploads_path=str(uploads))
    assert digest_of(store, store.put(KEY, **large)) == large["sha256"]
    assert "Uploads" not in seaweed.client().list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("fault", ["aborted", "another part"])
def test_an_upload_that_somebody_meddled_with_ends_right(
    way: Door,
    seaweed: Seaweed,
    bucket: str,
    opened: Callable[..., Store],
    tmp_path: Path,
    large: dict[str, Any],
    fault: str,
) -> None:
    uploads = tmp_path / "uploads.json"
    # The fifth part is only sent when the first was answered.
    way.let_pass(5 * PART_SIZE + PART_SIZE // 2)
    with pytest.raises(BackupError):
        opened(f"s3://{bucket}", endpoint=way.endpoint, uploads_path=str(uploads)).put(KEY, **large)
    where = {"Bucket": bucket, "Key": KEY, "UploadId": json.loads(uploads.read_text())[KEY]["id"]}
    if fault == "aborted":
        seaweed.client().abort_multipart_upload(**where)
    else:
        part = b"x" * PART_SIZE
        # Named as an algorithm it would go in a trailer, which Ceph refuses.
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        seaweed.client().upload_part(**where, PartNumber=1, Body=part, ChecksumSHA256=checksum)
    store = opened(f"s3://{bucket}", uploads_path=str(uploads))
    assert digest_of(store, store.put(KEY, **large)) == large["sha256"]


def test_no_object_needs_more_parts_than_s3_takes() -> None:
    for size in (PART_SIZE, 10_000 * PART_SIZE, 10_000 * PART_SIZE + 1, 5 << 40):
        assert -(-size // part_size(size)) <= 10_000


def test_a_clock_that_differs_is_said(
    central: Central, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    central.branch(CODE, runs=1)
    wrong = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_arguments, **_more: wrong.replace(tzinfo=None))
    with pytest.raises(BackupError, match="Set both by NTP") as caught:
        copied(central, opened(f"s3://{bucket}"))
    assert caught.value.reason == "clock_skew"


def test_a_bucket_without_versions_is_refused(
    central: Central, bucket: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    central.branch(CODE, runs=1)
    seaweed.client().create_bucket(Bucket=f"{bucket}-of-one-version")
    with pytest.raises(BackupError, match="the bucket keeps no versions") as caught:
        copied(central, opened(f"s3://{bucket}-of-one-version"))
    assert caught.value.reason == "no_versions"
    assert list(opened(f"s3://{bucket}-of-one-version").list(f"{CODE}/")) == []


def test_metadata_is_not_believed_when_memory_is_lost(
    central: Central, bucket: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    """A thief of the writer's key was there first, with garbage of the right name, size and metadata."""
    central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    for each in copied(central, store, check_mode=True).sent:
        seaweed.client().put_object(
            Bucket=bucket,
            Key=f"{CODE}/{each['name']}",
            Body=bytes(each["size"]),
            Metadata={"larapee-sha256": each["sha256"]},
        )
    sent = copied(central, store).sent
    assert len(sent) == 3
    for each in sent:
        digests = [
            digest_of(store, version) for version in store.list(f"{CODE}/{each['name']}") if ".age" in version.key
        ]
        assert each["sha256"] in digests


def forged(names: list[tuple[str, str]], *, of: bytes) -> dict[str, bytes]:
    """A bundle and its list, which agree with each other and with the names at central."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, _sha256 in names:
            member = tarfile.TarInfo(name)
            member.size = len(of)
            tar.addfile(member, io.BytesIO(of))
    content = raw.getvalue()
    name = "increments-20261122-0100.tar"
    listed = {
        "schema": 1,
        "artifact": name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "artifacts": [{"name": each, "sha256": sha256} for each, sha256 in names],
    }
    return {name: content, name + _bundle.CONTENTS_SUFFIX: json.dumps(listed).encode()}


@pytest.mark.parametrize("kind", ["agreeing", "no tar"])
def test_a_bundle_that_central_did_not_store_is_believed_by_its_bytes_only(
    central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Store], kind: str
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    names = [(each.name, each.manifest.sha256) for each in entries(branch) if each.manifest.kind.endswith("_increment")]
    assert names
    for name, content in forged(names, of=b"garbage").items():
        body = content if kind == "agreeing" else bytes(len(content))
        seaweed.client().put_object(Bucket=locked, Key=f"{CODE}/{name}", Body=body)
    assert any(each["name"].startswith("increments-") for each in copied(central, store, "cold").sent)
    assert copied(central, store, "cold").sent == []
    forget(central, "cold")
    assert copied(central, store, "cold").sent == []


def test_one_rotten_increment_is_left_out_of_the_bundle_alone(
    central: Central, locked: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    increments = [each for each in entries(branch) if each.manifest.kind.endswith("_increment")]
    rotten, *whole = increments
    assert whole
    with open(rotten.path, "r+b") as handle:
        handle.truncate(rotten.manifest.size - 1)
    store = opened(f"s3://{locked}")
    outcome = copied(central, store, "cold")
    assert set(outcome.left_out) == {rotten.name}
    (name,) = (each["name"] for each in outcome.sent if each["name"].startswith("increments-"))
    with store.open(next(iter(store.list(f"{CODE}/{name}")))) as stream:
        members, _sha256 = _bundle.read(stream)
    assert {each.name: each.manifest.sha256 for each in whole}.items() <= members.items()
    assert rotten.name not in members


def test_more_increments_than_open_files_are_one_bundle(
    central: Central, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=1)
    for _each in range(40):
        branch.pass_hours(0.1)
        branch.run("log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 30, hard))
    try:
        sent = copied(central, opened(str(tmp_path / "place")), "cold", unlocked=True).sent
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len([each for each in sent if each["name"].startswith("increments-")]) == 1


class KilledError(BaseException):
    """As SIGKILL is to a program: nobody catches it."""


def lock_of(seaweed: Seaweed, bucket: str, key: str) -> dt.datetime:
    found: dt.datetime = seaweed.client().get_object_retention(Bucket=bucket, Key=key)["Retention"]["RetainUntilDate"]
    return found


def test_a_bundle_whose_run_died_before_the_locks_gets_them_and_so_do_its_bases(
    central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold", lock_days=90)
    branch.run("log")

    known = type(store).lock

    def killed(self: Store, version: Version, until: dt.datetime) -> None:
        if "/increments-" in version.key:
            raise KilledError
        known(self, version, until)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "lock", killed)
        with pytest.raises(KilledError):
            copied(central, store, "cold", lock_days=200)
    assert copied(central, store, "cold", lock_days=200).sent == []
    due = dt.datetime.now(dt.UTC) + dt.timedelta(days=199)
    (bundle,) = (each.key for each in store.list(f"{CODE}/increments-") if each.key.endswith(".tar"))
    (base,) = (each.name for each in entries(branch) if each.manifest.kind == "db_full")
    assert lock_of(seaweed, locked, bundle) > due
    assert lock_of(seaweed, locked, f"{CODE}/{base}") > due


def test_a_preview_locks_nothing(central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Store]) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    copied(central, store, "cold", lock_days=90)
    keys = [each.key for each in store.list(f"{CODE}/")]
    before = {key: lock_of(seaweed, locked, key) for key in keys}
    forget(central, "cold")
    copied(central, store, "cold", lock_days=200, check_mode=True)
    assert {key: lock_of(seaweed, locked, key) for key in keys} == before


def test_an_upload_that_no_run_will_end_is_aborted(
    way: Door,
    central: Central,
    seaweed: Seaweed,
    bucket: str,
    opened: Callable[..., Store],
    tmp_path: Path,
    large: dict[str, Any],
) -> None:
    """As that of a bundle, which has another name the next time."""
    central.branch(CODE, runs=1)
    uploads = tmp_path / "uploads.json"
    way.let_pass(PART_SIZE)
    with pytest.raises(BackupError):
        opened(f"s3://{bucket}", endpoint=way.endpoint, uploads_path=str(uploads)).put(KEY, **large)
    assert len(seaweed.client().list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    copied(central, opened(f"s3://{bucket}", uploads_path=str(uploads)))
    assert "Uploads" not in seaweed.client().list_multipart_uploads(Bucket=bucket)
    assert json.loads(uploads.read_text()) == {}


def test_what_retention_removes_meanwhile_is_no_failure(
    central: Central, tmp_path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    held = _lease.held
    gone = [entries(branch)[0].name, next(e.name for e in entries(branch) if e.manifest.kind.endswith("_increment"))]

    def removed_before(stack: Any, entry: Any) -> bool:
        if entry.name in gone:
            os.unlink(f"{entry.path}.manifest.json")
            os.unlink(entry.path)
        return held(stack, entry)

    monkeypatch.setattr(_lease, "held", removed_before)
    store = opened(str(tmp_path / "place"))
    outcome = copied(central, store, "cold", unlocked=True)
    assert "error" not in outcome.report()
    (bundle,) = (each for each in store.list(f"{CODE}/") if each.key.endswith(".tar"))
    with store.open(bundle) as stream:
        members, _sha256 = _bundle.read(stream)
    assert members
    assert not set(gone) & ({each["name"] for each in outcome.sent} | members.keys())


def test_nothing_is_left_beside_the_artifacts(central: Central, tmp_path: Path, opened: Callable[..., Store]) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    before = sorted(os.listdir(branch.directory))
    copied(central, opened(str(tmp_path / "place")), "cold", unlocked=True)
    assert sorted(os.listdir(branch.directory)) == before

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both kinds of places offsite promise, on a real directory and a real S3 server over TLS."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store._base import NotAsRecordedError, digest_of
from ansible_collections.larapee.backup.plugins.module_utils._store._uploads import PART_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed

ODD = "branch-001/db-20261122-0300.sql.gz.age"


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, opened: Callable[..., Store]) -> Store:
    if request.param == "directory":
        return opened(str(tmp_path / "place"))
    return opened(f"s3://{request.getfixturevalue('bucket')}/some/prefix")


def file_of(path: Path, content: bytes) -> dict[str, Any]:
    path.write_bytes(content)
    return {"path": str(path), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("size", [0, 1, PART_SIZE, PART_SIZE + 1, 3 * PART_SIZE + 17])
def test_what_is_put_comes_back(store: Store, tmp_path: Path, size: int) -> None:
    content = os.urandom(min(size, 4096)) + bytes(max(0, size - 4096))
    facts = file_of(tmp_path / "file", content)
    version = store.put(ODD, **facts)
    assert [(each.key, each.size) for each in store.list("branch-001/")] == [(ODD, size)]
    assert store.list("branch-0011/") == []
    assert digest_of(store, version) == facts["sha256"]
    with store.open(version) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == facts["sha256"]
    store.delete(version)
    assert list(store.list("branch-001/")) == []


@pytest.mark.parametrize("size", [100, PART_SIZE + 1])
@pytest.mark.parametrize("damage", ["flipped", "longer", "shorter"])
def test_what_is_not_as_recorded_is_not_stored(store: Store, tmp_path: Path, size: int, damage: str) -> None:
    facts = file_of(tmp_path / "file", bytes(size))
    changed = {"flipped": bytes(size - 1) + b"x", "longer": bytes(size + 1), "shorter": bytes(size - 1)}[damage]
    (tmp_path / "file").write_bytes(changed)
    with pytest.raises(NotAsRecordedError):
        store.put(ODD, **facts)
    assert list(store.list("branch-001/")) == []


def test_an_abandoned_upload_leaves_no_parts(
    seaweed: Seaweed, bucket: str, opened: Callable[..., Store], tmp_path: Path
) -> None:
    facts = file_of(tmp_path / "file", bytes(2 * PART_SIZE))
    with (tmp_path / "file").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(NotAsRecordedError):
        opened(f"s3://{bucket}").put(ODD, **facts)
    assert "Uploads" not in seaweed.client().list_multipart_uploads(Bucket=bucket)


def test_a_directory_overwrites_nothing(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened(str(tmp_path / "place"))
    store.put(ODD, **file_of(tmp_path / "file", b"first"))
    with pytest.raises(BackupError, match="another file of this name is there"):
        store.put(ODD, **file_of(tmp_path / "file", b"second"))
    assert (tmp_path / "place" / ODD).read_bytes() == b"first"


def test_a_large_file_takes_little_memory(
    seaweed: Seaweed, bucket: str, opened: Callable[..., Store], tmp_path: Path
) -> None:
    opened(f"s3://{bucket}")  # writes the credentials
    program = (
        "import hashlib, sys\n"
        "from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import open_bucket\n"
        f"store = open_bucket('s3://{bucket}', endpoint='{seaweed.endpoint}', "
        f"credentials_file='{tmp_path}/adminkey.ini', region='us-east-1', ca_file='{seaweed.certificate}', "
        "allow_plain=False)\n"
        "import resource\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"store.put('large', '{tmp_path}/large', size={512 << 20}, sha256=sys.argv[1])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    with (tmp_path / "large").open("wb") as handle:
        handle.truncate(512 << 20)
    sha256 = hashlib.sha256(bytes(512 << 20)).hexdigest()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", program, sha256]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    # In kilobytes, as Linux counts it: the parts in flight, each also held by the HTTP client for a while.
    assert int(done.stdout) < 200 * 1024


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "relative/path"}, "neither an absolute directory nor"),
        ({"url": "https://bucket"}, "neither an absolute directory nor"),
        ({"url": "s3://bucket?x=1"}, "neither an absolute directory nor"),
        ({"endpoint": "http://127.0.0.1:1"}, "without TLS"),
        ({"credentials_file": None}, "no credentials file"),
        ({"credentials_file": "/nonexistent"}, "No such file"),
    ],
)
def test_settings_that_cannot_be_used_are_said(
    opened: Callable[..., Store], changes: dict[str, Any], message: str
) -> None:
    url = changes.pop("url", "s3://bucket")
    with pytest.raises(BackupError, match=message):
        opened(url, **changes)


def test_credentials_that_others_can_read_are_refused(opened: Callable[..., Store], tmp_path: Path) -> None:
    open_file = tmp_path / "open.ini"
    open_file.write_text("[s3]\naccess_key = a\nsecret_key = b\n")
    open_file.chmod(0o640)
    with pytest.raises(BackupError, match="make it 0600"):
        opened("s3://bucket", credentials_file=str(open_file))


def test_a_wrong_secret_is_said_without_it(bucket: str, opened: Callable[..., Store]) -> None:
    with pytest.raises(BackupError) as caught:
        opened(f"s3://{bucket}", key=("adminkey", "not-the-secret")).list("branch-001/")
    assert caught.value.reason == "store_refused"
    assert "not-the-secret" not in str(caught.value)


def test_a_certificate_that_nobody_signed_is_refused(bucket: str, opened: Callable[..., Store]) -> None:
    with pytest.raises(BackupError, match="CERTIFICATE_VERIFY_FAILED|SSL"):
        opened(f"s3://{bucket}", ca_file=None).list("branch-001/")

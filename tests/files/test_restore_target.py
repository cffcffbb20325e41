# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories a restore of files fills, and what becomes of what was there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _dirfd, _file_target, _lease, _open
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.restoring import member, picture, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

SHOP = tar(member("./"), member("a/"), member("a/photo", b"photo"), member("b", b"b"))


@pytest.fixture
def published(restoring: Restoring) -> Restoring:
    restoring.full(SHOP)
    return restoring


def refused(restoring: Restoring, words: str, *, reason: str, **changes: Any) -> str:
    with pytest.raises(BackupError) as caught:
        restoring.restore(**changes)
    assert words in str(caught.value)
    assert caught.value.reason == reason
    return str(caught.value)


def beside(restoring: Restoring) -> list[str]:
    return sorted(restoring.beside() - {"place", "state"})


def restored(directory: Path) -> bool:
    return (directory / "a" / "photo").read_bytes() == b"photo" and (directory / "b").read_bytes() == b"b"


def test_an_empty_directory_is_filled(published: Restoring) -> None:
    published.target.mkdir()
    assert published.restore().plan["replaces"] is None
    assert restored(published.target)
    assert beside(published) == ["target"]


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(published: Restoring) -> None:
    published.target.mkdir()
    (published.target / "live").write_bytes(b"live")
    before = picture(published.target)
    message = refused(published, "it is not empty", reason="not_empty")
    assert "larapee_backup_restore_confirm to branch-001" in message
    refused(published, "it is not empty", reason="not_empty", confirm="branch-002")
    assert picture(published.target) == before
    assert beside(published) == ["target"]


@pytest.mark.parametrize("exchange", [True, False])
def test_what_a_confirmed_restore_replaces_is_kept_beside(
    published: Restoring, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        without_flags(monkeypatch)
    published.target.mkdir()
    (published.target / "live").write_bytes(b"live")
    before = picture(published.target)
    plan = published.restore(confirm="branch-001").plan
    assert plan["replaces"] == str(published.target)
    assert restored(published.target)
    assert not (published.target / "live").exists()
    [kept] = plan["kept"]
    assert re.fullmatch(r"target\.before-restore-\d{8}-\d{6}", os.path.basename(kept))
    assert picture(published.root / kept) == before
    assert beside(published) == ["target", os.path.basename(kept)]


def without_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filesystem that knows plain renaming only, such as NFS."""
    import errno

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(_dirfd, "_rename", refuse)


@pytest.mark.parametrize("exchange", [True, False])
def test_what_cannot_take_its_place_leaves_the_target_as_it_was(
    published: Restoring, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.target.mkdir()
    (published.target / "live").write_bytes(b"live")
    before = picture(published.target)
    rename, calls = os.rename, []
    if not exchange:
        without_flags(monkeypatch)

    def fail(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) == (1 if exchange else 2):
            raise OSError(5, "Input/output error")
        rename(*arguments, **options)

    monkeypatch.setattr(os, "rename", fail)
    refused(published, "What was there is there still", reason="restore_failed", confirm="branch-001")
    assert picture(published.target) == before
    assert beside(published) == ["target"]


def test_somebody_fills_the_empty_target_meanwhile(published: Restoring, monkeypatch: pytest.MonkeyPatch) -> None:
    published.target.mkdir()
    opened = _open.open_artifact

    def slow(*arguments: Any, **options: Any) -> Any:
        (published.target / "precious").write_bytes(b"7")
        return opened(*arguments, **options)

    monkeypatch.setattr(_open, "open_artifact", slow)
    refused(published, "Directory not empty", reason="restore_failed")
    assert os.listdir(published.target) == ["precious"]
    assert beside(published) == ["target"]


@pytest.mark.parametrize(
    "target",
    ["/", "/etc", "/var", "/usr", "/usr/lib/x", "/proc/x", "/dev/shm", "/boot/x", "/var/lib", "/bin/x", "/home"],
)
def test_the_system_is_refused(published: Restoring, target: str) -> None:
    refused(published, "it belongs to the system", reason="bad_target", target=target)


def test_places_of_the_backups_are_refused(published: Restoring) -> None:
    for target in (published.place, published.place / "x", published.root, published.state):
        refused(published, "it holds, or lies in", reason="bad_target", target=str(target))


def test_what_is_no_directory_is_refused(published: Restoring) -> None:
    other = published.root / "other"
    other.mkdir()
    published.target.symlink_to(other)
    refused(published, f"it is a symbolic link to {other}", reason="bad_target", confirm="branch-001")
    published.target.unlink()
    published.target.write_bytes(b"")
    refused(published, "it is not a directory", reason="bad_target", confirm="branch-001")
    refused(published, "does not exist", reason="bad_target", target=str(published.root / "missing" / "target"))
    assert list(other.iterdir()) == []


def test_a_link_above_the_target_is_followed_before_it_is_judged(published: Restoring) -> None:
    (published.root / "link").symlink_to(published.place)
    refused(published, "it holds, or lies in", reason="bad_target", target=str(published.root / "link" / "x"))


@pytest.fixture
def mounted(published: Restoring) -> Iterator[Restoring]:
    published.target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(published.target)], check=True)
    try:
        yield published
    finally:
        subprocess.run(["umount", str(published.target)], check=True)


def test_an_empty_mount_point_is_filled(mounted: Restoring) -> None:
    (mounted.target / "lost+found").mkdir()
    mounted.full(
        tar(member("./", mode=0o750, uid=77, mtime=99), member("a/"), member("a/photo", b"photo"), member("b", b"b"))
    )
    mounted.restore()
    assert restored(mounted.target)
    assert sorted(os.listdir(mounted.target)) == ["a", "b", "lost+found"]
    status = mounted.target.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o750, 77, 99)
    assert os.path.ismount(mounted.target)


def test_a_directory_mounted_onto_itself_is_a_mount_point(published: Restoring) -> None:
    published.target.mkdir()
    subprocess.run(["mount", "--bind", str(published.target), str(published.target)], check=True)
    try:
        published.restore()
        assert restored(published.target)
    finally:
        subprocess.run(["umount", str(published.target)], check=True)


def test_a_mount_point_that_is_not_empty_is_refused(mounted: Restoring) -> None:
    (mounted.target / "live").write_bytes(b"live")
    refused(mounted, "it is a mount point and not empty", reason="not_empty", confirm="branch-001")
    assert os.listdir(mounted.target) == ["live"]


def test_a_mount_point_that_cannot_be_filled_is_empty_again(
    mounted: Restoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = _dirfd.rename, []

    def fail(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(*arguments, **options)

    monkeypatch.setattr(_dirfd, "rename", fail)
    refused(mounted, "What was there is there still", reason="restore_failed")
    assert os.listdir(mounted.target) == []


def test_no_room_is_noticed_before_anything_is_written(mounted: Restoring) -> None:
    mounted.full(tar(member("./"), member("big", os.urandom(600_000))), tree={"entries": 2, "bytes": 600_000})
    message = refused(mounted, "the files have 600000 bytes", reason="disk_full")
    assert "Nothing was changed" in message
    refused(mounted, "the files have 600000 bytes", reason="disk_full", check_mode=True)


def test_the_disk_fills_on_the_way(mounted: Restoring) -> None:
    mounted.full(tar(member("./"), member("big", os.urandom(600_000))), tree={"entries": 2, "bytes": 1})
    message = refused(mounted, "No space left on device", reason="disk_full")
    assert "restore big" in message
    assert os.listdir(mounted.target) == []


def test_a_hole_is_no_reason_to_refuse(mounted: Restoring) -> None:
    size = 50_000_000
    info, content = member("sparse", b"1\n49999000\n4\n".ljust(512, b"\0") + b"data")
    keys = {"major": "1", "minor": "0", "name": "sparse", "realsize": str(size)}
    info.pax_headers.update({f"GNU.sparse.{key}": value for key, value in keys.items()})
    mounted.full(tar(member("./"), (info, content)), tree={"entries": 2, "bytes": size})
    mounted.restore()
    assert (mounted.target / "sparse").stat().st_size == size
    assert (mounted.target / "sparse").stat().st_blocks <= 8


def test_check_mode_says_all_and_does_nothing(published: Restoring, monkeypatch: pytest.MonkeyPatch) -> None:
    published.increment(tar(member("b", b"b2")), tree={"entries": 4, "bytes": 7})
    published.target.mkdir()
    (published.target / "live").write_bytes(b"live")
    before = {path: path.lstat().st_mtime_ns for path in published.root.rglob("*")}
    monkeypatch.setattr(_open, "open_artifact", None)
    plan = published.restore(check_mode=True, confirm="branch-001").plan
    assert json.loads(json.dumps(plan)) == {
        "artifacts": ["public-uploads-20261122-1401.tar.zst.age", "public-uploads-20261122-1402.incr.tar.zst.age"],
        "branch": "branch-001",
        "content": "uploads",
        "set": 2,
        "recovery_point": "2026-11-22T14:02:10Z",
        "newest": "2026-11-22T14:02:10Z",
        "unreadable": 0,
        "entries": 4,
        "bytes": 7,
        "paths": [],
        "target": str(published.target),
        "replaces": str(published.target),
        "holds_backups": False,
        "lost": "Every change after 2026-11-22T14:02:10Z (UTC) is not in these artifacts.",
        "skipped": {},
    }
    assert {path: path.lstat().st_mtime_ns for path in published.root.rglob("*")} == before
    refused(published, "it is not empty", reason="not_empty", check_mode=True)


def test_manifests_are_held_while_they_are_restored_from(published: Restoring, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._catalog import read_catalogue

    published.increment(tar(member("b", b"b2")), tree={"entries": 4, "bytes": 7})
    opened, claims = _open.open_artifact, []

    def slow(*arguments: Any, **options: Any) -> Any:
        for entry in read_catalogue(str(published.place)).entries:
            with _lease.claim(entry) as claimed:
                claims.append(claimed)
        return opened(*arguments, **options)

    monkeypatch.setattr(_open, "open_artifact", slow)
    published.restore()
    assert claims == [False, False] * 2


def test_an_artifact_that_is_being_removed_is_refused(published: Restoring) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._catalog import read_catalogue

    with _lease.claim(read_catalogue(str(published.place)).entries[0]) as claimed:
        assert claimed
        refused(published, "retention", reason="artifact_gone")


def test_two_restores_of_one_branch_exclude_each_other(published: Restoring) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _lock

    with _lock.hold(str(published.state), "restore-branch-001", run_id="x"):
        refused(published, "holds it", reason="lock_held")


def test_a_target_below_a_filesystem_that_lists_no_mounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_file_target, "_mount_points", set)
    (tmp_path / "target").mkdir()
    found = _file_target.find_target(str(tmp_path / "target"), source="/nowhere", state_path="/nowhere")
    assert (found.empty, found.mounted) == (True, False)

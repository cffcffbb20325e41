# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _current, _snapshot
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._snapshot import Snapshot, SnapshotError, SnapshotWriter
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, utc

NAME = "public-uploads-20261122-1432.tar.zst"
SHA = "ab" * 32


def save(directory: Path, name: str = NAME, *, retaken: tuple[bytes, ...] = (), entries: int = 1) -> Path:
    with SnapshotWriter(str(directory), content="uploads") as writer:
        writer.directory(b"")
        for number in range(entries):
            writer.entry(b"%d" % number, b"signature")
        for path in retaken:
            writer.retake(path)
        assert writer.save(name, sha256=SHA)
    return directory / f"{name}.snapshot"


def test_words_and_what_is_to_be_retaken_come_back(tmp_path: Path) -> None:
    path = save(tmp_path, retaken=(b"b\n/c", b"a", b"a"), entries=30_000)
    assert path.stat().st_mode & 0o777 == 0o600
    with Snapshot(str(tmp_path), NAME, sha256=SHA) as snapshot:
        words = list(snapshot.words())
        assert snapshot.retaken == {b"a", b"b\n/c"}
    assert words[0] == b"/"
    assert words[1::2] == [b"%d" % number for number in range(30_000)]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_it_counts_the_names_of_files_with_several(tmp_path: Path) -> None:
    with SnapshotWriter(str(tmp_path), content="uploads") as writer:
        for number in range(5):
            writer.entry(b"%d" % number, b"signature", linked=number > 2)
        assert writer.save(NAME, sha256=SHA)
    with Snapshot(str(tmp_path), NAME, sha256=SHA) as snapshot:
        assert snapshot.links == 2


def test_what_is_not_saved_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".uploads.new").write_text("of a killed run")
    with SnapshotWriter(str(tmp_path), content="uploads") as writer:
        writer.directory(b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offset", [0, 40, 500, 1023, 1024, 1030, -1])
def test_any_changed_byte_is_noticed(tmp_path: Path, offset: int) -> None:
    path = save(tmp_path, retaken=(b"x",))
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SnapshotError, match="damaged|another artifact"):
        Snapshot(str(tmp_path), NAME, sha256=SHA)


def test_a_snapshot_is_only_that_of_its_artifact(tmp_path: Path) -> None:
    path = save(tmp_path)
    with pytest.raises(SnapshotError, match="another artifact"):
        Snapshot(str(tmp_path), NAME, sha256="cd" * 32)
    other = NAME.replace("1432", "1433")
    path.rename(tmp_path / f"{other}.snapshot")
    with pytest.raises(SnapshotError, match="another artifact"):
        Snapshot(str(tmp_path), other, sha256=SHA)
    with pytest.raises(SnapshotError, match="missing"):
        Snapshot(str(tmp_path), NAME, sha256=SHA)
    (tmp_path / f"{NAME}.snapshot").symlink_to(f"{other}.snapshot")
    with pytest.raises(SnapshotError, match="cannot be opened"):
        Snapshot(str(tmp_path), NAME, sha256=SHA)


def test_a_snapshot_that_is_cut_while_it_is_read_stops_the_run(tmp_path: Path) -> None:
    path = save(tmp_path, entries=100_000)
    with Snapshot(str(tmp_path), NAME, sha256=SHA) as snapshot:
        words = snapshot.words()
        next(words)
        with open(path, "r+b") as handle:
            handle.truncate(5000)
        with pytest.raises(BackupError, match="was cut"):
            list(words)


def test_only_snapshots_of_the_given_kinds_are_removed(tmp_path: Path) -> None:
    config, later = "config-20261122-1432.tar.zst.age", "public-uploads-20261122-1440.incr.tar.zst"
    for name in (NAME, config, later):
        save(tmp_path, name)
    (tmp_path / "notes.snapshot").touch()
    _snapshot.remove_others(str(tmp_path), than=later, kinds=("files_full", "files_increment"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{config}.snapshot", f"{later}.snapshot", "notes.snapshot"}


def test_what_is_current_is_remembered_by_family(tmp_path: Path) -> None:
    state = str(tmp_path)
    assert _current.read(state, BRANCH) == {}
    _current.note(state, BRANCH, "uploads", "a", utc("2026-11-22 14:32:10"))
    _current.note(state, BRANCH, "config", "b", utc("2026-11-22 14:32:11"))
    _current.note(state, BRANCH, "uploads", "c", utc("2026-11-22 14:40:00"))
    assert _current.read(state, BRANCH) == {
        "uploads": {"artifact": "c", "current_at": "2026-11-22T14:40:00Z"},
        "config": {"artifact": "b", "current_at": "2026-11-22T14:32:11Z"},
    }


@pytest.mark.parametrize("raw", ["", "[]", '{"uploads": 3}', '{"uploads": {"artifact": "a", "current_at": "soon"}}'])
def test_what_is_no_longer_readable_is_not_current(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "files" / BRANCH / "current.json"
    path.parent.mkdir(parents=True)
    path.write_text(raw)
    assert _current.read(str(tmp_path), BRANCH) == {}

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _io
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def test_a_file_is_replaced_as_a_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    _io.write_file(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_failed_replacement_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "write":
        monkeypatch.setattr(os, "fdopen", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(BackupError, match="No space left on device. Check the free space"):
        _io.write_file(str(path), b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_into_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="Failed to write .*: No such file or directory"):
        _io.write_file(str(tmp_path / "gone" / "x"), b"")


def test_json_is_written_in_one_form_and_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    _io.write_json(path, {"z": 1, "ä": ["é", None]})
    assert Path(path).read_text(encoding="utf-8") == '{\n  "z": 1,\n  "ä": [\n    "é",\n    null\n  ]\n}\n'
    assert _io.read_json(path) == {"ä": ["é", None], "z": 1}


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"[]", "not a JSON object"), (b"{", "Expecting"), (b"\xff", "decode"), (b"{}" + b" " * 20, "larger than 10")],
)
def test_other_json_is_a_value_error(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=why):
        _io.read_json(str(path), limit=10)


@pytest.mark.parametrize("size", [0, 1, _io.BLOCK_SIZE, _io.BLOCK_SIZE + 1, 3 * _io.BLOCK_SIZE - 1])
def test_hash_and_size_are_those_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    content = os.urandom(size)
    path.write_bytes(content)
    assert _io.sha256_file(str(path)) == (hashlib.sha256(content).hexdigest(), size)


def test_a_secret_is_readable_by_descriptor_only_and_by_nobody_else() -> None:
    descriptor = _io.secret_descriptor(b"AGE-SECRET-KEY-1")
    try:
        assert not os.get_inheritable(descriptor)
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        assert os.readlink(f"/proc/self/fd/{descriptor}").startswith("/memfd:")
        assert Path(f"/dev/fd/{descriptor}").read_bytes() == b"AGE-SECRET-KEY-1"
        assert os.read(descriptor, 100) == b"AGE-SECRET-KEY-1"
    finally:
        os.close(descriptor)


def test_directories_are_made_private_and_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    _io.ensure_directory(str(tmp_path / "a" / "b"))
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    _io.ensure_directory(str(tmp_path / "a" / "b"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BackupError, match="Failed to create directory"):
        _io.ensure_directory(str(tmp_path / "file"))


def test_free_bytes_are_those_of_an_ordinary_process(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert abs(_io.free_bytes(str(tmp_path)) - status.f_bavail * status.f_frsize) < 1 << 30


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("elsewhere", path)])
def test_only_a_regular_file_is_read_and_nothing_is_waited_for(tmp_path: Path, make: Callable[[str], None]) -> None:
    path = str(tmp_path / "x.json")
    make(path)
    with pytest.raises(ValueError, match="not a regular file"):
        _io.read_json(path)


def test_json_that_is_nested_too_deep_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"[" * 200_000)
    with pytest.raises(ValueError, match="nested too deep"):
        _io.read_json(str(tmp_path / "x.json"))

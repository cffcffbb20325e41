# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _dirfd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_tree_is_removed_and_what_its_links_lead_to_is_not(tmp_path: Path, top: int) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"7")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "out").symlink_to(tmp_path / "precious")
    (tmp_path / "tree" / "a" / "file").write_bytes(b"")
    _dirfd.remove("tree", parent=top)
    _dirfd.remove("missing", parent=top)
    assert os.listdir(tmp_path) == ["precious"]
    assert (tmp_path / "precious" / "file").read_bytes() == b"7"
    (tmp_path / "link").symlink_to("precious")
    _dirfd.remove("link", parent=top)
    assert os.listdir(tmp_path) == ["precious"]


def test_a_tree_deeper_than_the_stack_of_python_is_removed(tmp_path: Path, top: int) -> None:
    with _dirfd.many_descriptors(1600):
        os.mkdir("deep", dir_fd=top)
        current = os.open("deep", os.O_RDONLY, dir_fd=top)
        for _each in range(1200):
            os.mkdir("d", dir_fd=current)
            below = os.open("d", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(current)
        _dirfd.remove("deep", parent=top)
    assert os.listdir(tmp_path) == []


def test_the_limit_of_descriptors_is_put_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _dirfd.many_descriptors(before[0] + 1):
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(before[0] + 1, before[1])
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_no_link_is_opened_as_a_directory(tmp_path: Path, top: int) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            _dirfd.open_directory(name, parent=top)
    descriptor, _status = _dirfd.open_directory("directory", parent=top)
    os.close(descriptor)


@pytest.mark.parametrize("flags", [True, False])
def test_nothing_is_renamed_over(tmp_path: Path, top: int, flags: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not flags:

        def refuse(*_arguments: object) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(_dirfd, "_rename", refuse)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        _dirfd.rename("a", "b", old_parent=top, new_parent=top)
    _dirfd.rename("a", "c", old_parent=top, new_parent=top)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "b", "c": "a"}


def test_names_change_places(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    _dirfd.exchange("a", "b", old_parent=top, new_parent=top)
    assert (tmp_path / "a").read_text() == "b"
    assert (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        _dirfd.exchange("a", "missing", old_parent=top, new_parent=top)

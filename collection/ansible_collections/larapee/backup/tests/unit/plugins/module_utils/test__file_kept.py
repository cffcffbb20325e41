# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _file_kept
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """What the shop had, with a name of its own."""
    found = tmp_path / "public 🧾"
    found.mkdir()
    (found / "slip.jpg").write_bytes(b"old")
    return found


def identity(path: Path) -> dict[str, Any]:
    found = _file_kept.identify(str(path))
    assert found is not None
    return found


def replace(uploads: Path, *, times: int = 1) -> dict[str, Any]:
    """What a restore does to it, or one that was killed and started again."""
    known = identity(uploads)
    for number in range(times):
        uploads.rename(uploads.parent / f"kept-{number}")
        uploads.mkdir()
        (uploads / "slip.jpg").write_bytes(b"restored %d" % number)
    return known


@pytest.mark.parametrize("times", [1, 2])
def test_what_the_shop_had_comes_back_and_nothing_is_lost(uploads: Path, times: int) -> None:
    known = replace(uploads, times=times)
    kept = _file_kept.bring_back(known)
    assert (uploads / "slip.jpg").read_bytes() == b"old"
    assert kept is not None
    contents = sorted((path / "slip.jpg").read_bytes() for path in uploads.parent.iterdir())
    assert contents == sorted([b"old", *(b"restored %d" % number for number in range(times))])
    assert _file_kept.bring_back(known) is None


def test_a_file_of_which_a_second_name_was_kept(tmp_path: Path) -> None:
    """As a config file is replaced: its old content has another name before the new one takes its own."""
    path = tmp_path / ".env"
    path.write_bytes(b"old")
    known = identity(path)
    (tmp_path / "kept").hardlink_to(path)
    path.unlink()
    path.write_bytes(b"restored")
    kept = _file_kept.bring_back(known)
    assert kept is not None
    assert path.read_bytes() == b"old"
    assert sorted(each.read_bytes() for each in tmp_path.iterdir()) == [b"old", b"restored"]
    with pytest.raises(BackupError) as caught:
        _file_kept.remove(known)
    assert caught.value.reason == "in_use"


def test_it_comes_back_where_nothing_stands(uploads: Path) -> None:
    known = identity(uploads)
    uploads.rename(uploads.parent / "kept")
    assert _file_kept.bring_back(known) is None
    assert (uploads / "slip.jpg").read_bytes() == b"old"


def test_a_preview_renames_nothing(uploads: Path) -> None:
    known = replace(uploads)
    before = sorted(path.name for path in uploads.parent.iterdir())
    assert _file_kept.bring_back(known, check_mode=True)
    assert _file_kept.remove(known, check_mode=True)
    assert sorted(path.name for path in uploads.parent.iterdir()) == before


def test_what_is_gone_is_not_replaced_by_something_else(uploads: Path) -> None:
    known = replace(uploads)
    (uploads.parent / "kept-0").rename(uploads / "moved away")
    with pytest.raises(BackupError) as caught:
        _file_kept.bring_back(known)
    assert caught.value.reason == "nothing_kept"
    assert (uploads / "slip.jpg").read_bytes() == b"restored 0"


def test_only_what_was_put_aside_is_removed(uploads: Path) -> None:
    known = replace(uploads, times=2)
    assert _file_kept.remove(known)
    assert sorted(path.name for path in uploads.parent.iterdir()) == ["kept-1", uploads.name]
    assert not _file_kept.remove(known)


def test_what_stands_in_its_place_is_not_removed(uploads: Path) -> None:
    with pytest.raises(BackupError) as caught:
        _file_kept.remove(identity(uploads))
    assert caught.value.reason == "in_use"
    assert (uploads / "slip.jpg").exists()


def test_a_link_is_nothing_to_find_again(uploads: Path) -> None:
    (uploads / "link").symlink_to("slip.jpg")
    assert _file_kept.identify(str(uploads / "link")) is None
    assert _file_kept.identify(str(uploads / "nothing")) is None

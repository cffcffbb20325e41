# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _epoch, _latch
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path

BRANCH = "branch-001"


def set_latch(state: Path, because: str = "restore to latest") -> bool:
    return _latch.set_latch(str(state), branch=BRANCH, because=because, run_id="r")


def test_what_is_set_first_stays(tmp_path: Path) -> None:
    assert set_latch(tmp_path)
    first = _latch.read_latch(str(tmp_path), branch=BRANCH)
    assert first is not None
    assert not set_latch(tmp_path, "another")
    assert _latch.read_latch(str(tmp_path), branch=BRANCH) == first
    path = tmp_path / "latch" / f"{BRANCH}.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_while_it_is_set_nothing_is_done(tmp_path: Path) -> None:
    _latch.require_open(str(tmp_path), branch=BRANCH, what="back up the database")
    set_latch(tmp_path)
    _latch.require_open(str(tmp_path), branch="branch-002", what="back up the database")
    with pytest.raises(
        BackupError, match="Failed to back up the database of branch-001: a restore has begun at "
    ) as caught:
        _latch.require_open(str(tmp_path), branch=BRANCH, what="back up the database")
    assert caught.value.reason == "latched"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_one_that_cannot_be_read_is_set(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "latch" / f"{BRANCH}.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BackupError, match="unreadable"):
        _latch.require_open(str(tmp_path), branch=BRANCH, what="seal")
    assert _latch.release(str(tmp_path), branch=BRANCH)
    _latch.require_open(str(tmp_path), branch=BRANCH, what="seal")


def test_a_new_epoch_is_demanded_before_it_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _latch.release(str(tmp_path), branch=BRANCH)
    assert _epoch.demanded(str(tmp_path), branch=BRANCH) is None
    set_latch(tmp_path)

    def die(*_arguments: object, **_keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_epoch, "demand", die)
    with pytest.raises(KeyboardInterrupt):
        _latch.release(str(tmp_path), branch=BRANCH)
    assert _latch.read_latch(str(tmp_path), branch=BRANCH) is not None
    monkeypatch.undo()
    assert _latch.release(str(tmp_path), branch=BRANCH)
    assert _epoch.demanded(str(tmp_path), branch=BRANCH) == "the shop was opened after a restore"


@pytest.mark.parametrize("damage", ["a directory", "a directory that is a file", "no right"])
def test_one_that_cannot_be_released_is_told_and_stays(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "latch" / f"{BRANCH}.json"
    if damage == "a directory":
        (path / "something").mkdir(parents=True)
    elif damage == "a directory that is a file":
        path.parent.write_bytes(b"")
    else:
        set_latch(tmp_path)

        def refuse(*_arguments: object, **_keywords: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(_latch.os, "unlink", refuse)
    with pytest.raises(BackupError, match=r"Failed to release the latch .*\. Nothing is .* move aside") as caught:
        _latch.release(str(tmp_path), branch=BRANCH)
    assert caught.value.reason == "bad_latch"
    assert not set_latch(tmp_path)
    with pytest.raises(BackupError, match="the shop is not open yet"):
        _latch.require_open(str(tmp_path), branch=BRANCH, what="seal")
    # Moved aside by hand, a full of a new epoch follows all the same.
    assert _epoch.demanded(str(tmp_path), branch=BRANCH) == "the shop was opened after a restore"

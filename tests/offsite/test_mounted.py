# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory offsite that is not mounted: what is copied to its mount point lies on central's own disk."""

from __future__ import annotations

import concurrent.futures
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _mounted, _offsite
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store
from tests.central.central import CODES, Central, tree
from tests.central.playing import play, rows
from tests.offsite.test_copy import CODE, copied
from tests.offsite.test_prune import pruned
from tests.offsite.test_verify import verified

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store

REFUSED = "it is not the directory that was used before: is it mounted"


@pytest.fixture
def nas(central: Central, tmp_path: Path) -> Path:
    """The directory with what one run copied."""
    central.branch(CODE, runs=2)
    place = tmp_path / "nas"
    place.mkdir()
    assert copied(central, at(place)).sent
    return place


def at(place: Path) -> Store:
    return open_store({"url": str(place)})


def unmounted(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.mkdir()


def mounted(place: Path) -> None:
    place.rename(place.with_name("mount-point"))
    place.with_name("elsewhere").rename(place)


@pytest.mark.parametrize("target", ["hot", "cold"])
def test_nothing_is_copied_to_a_directory_that_is_not_mounted(central: Central, nas: Path, target: str) -> None:
    unmounted(nas)
    before = tree(nas)
    for check_mode in (True, False):
        with pytest.raises(BackupError, match=REFUSED) as refused:
            copied(central, at(nas), target, unlocked=True, check_mode=check_mode)
        assert refused.value.reason == "place_not_mounted"
    assert tree(nas) == before
    mounted(nas)
    assert copied(central, at(nas), target, unlocked=True).report().get("error") is None


def test_what_is_not_mounted_is_neither_verified_nor_pruned(central: Central, nas: Path) -> None:
    """All of it would count as lost, and be forgotten."""
    assert "error" not in verified(central, at(nas))
    unmounted(nas)
    before = tree(central.state / "offsite")
    for work in (verified, pruned):
        with pytest.raises(BackupError, match=REFUSED):
            work(central, at(nas))
    assert tree(central.state / "offsite") == before
    assert os.listdir(nas) == []


def test_another_disk_at_the_same_path_is_refused_under_the_same_name(central: Central, nas: Path) -> None:
    unmounted(nas)
    (nas / _mounted.MARKER).write_text(json.dumps({"schema": 1, "id": "another"}))
    with pytest.raises(BackupError, match=REFUSED) as refused:
        copied(central, at(nas))
    memory = _mounted.memory_path(str(central.state), str(nas))
    assert f"is not the one that {memory} tells of" in str(refused.value)
    (nas / _mounted.MARKER).write_text("{")
    with pytest.raises(BackupError, match=REFUSED):
        copied(central, at(nas))
    os.unlink(memory)
    with pytest.raises(BackupError, match=REFUSED):
        copied(central, at(nas))
    # As the message says: under another name it begins anew.
    assert copied(central, at(nas / "again")).sent


def test_central_that_lost_its_memory_takes_the_marker_that_is_there(central: Central, nas: Path) -> None:
    marker = (nas / _mounted.MARKER).read_bytes()
    os.unlink(_mounted.memory_path(str(central.state), str(nas)))
    assert copied(central, at(nas)).sent == []
    assert (nas / _mounted.MARKER).read_bytes() == marker
    unmounted(nas)
    with pytest.raises(BackupError, match=REFUSED):
        copied(central, at(nas))


def test_a_directory_of_before_there_were_markers_gets_one_when_it_is_mounted(central: Central, nas: Path) -> None:
    os.unlink(_mounted.memory_path(str(central.state), str(nas)))
    (nas / _mounted.MARKER).unlink()
    unmounted(nas)
    for work in (copied, verified):
        with pytest.raises(BackupError, match=REFUSED):
            work(central, at(nas))
    assert os.listdir(nas) == []
    mounted(nas)
    assert copied(central, at(nas)).sent == []
    assert (nas / _mounted.MARKER).exists()


def test_only_a_copy_begins_a_place(central: Central, tmp_path: Path) -> None:
    """A check before the first copy must not call the mount point the place."""
    central.branch(CODE)
    place = tmp_path / "nas"
    place.mkdir()
    assert "there is nothing to verify" in verified(central, at(place))["error"]
    copied(central, at(place), check_mode=True)
    assert os.listdir(place) == []


def test_workers_that_begin_at_once_agree(central: Central, tmp_path: Path) -> None:
    def begin(number: int) -> str | None:
        shelf = str(tmp_path / f"{number}.json")
        return _mounted.require_mounted(at(tmp_path / "new"), str(central.state), run_id="x", shelf=shelf, begin=True)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(begin, range(24)))
    assert len(ids) == 1
    assert json.loads((tmp_path / "new" / _mounted.MARKER).read_text())["id"] in ids


def test_the_play_says_it_in_the_row_of_each_branch(central: Central, nas: Path) -> None:
    unmounted(nas)
    settings: dict[str, Any] = {"larapee_backup_offsite_hot_url": str(nas)}
    code, output = play(central, [CODES[0]], playbook="larapee.backup.offsite", **settings)
    assert code == 2, output
    row = rows(central)[CODE]
    assert (row.status, row.details["reason"], row.details["place"]) == ("failed", "place_not_mounted", _offsite.HOT)
    assert REFUSED in str(row.error)
    assert os.listdir(nas) == []

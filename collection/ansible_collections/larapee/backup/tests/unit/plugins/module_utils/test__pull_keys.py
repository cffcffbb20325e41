# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _pull_keys, _rotation
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._rotation import Slot

BRANCHES = ("branch-001", "branch-002")


@pytest.fixture
def every(tmp_path: Path) -> list[Slot]:
    slots = _pull_keys.slots(str(tmp_path), BRANCHES)
    _pull_keys.ensure(slots, owner=None, check_mode=False)
    return list(slots.values())


def begin(slot: Slot, *, min_age: float = 0, overlap: float = 3600, check_mode: bool = False) -> bool:
    return _rotation.begin(slot, owner=None, min_age_seconds=min_age, overlap_seconds=overlap, check_mode=check_mode)


def stage(slot: Slot, overlap: float = 3600) -> str:
    return slot.stage(overlap_seconds=overlap)


def test_each_branch_has_two_keys_of_its_own_that_only_their_owner_reads(every: list[Slot], tmp_path: Path) -> None:
    publics = {_rotation.publics(slot)["current"] for slot in every}
    assert len(publics) == 2 * len(BRANCHES)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        f"{purpose}_key/{branch}" for purpose in ("acknowledge", "pull") for branch in BRANCHES
    ]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {tmp_path.stat().st_mode & 0o777}


def test_a_key_that_is_there_stays(every: list[Slot], tmp_path: Path) -> None:
    before = [_rotation.publics(slot) for slot in every]
    assert _pull_keys.ensure(_pull_keys.slots(str(tmp_path), BRANCHES), owner=None, check_mode=False) == []
    assert [_rotation.publics(slot) for slot in every] == before


def test_check_mode_tells_and_makes_nothing(tmp_path: Path) -> None:
    slots = _pull_keys.slots(str(tmp_path), BRANCHES)
    assert _pull_keys.ensure(slots, owner=None, check_mode=True) == list(slots)
    assert list(tmp_path.iterdir()) == []


def test_a_rotation_goes_from_rest_to_rest(every: list[Slot]) -> None:
    slot = every[0]
    first = _rotation.publics(slot)["current"]
    assert not begin(slot, min_age=3600)
    assert begin(slot, check_mode=True)
    assert stage(slot) == "at rest"
    assert begin(slot)
    assert (stage(slot), _rotation.publics(slot)["current"]) == ("added", first)
    second = _rotation.publics(slot)["next"]
    assert not begin(slot), "a rotation that is under way is gone on with, not begun again"
    assert _rotation.publics(slot)["next"] == second
    _rotation.switch(slot)
    assert (stage(slot), stage(slot, overlap=0)) == ("overlap", "over")
    assert _rotation.publics(slot) == {"current": second, "old": first}
    assert not begin(slot)
    assert stage(every[1]) == "at rest", "the keys of one branch go by themselves"
    _rotation.finish(slot)
    assert (stage(slot), _rotation.publics(slot)) == ("at rest", {"current": second})


def _dying(real: Callable[..., object], calls: int) -> Callable[..., object]:
    """As *real*, for so many *calls*; then the death of the process."""
    left = iter(range(calls))

    def call(*arguments: object, **options: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    return call


@pytest.mark.parametrize("call", ["mkdir", "link", "rename", "fsync"])
def test_a_switch_that_dies_anywhere_leaves_a_key_and_can_be_repeated(
    every: list[Slot], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = every[0]
    begin(slot)
    known = _rotation.publics(slot)

    for position in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, _dying(getattr(os, call), position))
            try:
                _rotation.switch(slot)
            except KeyboardInterrupt:
                assert _rotation.publics(slot)["current"] in (known["current"], known["next"])
    _rotation.switch(slot)
    assert _rotation.publics(slot) == {"current": known["next"], "old": known["current"]}
    assert stage(slot) == "overlap"


def test_what_ssh_keygen_did_not_finish_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin/ssh-keygen"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nfor last; do :; done; echo half > "$last"; echo "disk full" >&2; exit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    keys = tmp_path / "ssh"
    keys.mkdir()
    slots = _pull_keys.slots(str(keys), BRANCHES)
    with pytest.raises(BackupError, match="Failed to make SSH key .*disk full"):
        _pull_keys.ensure(slots, owner=None, check_mode=False)
    assert [path for path in keys.rglob("*") if path.is_file()] == []


def test_a_damaged_key_is_named(every: list[Slot]) -> None:
    Path(every[0].current).write_text("not a key\n")
    with pytest.raises(BackupError, match="takes it for none"):
        _rotation.publics(every[0])


def test_the_public_half_is_that_of_ssh_keygen(every: list[Slot]) -> None:
    told = subprocess.run(["ssh-keygen", "-y", "-f", every[0].current], capture_output=True, text=True, check=True)
    assert told.stdout.split()[:2] == _rotation.publics(every[0])["current"].split()


@pytest.mark.parametrize("branch", ["", "../branch-001", "a/b", ".next"])
def test_no_key_is_made_outside_its_directory(tmp_path: Path, branch: str) -> None:
    with pytest.raises(BackupError, match="it is no branch code"):
        _pull_keys.slots(str(tmp_path), [branch])

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _epoch, _manifest
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import EPOCH, manifest_document

AT = {"file": "mysql-bin.000007", "position": 1001, "gtid": "1-1-1", "time": "2026-11-22T14:32:00Z"}


def previous(end: dict[str, Any] | None = None) -> _manifest.Manifest:
    return _manifest.check_manifest(manifest_document(end=AT if end is None else end))


def decide(before: _manifest.Manifest | None, start: dict[str, Any], **changes: Any) -> tuple[str, str | None]:
    return _epoch.decide_epoch(before, **{"server_id": 1, "engine": "mariadb", "start": start, **changes})


@pytest.mark.parametrize(
    "start",
    [
        AT,
        {**AT, "position": 1002},
        {**AT, "file": "mysql-bin.000008", "position": 4},
        {**AT, "file": "mysql-bin.1000000", "position": 4},
        {**AT, "file": "renamed-bin.000009", "position": 4},
    ],
)
def test_the_epoch_goes_on_while_the_log_goes_on(start: dict[str, Any]) -> None:
    assert decide(previous(), start) == (EPOCH, None)


@pytest.mark.parametrize(
    ("start", "changes", "why"),
    [
        ({**AT, "position": 1000}, {}, "the binary log went back"),
        ({**AT, "file": "mysql-bin.000001", "position": 9999}, {}, "the binary log went back"),
        ({}, {}, "the binary log was switched on or off"),
        (AT, {"server_id": 2}, "another server"),
        (AT, {"engine": "mysql"}, "another server"),
        (AT, {"demanded": "restored from db-20261121-0300.sql.gz"}, "restored from db-20261121-0300.sql.gz"),
    ],
)
def test_a_new_life_of_the_server_is_a_new_epoch(start: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    epoch, reason = decide(previous(), start, **changes)
    assert epoch != EPOCH
    assert uuid.UUID(epoch).version == 4
    assert reason == why


def test_the_first_full_starts_an_epoch() -> None:
    assert decide(None, AT)[1] == "first full"


def test_without_a_binary_log_the_epoch_goes_on_until_one_is_there() -> None:
    before = previous({"time": "2026-11-22T14:32:00Z"})
    assert decide(before, {}) == (EPOCH, None)
    assert decide(before, AT)[1] == "the binary log was switched on or off"


@pytest.mark.parametrize(
    ("position", "order"),
    [
        ({"file": "mysql-bin.000010", "position": 4}, (10, 4)),
        ({"file": "mysql-bin.999999", "position": "7"}, (999999, 7)),
        ({"file": "odd"}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_log_files_are_ordered_by_their_number(position: dict[str, Any], order: tuple[int, int]) -> None:
    assert _epoch.log_number(position) == order


def test_a_demand_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    state = str(tmp_path)
    assert _epoch.demanded(state, branch="branch-001") is None
    _epoch.demand(state, branch="branch-001", because="restored")
    assert _epoch.demanded(state, branch="branch-001") == "restored"
    assert _epoch.demanded(state, branch="branch-002") is None
    _epoch.clear_demand(state, branch="branch-001")
    _epoch.clear_demand(state, branch="branch-001")
    assert _epoch.demanded(state, branch="branch-001") is None


def test_an_unreadable_demand_is_a_demand(tmp_path: Path) -> None:
    (tmp_path / "epochs").mkdir()
    (tmp_path / "epochs" / "branch-001.json").write_bytes(b"{")
    assert _epoch.demanded(str(tmp_path), branch="branch-001") == "the demand for a new epoch is unreadable"


def test_a_demand_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "epochs").write_bytes(b"a file")
    with pytest.raises(BackupError):
        _epoch.demand(str(tmp_path), branch="branch-001", because="restored")


class Clock:
    def __init__(self) -> None:
        self.time = dt.datetime(2026, 11, 22, 14, 0, tzinfo=dt.timezone.utc)

    def now(self) -> dt.datetime:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    shown = Clock()
    monkeypatch.setattr(_clock, "now", shown.now)
    return shown


def force(state: str, *, gap: bool = True) -> dt.datetime | None:
    """What a run does: it asks, and when it may, it forces."""
    found = _epoch.read_demand(state, branch="branch-001")
    assert found is not None
    assert found.gap == gap
    until = _epoch.wait_until(state, branch="branch-001", demand=found)
    if until is None:
        _epoch.note_forced(state, branch="branch-001", demand=found)
    return until


def test_after_a_gap_a_full_is_forced_at_once_and_then_hourly(tmp_path: Path, clock: Clock) -> None:
    state = str(tmp_path)
    _epoch.demand(state, branch="branch-001", because="purged", gap=True)
    assert force(state) is None
    # It did not come about: the same demand may be tried again.
    clock.time += dt.timedelta(minutes=5)
    assert force(state) is None
    _epoch.clear_demand(state, branch="branch-001")
    clock.time += dt.timedelta(minutes=5)
    _epoch.demand(state, branch="branch-001", because="purged again", gap=True)
    due = dt.datetime(2026, 11, 22, 15, 5, tzinfo=dt.timezone.utc)
    assert force(state) == due
    clock.time = due - dt.timedelta(seconds=1)
    assert force(state) == due
    clock.time = due
    assert force(state) is None


def test_a_clock_that_was_put_back_holds_no_full_up(tmp_path: Path, clock: Clock) -> None:
    state = str(tmp_path)
    _epoch.demand(state, branch="branch-001", because="purged", gap=True)
    assert force(state) is None
    clock.time -= dt.timedelta(days=1)
    _epoch.demand(state, branch="branch-001", because="purged again", gap=True)
    assert force(state) is None


def test_what_a_restore_demands_never_waits(tmp_path: Path, clock: Clock) -> None:
    state = str(tmp_path)
    for _restore in range(2):
        clock.time += dt.timedelta(minutes=1)
        _epoch.demand(state, branch="branch-001", because="restored")
        assert force(state, gap=False) is None


def test_an_unreadable_note_of_what_was_forced_holds_nothing_up(tmp_path: Path) -> None:
    state = str(tmp_path)
    _epoch.demand(state, branch="branch-001", because="purged", gap=True)
    (tmp_path / "epochs" / "branch-001.forced.json").write_bytes(b"{")
    assert force(state) is None

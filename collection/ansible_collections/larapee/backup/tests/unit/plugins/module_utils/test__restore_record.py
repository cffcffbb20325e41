# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _restore_record
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path

BRANCH = "branch-001"
WISH = {"source": "/srv/copy", "to": "latest"}
BEGUN = dt.datetime(2026, 3, 5, 3, 0, tzinfo=dt.UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime]:
    """What it is set to, moved on by the test."""
    times = [BEGUN]
    monkeypatch.setattr(_clock, "now", lambda: times[-1])
    return times


def start(state: Path, *, check_mode: bool = False, anew: bool = False, **wish: str) -> dict[str, Any]:
    found: dict[str, Any] = _restore_record.start(
        str(state), branch=BRANCH, wish={**WISH, **wish}, anew=anew, check_mode=check_mode
    )
    return found


def take(state: Path, step: str, *, why: str = "", **facts: object) -> dict[str, Any]:
    _restore_record.begin(str(state), branch=BRANCH, step=step, facts={})
    found: dict[str, Any] = _restore_record.end(str(state), branch=BRANCH, step=step, why=why, facts=facts)
    return found


def test_a_second_start_goes_on_after_the_last_good_step(tmp_path: Path) -> None:
    first = start(tmp_path)
    take(tmp_path, "stop")
    take(tmp_path, "database", kept={"schema": "larapos_before_restore"})
    take(tmp_path, "files", why="disk full")
    _restore_record.begin(str(tmp_path), branch=BRANCH, step="migrate", facts={})
    again = start(tmp_path)
    assert again["id"] == first["id"]
    assert _restore_record.done(again) == ["stop", "database"]
    assert again["facts"] == {"kept": {"schema": "larapos_before_restore"}}


def test_a_step_that_failed_and_ended_well_later_tells_no_reason(tmp_path: Path) -> None:
    start(tmp_path)
    take(tmp_path, "files", why="disk full")
    (told,) = _restore_record.report(take(tmp_path, "files"))["steps"]
    assert told == {"name": "files", "result": "OK", "seconds": told["seconds"]}


def test_another_restore_is_not_begun_over_one_that_has_not_ended(tmp_path: Path) -> None:
    start(tmp_path)
    take(tmp_path, "stop")
    before = (tmp_path / "restores" / f"{BRANCH}.json").read_bytes()
    with pytest.raises(
        BackupError, match=r"has not ended \(steps done: stop\), and it has another source, to"
    ) as caught:
        start(tmp_path, source="/srv/other", to="set:4")
    assert caught.value.reason == "another_restore"
    assert (tmp_path / "restores" / f"{BRANCH}.json").read_bytes() == before


def test_what_stood_there_before_outlives_a_restore_that_is_begun_anew(tmp_path: Path) -> None:
    start(tmp_path)
    _restore_record.begin(str(tmp_path), branch=BRANCH, step="stop", facts={"uploads": {"inode": 7}})
    anew = start(tmp_path, anew=True, to="set:4")
    assert _restore_record.done(anew) == []
    assert _restore_record.begun(anew) == ["stop"]
    found = _restore_record.begin(str(tmp_path), branch=BRANCH, step="stop", facts={"uploads": {"inode": 9}})
    assert found["facts"] == {"uploads": {"inode": 7}}


def test_a_restore_that_has_ended_is_not_gone_on_with(tmp_path: Path) -> None:
    first = start(tmp_path)
    take(tmp_path, "stop", kept=1)
    _restore_record.close(str(tmp_path), branch=BRANCH, outcome="open")
    second = start(tmp_path)
    assert second["id"] != first["id"]
    assert (second["facts"], second["steps"]) == ({}, [])


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    start(tmp_path, check_mode=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_a_damaged_record_is_nothing_to_go_by(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "restores").mkdir()
    (tmp_path / "restores" / f"{BRANCH}.json").write_bytes(content)
    with pytest.raises(BackupError, match="remove the file to begin with the first step") as caught:
        start(tmp_path)
    assert caught.value.reason == "bad_record"


def test_a_step_of_no_restore_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError) as caught:
        take(tmp_path, "stop")
    assert caught.value.reason == "no_restore"


def test_the_shop_is_down_from_its_first_stop_to_its_opening_whatever_came_between(
    tmp_path: Path, clock: list[dt.datetime]
) -> None:
    start(tmp_path)
    clock.append(BEGUN + dt.timedelta(seconds=5))
    take(tmp_path, "stop")
    take(tmp_path, "database", why="killed")
    assert _restore_record.report(start(tmp_path))["down_s"] is None
    clock.append(BEGUN + dt.timedelta(seconds=100))
    take(tmp_path, "stop")
    take(tmp_path, "database")
    clock.append(BEGUN + dt.timedelta(seconds=130))
    take(tmp_path, "open")
    clock.append(BEGUN + dt.timedelta(seconds=1930))
    take(tmp_path, "watch")
    report = _restore_record.report(_restore_record.close(str(tmp_path), branch=BRANCH, outcome="open"))
    assert (report["down_s"], report["total_s"], report["outcome"]) == (125.0, 1930.0, "open")
    json.dumps(report)

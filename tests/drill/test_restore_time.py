# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the owner of a shop is told to wait, by rows of earlier drills and restores."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    load_settings,
    open_store,
)
from ansible_collections.larapee.backup.plugins.plugin_utils._restore_time import look

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Settings

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
STEPS = [{"name": "database", "result": "OK", "seconds": 90.0}, {"name": "watch", "result": "OK", "seconds": 1800.0}]
RESTORE = {"total_s": 1920.0, "steps": STEPS, "plan": {"plain_size": 5_000_000}}
DRILL = {"total_s": 300.0, "steps": STEPS[:1], "database_bytes": 7_000_000}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        {
            "LARAPEE_BACKUP_STATE_DIR": str(tmp_path / "state"),
            "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{tmp_path / 'runs.sqlite'}",
        }
    )


def note(settings: Settings, days: float, kind: str, details: dict[str, Any], **more: Any) -> None:
    row = RunRecord(
        run_id=str(uuid.uuid4()),
        kind=kind,
        started_at=NOW - timedelta(days=days),
        host="staging",
        launcher="timer",
        playbook="test",
        details=details,
        **{"branch": "branch-001", "status": "success", "evidence": Evidence.OBSERVED, **more},
    )
    with contextlib.closing(open_store(settings.runs_url)) as store:
        store.upsert([row])


def test_the_newest_good_one_counts_without_the_watch(settings: Settings) -> None:
    assert look(settings, branch="branch-001") is None
    note(settings, 9, "drill", DRILL)
    told = look(settings, branch="branch-001")
    assert told == {"kind": "drill", "at": "2026-11-15T03:00:00Z", "seconds": 300.0, "database_bytes": 7_000_000}
    note(settings, 2, "restore", RESTORE)
    told = look(settings, branch="branch-001")
    assert told == {"kind": "restore", "at": "2026-11-22T03:00:00Z", "seconds": 120.0, "database_bytes": 5_000_000}
    assert look(settings, branch="branch-002") is None


@pytest.mark.parametrize(
    ("details", "more"),
    [
        (RESTORE, {"status": "failed"}),
        (RESTORE, {"check_mode": True}),
        ({}, {}),
        ({"plan": {"plain_size": 5_000_000}}, {}),
        ({**RESTORE, "plan": None}, {}),
        ({**RESTORE, "steps": None}, {}),
        ({**RESTORE, "total_s": "soon"}, {}),
    ],
)
def test_what_says_nothing_of_a_whole_restore_is_passed_over(
    settings: Settings, details: dict[str, Any], more: dict[str, Any]
) -> None:
    note(settings, 9, "drill", DRILL)
    note(settings, 1, "restore", details, **more)
    told = look(settings, branch="branch-001")
    assert told is not None
    assert told["kind"] == "drill"

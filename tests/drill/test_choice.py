# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose backups the next drill proves."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._drill_choice import Candidate, choose, look
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    load_settings,
    open_store,
    utc_now,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Settings

ESTATE = ["branch-001", "branch-002", "branch-003"]
NOW = utc_now()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        {
            "LARAPEE_BACKUP_STATE_DIR": str(tmp_path / "state"),
            "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{tmp_path / 'runs.sqlite'}",
        }
    )


def note(
    settings: Settings, branch: str, days: float, kind: str = "drill", status: str = "success", **more: Any
) -> None:
    row = RunRecord(
        run_id=str(uuid.uuid4()),
        branch=branch,
        kind=kind,
        status=status,
        started_at=NOW - timedelta(days=days),
        host="staging",
        launcher="timer",
        playbook="test",
        **{"evidence": Evidence.OBSERVED, **more},
    )
    with contextlib.closing(open_store(settings.runs_url)) as store:
        store.upsert([row])


def chosen(settings: Settings) -> Candidate:
    return choose(look(settings, ESTATE))


def test_never_proven_then_proven_longest_ago(settings: Settings) -> None:
    assert chosen(settings).branch == "branch-001"
    note(settings, "branch-001", 20)
    note(settings, "branch-003", 10)
    assert chosen(settings).branch == "branch-002"
    note(settings, "branch-002", 5)
    assert chosen(settings).branch == "branch-001"


def test_what_counts_for_nothing(settings: Settings) -> None:
    for number, branch in enumerate(ESTATE):
        note(settings, branch, 20 - number)
    note(settings, "branch-001", 1, check_mode=True)
    note(settings, "branch-001", 1, status="pending", evidence=Evidence.PENDING)
    note(settings, "branch-002", 1, status="failed", details={"reason": "lock_held"})
    assert chosen(settings).branch == "branch-001"


@pytest.mark.parametrize("kind", ["drill", "verify"])
def test_an_anomaly_goes_first(settings: Settings, kind: str) -> None:
    for number, branch in enumerate(ESTATE):
        note(settings, branch, 20 - number)
    note(settings, "branch-002", 15, kind=kind, status="failed", error="a flipped byte")
    note(settings, "branch-003", 1)
    found = chosen(settings)
    assert found.branch == "branch-002"
    assert "a flipped byte" in found.anomaly


def test_one_that_keeps_failing_leaves_room_for_the_others(settings: Settings) -> None:
    drilled = []
    for day in range(6, 0, -1):
        branch = chosen(settings).branch
        drilled.append(branch)
        note(settings, branch, day, status="failed" if branch == "branch-001" else "success")
    assert drilled == ["branch-001", "branch-002", "branch-001", "branch-003", "branch-001", "branch-002"]


def test_the_highest_set_that_a_row_knows(settings: Settings) -> None:
    note(settings, "branch-001", 20, details={"set": 7})
    note(settings, "branch-001", 10, kind="full", details={"set": 9})
    note(settings, "branch-001", 5, kind="log", details={"set": True})
    assert look(settings, ["branch-001"])[0].known_set == 9
    assert look(settings, ["branch-002"])[0].known_set == 0

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status is computed from rows alone; each objective has a row that keeps it and one that breaks it."""

from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from larapee_runner.recorder import Evidence, RunRecord
from larapee_runner.status import branch_status, document

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
ALL = frozenset({"full", "increment", "log", "verify", "drill", "restore"})
TODAY = frozenset({"full", "verify", "restore"})
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/status.schema.json").read_text(encoding="utf-8"))


def row(
    kind: str | None, *, age: timedelta, status: str = "success", branch: str | None = "branch-001", **more: Any
) -> RunRecord:
    end = NOW - age
    point = end.strftime("%Y-%m-%dT%H:%M:%SZ") if kind in ("full", "increment", "log") and status == "success" else None
    record = RunRecord(
        run_id=str(uuid.uuid4()),
        branch=branch,
        kind=kind,
        status=status,
        started_at=end - timedelta(seconds=30),
        finished_at=None if status == "pending" else end,
        duration_s=None if status == "pending" else 30.0,
        host="branch-001",
        launcher="timer",
        playbook="larapee.backup.branch_backup",
        recovery_point=point,
        evidence=Evidence.PENDING if status == "pending" else Evidence.OBSERVED,
        details={"plan": {}, "uploads": {"plan": {"paths": []}}} if kind == "restore" else {},
    )
    return dataclasses.replace(record, **more)


def states(rows: list[RunRecord], available: frozenset[str] = ALL) -> dict[str, str]:
    status = branch_status("branch-001", rows, now=NOW, available=available)
    return {objective.name: objective.state for objective in status.objectives}


@pytest.fixture
def good() -> list[RunRecord]:
    return [
        row("full", age=timedelta(hours=15)),
        row("log", age=timedelta(minutes=4)),
        row("verify", age=timedelta(hours=12)),
        row("drill", age=timedelta(days=3), duration_s=1500.0),
    ]


def test_all_objectives_met(good: list[RunRecord]) -> None:
    assert states(good) == {"rpo": "ok", "rto": "ok", "verify": "ok", "drill": "ok", "coverage": "ok"}
    assert branch_status("branch-001", good, now=NOW, available=ALL).ok


@pytest.mark.parametrize(("minutes", "state"), [(0, "ok"), (14, "ok"), (15, "ok"), (15.1, "broken"), (90, "broken")])
def test_rpo_is_the_age_of_the_newest_recovery_point(minutes: float, state: str) -> None:
    rows = [row("full", age=timedelta(hours=15)), row("log", age=timedelta(minutes=minutes))]
    assert states(rows)["rpo"] == state


def test_rpo_follows_the_recovery_point_and_not_the_end_of_the_run() -> None:
    stale = row("full", age=timedelta(minutes=1), recovery_point="2026-11-22T13:00:00Z")
    assert states([stale])["rpo"] == "broken"


def test_rpo_without_log_runs_says_why_it_is_broken() -> None:
    status = branch_status("branch-001", [row("full", age=timedelta(hours=2))], now=NOW, available=TODAY)
    rpo = status.objectives[0]
    assert (rpo.name, rpo.state, rpo.value_s) == ("rpo", "broken", 7200.0)
    assert "takes no log runs yet" in rpo.detail
    assert status.missing == ["verify"]


@pytest.mark.parametrize("point", [None, "yesterday"])
def test_a_success_without_a_usable_recovery_point_meets_no_rpo(point: str | None) -> None:
    assert states([row("full", age=timedelta(minutes=1), recovery_point=point)])["rpo"] == "broken"


def test_a_recovery_point_in_the_future_is_a_clock_fault_and_not_a_success() -> None:
    status = branch_status(
        "branch-001", [row("full", age=timedelta(0), recovery_point="2026-11-22T15:30:00Z")], now=NOW, available=ALL
    )
    assert status.objectives[0].state == "broken"
    assert "check the clocks" in status.objectives[0].detail


def test_a_verification_that_failed_is_not_made_good_by_an_earlier_success() -> None:
    good = [row("full", age=timedelta(minutes=1)), row("verify", age=timedelta(hours=1))]
    bad = row("verify", age=timedelta(minutes=5), status="failed")
    assert states(good)["verify"] == "ok"
    assert states([*good, bad])["verify"] == "broken"
    assert states([*good, bad, row("verify", age=timedelta(minutes=2))])["verify"] == "ok"
    of_hot = row("verify", age=timedelta(minutes=2), details={"place": "hot"})
    assert states([*good, bad, of_hot])["verify"] == "broken", "another place's says nothing of this one"
    missed = row("verify", age=timedelta(minutes=1), status="failed", details={"missed": {"job": "verify"}})
    assert states([*good, missed])["verify"] == "ok", "its absence shows by the age"


def test_a_key_that_opened_a_full_verified_nothing_and_one_that_did_not_is_told() -> None:
    old, key = row("verify", age=timedelta(hours=30)), row("verify", age=timedelta(hours=1), details={"place": "key"})
    assert states([old, key])["verify"] == "broken"
    good = row("verify", age=timedelta(hours=2))
    failed = row("verify", age=timedelta(minutes=5), status="failed", details={"place": "key"})
    assert states([good, key])["verify"] == "ok"
    assert states([good, key, failed])["verify"] == "broken"
    status = branch_status("branch-001", [good, failed], now=NOW, available=ALL)
    assert (
        status.objectives[2].detail.startswith("the last one (key) failed"),
        status.places[0]["last_verification"],
    ) == (
        True,
        "success",
    )


def test_a_verification_in_the_future_is_a_clock_fault() -> None:
    assert states([row("verify", age=-timedelta(hours=1))])["verify"] == "broken"


def test_check_mode_counts_for_no_objective(good: list[RunRecord]) -> None:
    assert set(states([dataclasses.replace(record, check_mode=True) for record in good]).values()) == {
        "broken",
        "not_run",
    }


def test_failed_and_pending_rows_count_for_no_objective() -> None:
    rows = [
        row(kind, age=timedelta(minutes=1), status=end) for kind in ("full", "verify") for end in ("failed", "pending")
    ]
    assert states(rows)["rpo"] == "broken"
    assert states(rows)["verify"] == "broken"


@pytest.mark.parametrize(("kind", "kept", "broken"), [("verify", 26, 26.1), ("drill", 8 * 24, 8 * 24 + 1)])
def test_ages(kind: str, kept: float, broken: float) -> None:
    assert states([row(kind, age=timedelta(hours=kept))])[kind] == "ok"
    assert states([row(kind, age=timedelta(hours=broken))])[kind] == "broken"


def test_a_kind_that_this_installation_lacks_is_not_run_and_breaks_nothing() -> None:
    rows = [row("full", age=timedelta(minutes=1)), row("verify", age=timedelta(hours=1))]
    status = branch_status("branch-001", rows, now=NOW, available=TODAY)
    drill = status.objectives[3]
    assert (drill.state, drill.detail) == (
        "not_run",
        "NOT RUN: no drill is recorded on this machine; status tells where they are held",
    )
    assert "drill" not in status.missing
    assert status.ok


def test_a_kind_that_is_there_and_never_succeeded_is_broken() -> None:
    rows = [row("full", age=timedelta(minutes=1)), row("drill", age=timedelta(days=1), status="failed")]
    status = branch_status("branch-001", rows, now=NOW, available=ALL)
    assert [objective.state for objective in status.objectives] == ["ok", "not_run", "broken", "broken", "broken"]
    assert status.missing == ["increment", "log", "verify", "drill"]
    assert not status.ok


@pytest.mark.parametrize("kind", ["restore", "drill"])
def test_rto_is_the_time_of_the_newest_restore(kind: str) -> None:
    assert states([row(kind, age=timedelta(days=1), duration_s=3600.0)])["rto"] == "ok"
    assert states([row(kind, age=timedelta(days=1), duration_s=3601.0)])["rto"] == "broken"


@pytest.mark.parametrize(
    "details",
    [{"plan": {}}, {"uploads": {"plan": {"paths": []}}}, {"plan": {}, "uploads": {"plan": {"paths": ["a.jpg"]}}}],
    ids=["database alone", "uploads alone", "one file"],
)
def test_a_restore_of_a_part_says_nothing_of_the_rto(details: dict[str, Any]) -> None:
    rows = [row("restore", age=timedelta(days=1), duration_s=4.0, details=details)]
    assert states(rows)["rto"] == "not_run"


def test_the_newest_restoring_run_counts() -> None:
    rows = [
        row("drill", age=timedelta(days=1), duration_s=60.0),
        row("restore", age=timedelta(days=2), duration_s=9000.0),
    ]
    assert states(rows)["rto"] == "ok"


def test_document_without_a_branch_is_not_ok() -> None:
    report = document([], now=NOW, available=ALL, journal_records=0, table_error=None)
    assert report["ok"] is False
    jsonschema.validate(report, SCHEMA)


def test_document_without_its_table_is_not_ok(good: list[RunRecord]) -> None:
    report = document(good, now=NOW, available=ALL, journal_records=4, table_error="Failed to open")
    assert report["ok"] is False
    assert report["table"] == {"reachable": False, "error": "Failed to open"}
    jsonschema.validate(report, SCHEMA)


def test_document_of_several_branches(good: list[RunRecord]) -> None:
    rows = [
        *good,
        row("full", age=timedelta(days=2), branch="branch-002"),
        row("full", age=timedelta(days=1), status="failed", branch="branch-002", error="Failed to dump: disk full."),
        row("verify", age=timedelta(minutes=3), status="pending", branch="branch-002"),
        row(None, age=timedelta(minutes=1), status="pending", branch=None),
    ]
    report = document(rows, now=NOW, available=ALL, journal_records=0, table_error=None)
    jsonschema.validate(report, SCHEMA)
    first, second = report["branches"]
    assert (first["branch"], first["ok"], second["branch"], second["ok"]) == ("branch-001", True, "branch-002", False)
    assert report["ok"] is False
    assert second["last_failure"]["error"] == "Failed to dump: disk full."
    assert [pending["kind"] for pending in second["pending"]] == ["verify"]
    assert len(report["unassigned_pending"]) == 1
    assert first["last_success"]["log"]["age_s"] == 240.0
    assert first["last_success"]["offsite"] is None


TOLD = {
    "from": "2026-11-20T03:00:00Z",
    "until": "2026-11-22T14:25:00Z",
    "full": "db-20261122-0300.sql.zst.age",
    "chain_length": 137,
    "gaps": [{"after": "2026-11-21T10:00:00Z", "before": "2026-11-21T10:30:00Z", "why": "a gap: db-1 is missing"}],
    "gap_count": 3,
}


def test_what_can_be_restored_is_what_the_newest_backup_run_told() -> None:
    rows = [
        row("full", age=timedelta(hours=9), details={"recoverable": {**TOLD, "until": "2026-11-22T05:00:00Z"}}),
        row("log", age=timedelta(minutes=4), status="failed", details={"recoverable": TOLD}),
        row("log", age=timedelta(minutes=2), details={"position": {}}),
        row("log", age=timedelta(minutes=1), status="pending", details={"recoverable": {}}),
        row("verify", age=timedelta(minutes=1), details={"recoverable": {"until": "2026-11-22T14:29:00Z"}}),
    ]
    report = document(rows, now=NOW, available=ALL, journal_records=0, table_error=None)
    jsonschema.validate(report, SCHEMA)
    assert report["branches"][0]["recoverable"] == {
        "from": "2026-11-20T03:00:00Z",
        "until": "2026-11-22T14:25:00Z",
        "age_s": 300.0,
        "chain_length": 137,
        "gap_count": 3,
        "gaps": TOLD["gaps"],
        "told_at": "2026-11-22T14:26:00Z",
    }


def test_where_no_run_told_what_can_be_restored_nothing_is_claimed(good: list[RunRecord]) -> None:
    report = document(good, now=NOW, available=ALL, journal_records=0, table_error=None)
    jsonschema.validate(report, SCHEMA)
    assert report["branches"][0]["recoverable"] is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"from": 5, "until": "yesterday", "chain_length": "9", "gap_count": True, "gaps": "many"},
        {"from": None, "until": None, "chain_length": -1, "gaps": [None, {}, {"after": "never"}]},
        {"gaps": [{"after": "2026-11-21T10:00:00Z"}], "gap_count": 0},
        {"until": "2026-11-22T14:31:00Z"},
    ],
)
def test_whatever_a_row_says_the_document_keeps_to_its_schema(said: dict[str, Any]) -> None:
    rows = [row("log", age=timedelta(minutes=4), details={"recoverable": said})]
    jsonschema.validate(document(rows, now=NOW, available=ALL, journal_records=0, table_error=None), SCHEMA)

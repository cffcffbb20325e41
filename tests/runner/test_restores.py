# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drills and restores prove and measure; each row that proves has beside it one that almost does."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from larapee_runner.history import load_history
from larapee_runner.recorder import Evidence, RunRecord, Settings, open_store, utc_now
from larapee_runner.restores import is_proof
from larapee_runner.status import Objective, branch_status, document

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/status.schema.json").read_text(encoding="utf-8"))
GIB = 1024**3
MISSING = object()


def row(
    kind: str, *, days: float, branch: str = "branch-001", status: str = "success", now: datetime = NOW, **more: Any
) -> RunRecord:
    end = now - timedelta(days=days)
    record = RunRecord(
        run_id=str(uuid.uuid4()),
        branch=branch,
        kind=kind,
        status=status,
        started_at=end - timedelta(seconds=600),
        finished_at=end,
        duration_s=600.0,
        host="staging",
        launcher="timer",
        playbook=f"larapee.backup.{kind}",
        evidence=Evidence.OBSERVED,
    )
    return dataclasses.replace(record, **more)


def steps(**results: Any) -> list[dict[str, Any]]:
    return [{"name": name, "result": result, "seconds": seconds} for name, (result, seconds) in results.items()]


def drill(*, days: float, branch: str = "branch-001", **more: Any) -> RunRecord:
    details = {"steps": steps(database=("OK", 60.0), uploads=("OK", 20.0)), "total_s": 80.0}
    return row("drill", days=days, branch=branch, **{"details": details, **more})


def judged(name: str, rows: list[RunRecord], *, branch: str = "branch-001", weeks: int = 0) -> Objective:
    status = branch_status(branch, rows, now=NOW, available=frozenset({"drill"}), coverage_weeks=weeks)
    (found,) = [objective for objective in status.objectives if objective.name == name]
    return found


def shop(*, days: float = 1, **more: Any) -> RunRecord:
    """A restore of the shop: ten minutes of database, two of files, half an hour of watching after it opened."""
    told = steps(stop=("OK", 5.0), database=("OK", 600.0), files=("OK", 120.0), open=("OK", 5.0), watch=("OK", 1800.0))
    details = {
        "plan": {"plain_size": GIB},
        "seconds": {"choose": 1.0, "start": 9.0, "load": 290.0, "transfer": 300.0},
        "steps": told,
        "down_s": 740.0,
        "total_s": 2560.0,
    }
    return row("restore", days=days, **{"duration_s": 2600.0, "details": details, **more})


def restored(rows: list[RunRecord]) -> dict[str, Any] | None:
    report = document(rows, now=NOW, available=frozenset({"drill"}), journal_records=0, table_error=None)
    jsonschema.validate(report, SCHEMA)
    found: dict[str, Any] | None = report["branches"][0]["restore"]
    return found


def test_a_drill_of_any_branch_keeps_the_drill_objective_but_proves_only_its_own() -> None:
    rows = [drill(days=2, branch="branch-002"), drill(days=14), row("full", days=1, branch="branch-003")]
    for branch in ("branch-001", "branch-002", "branch-003"):
        found = judged("drill", rows, branch=branch)
        assert (found.state, found.value_s) == ("ok", 2 * 86400)
        assert "(branch-002)" in found.detail
    assert [judged("coverage", rows, branch=branch).state for branch in ("branch-001", "branch-002")] == ["ok", "ok"]
    never = judged("coverage", rows, branch="branch-003")
    assert (never.state, never.value_s, never.detail) == ("broken", None, "no drill has proven this branch")


@pytest.mark.parametrize(
    ("branches", "weeks", "days", "state"),
    [
        (1, 0, 8, "ok"),
        (1, 0, 8.1, "broken"),
        (3, 0, 22, "ok"),
        (3, 0, 22.1, "broken"),
        (3, 5, 36, "ok"),
        (3, 5, 36.1, "broken"),
        (9, 1, 8.1, "broken"),
    ],
)
def test_coverage_has_as_many_weeks_as_branches_or_as_were_said(
    branches: int, weeks: int, days: float, state: str
) -> None:
    rows = [drill(days=days), *(row("full", days=1, branch=f"branch-{number:03}") for number in range(2, branches + 1))]
    assert judged("coverage", rows, weeks=weeks).state == state


@pytest.mark.parametrize(
    ("details", "proves"),
    [
        ({}, True),
        ({"steps": steps(database=("OK", 1), uploads=("OK", 1), config=("OK", 1))}, True),
        ({"steps": steps(database=("OK", 1), uploads=("OK", 1), config=("left out", 0))}, True),
        ({"steps": steps(database=("OK", 1), uploads=("left out", 0))}, False),
        ({"steps": steps(database=("left out", 0), uploads=("OK", 1))}, False),
        ({"steps": steps(database=("OK", 1), fingerprint=("NOT RUN", 0), uploads=("OK", 1))}, False),
        ({"steps": steps(database=("OK", 1), uploads=("FAILED", 1))}, False),
        ({"steps": [{"name": "database"}]}, False),
        ({"missed": {"job": "drill"}}, False),
    ],
)
def test_what_was_not_run_proves_nothing(details: dict[str, Any], *, proves: bool) -> None:
    found = drill(days=1, details=details)
    assert is_proof(found) is proves
    others = [drill(days=1, branch="branch-002"), found]
    assert judged("coverage", others).state == ("ok" if proves else "broken")


def test_a_restore_a_preview_and_a_drill_that_failed_prove_nothing() -> None:
    for almost in (shop(), drill(days=1, check_mode=True), drill(days=1, status="failed")):
        assert judged("coverage", [almost, drill(days=1, branch="branch-002")]).state == "broken"


def test_a_drill_that_failed_takes_back_what_an_earlier_one_proved_until_one_is_good() -> None:
    proven, failed = drill(days=6), drill(days=2, status="failed", details={"reason": "stale_set"})
    found = judged("coverage", [proven, failed])
    assert (found.state, failed.run_id in found.detail) == ("broken", True)
    assert judged("coverage", [proven, failed, drill(days=1)]).state == "ok"
    # It did nothing: another was at work.
    beside = drill(days=2, status="failed", details={"reason": "lock_held"})
    assert judged("coverage", [proven, beside]).state == "ok"


def test_where_no_drill_is_held_none_is_judged_unless_somebody_said_so() -> None:
    rows = [row("full", days=0.001)]
    assert [judged(name, rows).state for name in ("drill", "coverage")] == ["not_run", "not_run"]
    assert [judged(name, rows, weeks=5).state for name in ("drill", "coverage")] == ["broken", "broken"]


def test_a_restore_is_judged_until_the_shop_was_open_and_not_until_its_logs_were_watched() -> None:
    found = judged("rto", [shop()])
    assert (found.state, found.value_s) == ("ok", 800.0)
    assert "the shop was down for 12 min 20 s" in found.detail
    # Started again after it failed: the first start counts, not the last run of the playbook.
    again = shop(duration_s=60.0)
    again.details["total_s"] = 1800.0 + 3601.0
    assert (judged("rto", [again]).state, judged("rto", [again]).value_s) == ("broken", 3601.0)


def test_a_shop_restore_that_did_not_do_all_of_it_says_nothing_of_the_rto() -> None:
    part = shop()
    part.details["steps"] = steps(database=("OK", 600.0), open=("OK", 1.0))
    stopped = shop(status="failed")
    assert [judged("rto", [each]).state for each in (part, stopped)] == ["not_run", "not_run"]


def test_a_drill_that_took_too_long_breaks_the_rto() -> None:
    slow = drill(days=1, status="failed")
    slow.details.update(total_s=4000.0, reason="over_rto")
    assert (judged("rto", [slow]).state, judged("rto", [slow]).value_s) == ("broken", 4000.0)


def test_the_database_that_fits_is_as_much_as_its_own_speed_brings_in_the_time_that_the_rest_leaves() -> None:
    told = restored([shop()])
    assert told is not None
    assert (told["total_s"], told["down_s"], told["time_to_open_s"]) == (2560.0, 740.0, 800.0)
    assert told["database_bytes"] == GIB
    # 591 seconds for a GiB; 209 of the 800 do not grow with it, the start of a server among them.
    assert told["fits_bytes"] == int(GIB * (3600 - 209) / 591)
    assert told["measured_at"] == told["finished_at"] == "2026-11-21T14:30:00Z"


def test_a_drill_measures_by_its_step() -> None:
    measured = drill(days=1)
    measured.details["database_bytes"] = GIB
    told = restored([measured])
    assert told is not None
    assert told["fits_bytes"] == int(GIB * (3600 - 20) / 60)


def test_the_rest_alone_may_leave_no_time_for_any_database() -> None:
    slow = shop(duration_s=1800.0 + 5000.0)
    told = restored([slow])
    assert told is not None
    assert told["fits_bytes"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan", {"plain_size": 4 * 1024**2 - 1}),
        ("plan", {"plain_size": True}),
        ("plan", MISSING),
        ("seconds", {"load": 0.01}),
        ("seconds", {"load": "long", "transfer": float("nan")}),
    ],
    ids=["small", "no size", "no plan", "too quick", "no times"],
)
def test_what_was_not_measured_is_unknown(name: str, value: Any) -> None:
    unmeasured = shop()
    unmeasured.details.pop(name)
    if value is not MISSING:
        unmeasured.details[name] = value
    told = restored([unmeasured])
    assert told is not None
    assert (told["fits_bytes"], told["measured_at"]) == (None, None)
    older = restored([unmeasured, shop(days=3)])
    assert older is not None
    assert (older["run_id"], older["measured_at"]) == (unmeasured.run_id, "2026-11-19T14:30:00Z")


def test_without_a_restore_there_is_nothing_to_tell() -> None:
    assert restored([row("full", days=1)]) is None


@pytest.mark.parametrize(
    "details",
    [
        {"steps": "many", "total_s": "long", "down_s": -1, "plan": [], "seconds": 5},
        {"steps": [None, 3, {}, {"name": 7, "result": None, "seconds": True}], "down_s": float("inf")},
        {"steps": [], "total_s": float("nan"), "down_s": None, "plan": {"plain_size": -5}, "database_bytes": "x"},
    ],
)
def test_whatever_a_row_says_the_document_keeps_to_its_schema(details: dict[str, Any]) -> None:
    for kind in ("restore", "drill"):
        restored([row(kind, days=1, details={**details, "uploads": {"plan": {"paths": []}}})])


def test_a_failed_drill_is_found_however_long_ago_and_is_no_failure_of_these_days(tmp_path: Path) -> None:
    now = utc_now()
    settings = Settings(runs_url=f"sqlite:///{tmp_path}/runs.sqlite", state_path=tmp_path, config_path=tmp_path / "no")
    failed = row("drill", days=20, status="failed", now=now)
    missed = row("drill", days=20, status="failed", now=now, details={"missed": {"job": "drill"}})
    with contextlib.closing(open_store(settings.runs_url)) as store:
        store.upsert([row("drill", days=30, now=now), failed, missed])
    rows = load_history(settings, now=now).rows
    assert failed.run_id in {each.run_id for each in rows}
    (status,) = document(rows, now=now, available=frozenset(), journal_records=0, table_error=None, coverage_weeks=9)[
        "branches"
    ]
    assert status["last_failure"] is None
    assert status["missed"] == []
    assert status["objectives"][4]["state"] == "broken"


def test_the_command_shows_what_fits_and_takes_the_weeks_from_the_configuration(tmp_path: Path) -> None:
    now = utc_now()
    url = f"sqlite:///{tmp_path}/runs.sqlite"
    with contextlib.closing(open_store(url)) as store:
        store.upsert([shop(), row("full", days=0, branch="branch-002", now=now), drill(days=1, now=now)])
    config = tmp_path / "config.yml"
    config.write_text("coverage_weeks: 7\n", encoding="utf-8")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LARAPEE_BACKUP_STATE_DIR": str(tmp_path),
        "LARAPEE_BACKUP_RUNS_URL": url,
        "LARAPEE_BACKUP_CONFIG": str(config),
    }

    def run(*arguments: str) -> str:
        argv = [sys.executable, "-m", "larapee_runner", "status", *arguments]
        return subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    shown = run()
    assert "database that fits 60 min" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("branch-002") and "unknown" in line]
    assert line.split()[:3] == ["branch-002", "never", "-"]
    told = json.loads(run("--json", "--branch", "branch-002"))
    jsonschema.validate(told, SCHEMA)
    assert told["limits_s"]["coverage"] == 50 * 86400
    # The drill of the other branch counts for the estate, and is not shown.
    assert [(branch["branch"], branch["objectives"][3]["state"]) for branch in told["branches"]] == [
        ("branch-002", "ok")
    ]

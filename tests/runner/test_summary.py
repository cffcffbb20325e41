# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told at the end of a run."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from larapee_runner.outcome import ExitCode, Seen
from larapee_runner.recorder import RunRecord
from larapee_runner.run import Report
from larapee_runner.summary import show_summary

if TYPE_CHECKING:
    import pytest

PLAN = {"artifact": "db-20261122-2315.sql.gz.age", "replaces": None, "position": {"file": "bin.000001", "position": 4}}


def report(*, check_mode: bool, details: dict[str, Any]) -> Report:
    pending = RunRecord.pending(run_id=str(uuid.uuid4()), playbook="p", launcher="cli", check_mode=check_mode)
    row = dataclasses.replace(pending, branch="branch-001", kind="restore").ended("success", details=details)
    return Report(run_id=row.run_id, code=ExitCode.OK, seen=Seen(rc=0, stats=True), output=None, rows=[row])


def test_a_preview_tells_its_plan(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(report(check_mode=True, details={"plan": PLAN}), quiet=False, verbose=False)
    shown = capsys.readouterr().out
    assert "artifact: db-20261122-2315.sql.gz.age" in shown
    assert "replaces: nothing" in shown
    assert "position: file bin.000001, position 4" in shown


def test_a_run_that_failed_shows_no_size_and_no_recovery_point(capsys: pytest.CaptureFixture[str]) -> None:
    told = report(check_mode=False, details={})
    made = dataclasses.replace(told.rows[0], bytes=2048, recovery_point="2026-11-21T23:15:00Z")
    for status, shown in (("success", True), ("failed", False)):
        told.rows[:] = [dataclasses.replace(made, status=status)]
        show_summary(told, quiet=False, verbose=False)
        line = capsys.readouterr().out.splitlines()[-1]
        assert ("2.0 KiB" in line, "2026-11-21T23:15:00Z" in line) == (shown, shown)


def test_a_run_does_not_repeat_its_plan_but_tells_its_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    details = {"plan": PLAN, "warnings": ["Newer fulls were passed over."]}
    show_summary(report(check_mode=False, details=details), quiet=False, verbose=False)
    shown = capsys.readouterr().out
    assert "replaces" not in shown
    assert "warning: branch-001: Newer fulls were passed over." in shown


def test_plans_and_warnings_of_the_files_are_told_beside_those_of_the_database(
    capsys: pytest.CaptureFixture[str],
) -> None:
    uploads = {"plan": {"target": "/var/www/uploads", "paths": []}, "warnings": ["Two photos changed."]}
    details = {"plan": PLAN, "uploads": uploads, "config": "nonsense"}
    show_summary(report(check_mode=True, details=details), quiet=False, verbose=False)
    shown = capsys.readouterr().out
    assert "  replaces: nothing" in shown
    assert "  uploads target: /var/www/uploads" in shown
    assert "warning: branch-001 uploads: Two photos changed." in shown


def test_a_retention_names_what_goes_what_replaces_it_and_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    gone = {"set": 3, "time": "2026-11-01T23:15:00Z", "bytes": 1024, "artifacts": ["db-1", "config-1"]}
    gone |= {"replaced_by": 9, "replaced_by_time": "2026-11-20T23:15:00Z"}
    kept = {"set": 4, "time": "2026-11-02T23:15:00Z", "code": "pinned", "why": "it is pinned"}
    details = {"deleted": [gone], "kept_over_age": [kept, "nonsense"], "freed": 1024}
    for check_mode, word in ((True, "would go"), (False, "went")):
        show_summary(report(check_mode=check_mode, details=details), quiet=False, verbose=False)
        shown = capsys.readouterr().out
        assert f"set 3 (2026-11-01T23:15:00Z) {word}, 1.0 KiB, replaced by set 9 (2026-11-20T23:15:00Z)" in shown
        assert "db-1, config-1" in shown
        assert "set 4 (2026-11-02T23:15:00Z) stays: it is pinned" in shown


def test_quiet_says_nothing_of_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(report(check_mode=True, details={"plan": PLAN}), quiet=True, verbose=False)
    assert capsys.readouterr().out == ""

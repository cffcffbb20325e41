# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _manifest, _report
from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome
from ansible_collections.larapee.backup.plugins.module_utils._restore import RestoreOutcome
from ansible_collections.larapee.backup.plugins.module_utils._verify import FAILED, OK, Check, VerifyOutcome
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import manifest_document

DOCUMENT = manifest_document("db-20261122-1432.sql.gz.age")
MANIFEST = _manifest.check_manifest(DOCUMENT)
ARTIFACT = {"name": MANIFEST.artifact, "size": MANIFEST.size, "sha256": MANIFEST.sha256}
POINT = "2026-11-22T14:32:00Z"


def outcome(*checks: Check) -> VerifyOutcome:
    return VerifyOutcome(checks=checks, unmanaged=("db-20260101-0000.sql.gz",), recovery_point=POINT, verified=())


def test_a_dump_reports_its_artifact_and_where_it_stands() -> None:
    report = _report.report_of_dump(DumpOutcome(plan={}, manifest=MANIFEST, warnings=["the clock"]))
    assert report["artifacts"] == [ARTIFACT]
    assert report["recovery_point"] == POINT
    assert report["details"]["position"] == DOCUMENT["end"]
    assert report["details"]["warnings"] == ["the clock"]


def test_a_dump_in_check_mode_reports_no_artifact() -> None:
    report = _report.report_of_dump(DumpOutcome(plan={"database": "larapos"}))
    assert report == {"artifacts": [], "recovery_point": None, "details": {"plan": {"database": "larapos"}}}


def test_a_restore_reports_what_was_restored() -> None:
    entry = _catalog.Entry(directory="/backups", manifest=MANIFEST, raw=b"")
    restored = RestoreOutcome(entry=entry, plan={"recovery_point": POINT}, seconds={"load": 1.5}, warnings=[])
    report = _report.report_of_restore(restored)
    assert report["artifacts"] == [ARTIFACT]
    assert report["details"] == {"plan": {"recovery_point": POINT}, "seconds": {"load": 1.5}}


def test_a_verification_reports_counts_and_failures() -> None:
    report = _report.report_of_verification(outcome(Check("a", "intact", OK), Check("b", "intact", FAILED, "gone")))
    assert report["details"]["levels"]["intact"] == {"OK": 1, "FAILED": 1, "NOT RUN": 0, "n/a here": 0}
    assert report["details"]["failures"] == [{"artifact": "b", "level": "intact", "status": "FAILED", "reason": "gone"}]
    assert report["details"]["unmanaged"] == ["db-20260101-0000.sql.gz"]


@pytest.mark.parametrize("report", [_report.report_of_dump(DumpOutcome(plan={}, manifest=MANIFEST))])
def test_a_report_is_json(report: dict[str, object]) -> None:
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize(
    ("failures", "text"),
    [
        (1, "Failed to verify /b: a0 intact FAILED: gone. Keep these files"),
        (3, "a0 intact FAILED: gone; a1 intact FAILED: gone; a2 intact FAILED: gone. Keep"),
        (5, "a2 intact FAILED: gone; and 2 more. Keep"),
    ],
)
def test_failures_are_one_line_that_names_the_first(failures: int, text: str) -> None:
    checks = [Check(f"a{number}", "intact", FAILED, "gone") for number in range(failures)]
    line = _report.describe_failures(outcome(*checks), "/b")
    assert text in line
    assert "\n" not in line

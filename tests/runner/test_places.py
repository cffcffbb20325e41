# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status at central: each place by its own rows, a branch's word only beside what central holds."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from larapee_runner.commands.status import _show
from larapee_runner.places import PLACES
from larapee_runner.recorder import Evidence, RunRecord
from larapee_runner.status import document

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/status.schema.json").read_text(encoding="utf-8"))


def stamp(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(kind: str, *, minutes: float, point: float | None = None, imported: bool = False, **more: Any) -> RunRecord:
    """A row that ended so many minutes ago, with a recovery point of so many."""
    end = NOW - timedelta(minutes=minutes)
    values: dict[str, Any] = {
        "run_id": str(uuid.uuid4()),
        "branch": "branch-001",
        "kind": kind,
        "status": "success",
        "started_at": end - timedelta(seconds=30),
        "finished_at": end,
        "duration_s": 30.0,
        "host": "branch-001" if imported else "central",
        "launcher": "timer",
        "playbook": "larapee.backup.any",
        "recovery_point": None if point is None else stamp(point),
        "evidence": Evidence.OBSERVED,
        **more,
    }
    values["details"] = {**({"imported": {"at": "x"}} if imported else {}), **more.get("details", {})}
    return RunRecord(**values)


def branch(*rows: RunRecord) -> dict[str, Any]:
    report = document(list(rows), now=NOW, available=frozenset(), journal_records=0, table_error=None)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    (found,) = report["branches"]
    assert [place["place"] for place in found["places"]] == list(PLACES)
    return dict(found)


def place(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in found["places"] if each["place"] == name)


def rpo(found: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in found["objectives"] if each["name"] == "rpo")


def test_each_place_is_told_by_its_own_rows() -> None:
    found = branch(
        row("full", minutes=700, point=700, imported=True),
        row("log", minutes=4, point=5, imported=True),
        row("sync", minutes=10, point=12),
        row("sync", minutes=3, point=9),
        row("offsite", minutes=60, point=70, details={"place": "hot"}),
        row("offsite", minutes=600, point=700, details={"place": "cold"}),
        row("verify", minutes=720, imported=True, details={"place": "cold"}),
        row("verify", minutes=300, playbook="playbooks/verify_central.yml"),
        row("verify", minutes=200, status="failed", error="x", playbook="larapee.backup.verify_central"),
        row("verify", minutes=400, details={"place": "hot"}),
    )
    assert [each["recoverable_until"] for each in found["places"]] == [stamp(5), stamp(9), stamp(70), stamp(700)]
    assert [each["verified_at"] for each in found["places"]] == [stamp(720), stamp(300), stamp(400), None]
    assert [each["last_verification"] for each in found["places"]] == ["success", "failed", "success", None]
    assert place(found, "central")["age_s"] == 540.0


def test_central_judges_the_recovery_point_by_what_it_holds() -> None:
    """A branch that says that all is well while nothing of it arrives, or a thief who says it for the branch."""
    found = branch(row("log", minutes=1, point=0, imported=True), row("sync", minutes=1, point=40))
    assert (rpo(found)["state"], rpo(found)["value_s"]) == ("broken", 2400.0)
    assert f"recovery point at central {stamp(40)}; the branch says {stamp(0)}" in rpo(found)["detail"]
    assert (
        rpo(branch(row("log", minutes=90, point=90, imported=True), row("sync", minutes=1, point=6)))["state"] == "ok"
    )
    # What it held once, or what a branch claims of a pull, is not what it holds.
    assert rpo(branch(row("sync", minutes=20, point=5), row("sync", minutes=1, point=40)))["state"] == "broken"
    posing = row("sync", minutes=1, point=1, imported=True)
    assert rpo(branch(posing, row("sync", minutes=2, point=40)))["state"] == "broken"
    assert rpo(branch(row("sync", minutes=1), row("log", minutes=1, point=1, imported=True)))["state"] == "broken"
    assert rpo(branch(row("log", minutes=1, point=1, imported=True)))["state"] == "broken"
    assert rpo(branch(row("sync", minutes=1, point=-90)))["state"] == "broken"


def test_a_branch_judges_itself_by_its_own_rows() -> None:
    # An adoption of older dumps is a sync too, but none of central's.
    adopted = row("sync", minutes=1, playbook="larapee.backup.adopt")
    found = branch(row("log", minutes=2, point=2), row("verify", minutes=60), adopted)
    assert rpo(found)["state"] == "ok"
    assert [each["recoverable_until"] for each in found["places"]] == [stamp(2), None, None, None]
    assert place(found, "local")["verified_at"] == stamp(60)


@pytest.mark.parametrize(("central", "state"), [(60, "ok"), (60 * 40, "broken"), (None, "ok")])
def test_where_central_verifies_its_own_word_counts(central: float | None, state: str) -> None:
    rows = [row("verify", minutes=30, imported=True)]
    if central is not None:
        rows.append(row("verify", minutes=central, playbook="larapee.backup.verify_central"))
    found = branch(*rows)
    assert next(each["state"] for each in found["objectives"] if each["name"] == "verify") == state


@pytest.mark.parametrize("point", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", 7])
def test_times_that_cannot_be_break_nothing(point: Any) -> None:
    odd = row("log", minutes=1, imported=True, recovery_point=point, details={"recoverable": {"until": point}})
    assert place(branch(odd), "local")["recoverable_until"] is None


def test_what_was_missed_is_listed_until_word_comes_and_counts_for_nothing() -> None:
    of = {"due": stamp(60), "day": "2026-11-22", "expected": "at 03:00 UTC", "of": "branch-001"}
    missed = {"status": "failed", "error": "missed: no full", "evidence": Evidence.INFERRED, "details": {"missed": of}}
    found = branch(row("full", minutes=60, **missed), row("sync", minutes=1, point=1))
    expected = {"kind": "full", "job": "full", "due": stamp(60.5), "of": "branch-001", "expected": "at 03:00 UTC"}
    assert found["missed"] == [expected]
    assert found["last_failure"]["error"] == "missed: no full"
    settled = {"details": {"missed": {**of, "settled_by": str(uuid.uuid4())}}}
    late = branch(row("verify", minutes=1, **settled), row("full", minutes=1, point=1, **settled))
    assert (late["missed"], late["last_success"]["full"], late["recovery_point"]) == ([], None, None)
    assert place(late, "local")["verified_at"] is None


def test_ages_of_keys_are_those_that_the_newest_rotation_of_each_told() -> None:
    told = {"signing": stamp(60), "pull": {"since": stamp(30), "stage": "overlap"}, "odd": 7}
    found = branch(
        row("rotate", minutes=900, details={"keys": {"signing": stamp(900), "recipients": stamp(901)}}),
        row("rotate", minutes=20, details={"keys": told}),
    )
    assert found["keys"] == [
        {"name": "pull", "since": stamp(30), "age_s": 1800.0, "stage": "overlap"},
        {"name": "recipients", "since": stamp(901), "age_s": 54060.0, "stage": None},
        {"name": "signing", "since": stamp(60), "age_s": 3600.0, "stage": None},
    ]


def test_people_see_the_places_and_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    of = {"due": "x", "expected": "every 300 s", "of": "branch-001"}
    absent = row("log", minutes=60, status="failed", error="missed", details={"missed": {**of, "job": "pull-log"}})
    rows = [row("log", minutes=1, point=1, imported=True), row("sync", minutes=1, point=1), absent]
    report = document(rows, now=NOW, available=frozenset(), journal_records=0, table_error=None)
    _show(report)
    output = capsys.readouterr().out
    assert "the places" in output
    assert "central" in output
    assert f"missed: branch-001: pull-log due {stamp(60.5)} by branch-001, every 300 s" in output
    _show(document(rows[:1], now=NOW, available=frozenset(), journal_records=0, table_error=None))
    assert "the places" not in capsys.readouterr().out

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from larapee_runner import render
from larapee_runner.collection import available_kinds, find_collection
from larapee_runner.commands.common import settings_or_exit
from larapee_runner.history import load_history
from larapee_runner.outcome import ExitCode
from larapee_runner.recorder import utc_now
from larapee_runner.status import document

MISSED_SHOWN = 5
NAMES = {
    "rpo": "recovery point age",
    "rto": "time to restore",
    "verify": "verification age",
    "drill": "drill age",
    "coverage": "last proven",
}


@click.command(short_help="Tell how each branch stands against its objectives.")
@click.option("--branch", metavar="CODE", help="Only this branch.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def status(*, branch: str | None, as_json: bool) -> None:
    """Tell how each branch stands against its objectives; ends with 1 if one of them is broken."""
    settings = settings_or_exit(ExitCode.FAILED)
    now = utc_now()
    history = load_history(settings, now=now)
    report = document(
        history.rows,
        now=now,
        available=available_kinds(find_collection(os.environ, Path.cwd())),
        journal_records=history.journal_records,
        table_error=history.table_error,
        coverage_weeks=settings.coverage_weeks,
        only=branch,
    )
    if as_json:
        render.write_json(report)
    else:
        _show(report)
    if history.table_error:
        click.echo(f"Error: {history.table_error}", err=True)
    if not report["branches"]:
        click.echo("Error: no run of a branch is recorded here, so there is nothing to be judged.", err=True)
    sys.exit(ExitCode.OK if report["ok"] else ExitCode.FAILED)


def _show(report: dict[str, Any]) -> None:
    rows = []
    for branch in report["branches"]:
        for objective in branch["objectives"]:
            rows.append(
                (
                    branch["branch"],
                    NAMES[objective["name"]],
                    render.status_cell(objective["state"]),
                    render.span(objective["value_s"]),
                    render.span(objective["limit_s"]),
                    objective["detail"],
                )
            )
    if rows:
        columns = ("branch", "objective", "state", "is", "limit", "")
        render.show(render.Table(f"status at {report['generated_at']}", columns, rows))
    _show_recoverable(report["branches"])
    _show_places(report["branches"])
    _show_restores(report["branches"], limit_s=report["limits_s"]["rto"])
    for branch in report["branches"]:
        _show_rest(branch)
    for pending in report["unassigned_pending"]:
        render.write_line(
            f"pending: run {pending['run_id']}, for {render.span(pending['age_s'])}, branch not known yet"
        )
    unflushed = report["journal"]["unflushed_records"]
    if unflushed:
        render.write_line(f"journal: {unflushed} record(s) not in the table yet; larapee-backup journal flush")


def _show_recoverable(branches: list[dict[str, Any]]) -> None:
    rows = []
    for branch in branches:
        told = branch["recoverable"] or {}
        (rpo,) = [objective for objective in branch["objectives"] if objective["name"] == "rpo"]
        rows.append(
            (
                branch["branch"],
                told.get("from") or "-",
                told.get("until") or "-",
                render.Cell(render.span(told.get("age_s")), render.status_cell(rpo["state"]).style),
                str(told.get("chain_length") or "-"),
                _ago(branch["last_success"]["verify"]),
                _ago(branch["last_success"]["drill"]),
                str(told["gap_count"]) if told else "-",
            )
        )
    if rows:
        columns = ("branch", "recoverable from", "until", "age", "chain", "last verified", "last drill", "gaps")
        render.show(render.Table("the database", columns, rows))


def _show_places(branches: list[dict[str, Any]]) -> None:
    rows = []
    for branch in branches:
        known = [place for place in branch["places"] if place["told_at"] or place["last_verification"]]
        # On a branch there is one place, of which the table before this one tells more.
        for place in known if len(known) > 1 else []:
            verification = place["last_verification"]
            rows.append(
                (
                    branch["branch"],
                    place["place"],
                    place["recoverable_until"] or "-",
                    render.span(place["age_s"]),
                    "never" if place["verified_at"] is None else f"{render.span(place['verified_age_s'])} ago",
                    render.status_cell(verification) if verification else "-",
                )
            )
    if rows:
        columns = ("branch", "place", "recoverable until", "age", "verified", "last verification")
        render.show(render.Table("the places", columns, rows))


def _show_restores(branches: list[dict[str, Any]], *, limit_s: float) -> None:
    rows = []
    for branch in branches:
        told = branch["restore"] or {}
        fits = told.get("fits_bytes")
        rows.append(
            (
                branch["branch"],
                told.get("kind") or "never",
                told.get("finished_at") or "-",
                render.span(told.get("total_s")),
                render.span(told.get("down_s")),
                render.size(told.get("database_bytes")),
                "unknown" if fits is None else render.size(fits),
            )
        )
    if rows:
        fits_in = f"database that fits {limit_s / render.MINUTE:.0f} min"
        columns = ("branch", "last", "ended", "total", "shop down", "database", fits_in)
        render.show(render.Table("restoring all of it", columns, rows))


def _ago(success: dict[str, Any] | None) -> str:
    return "never" if success is None else f"{render.span(success['age_s'])} ago"


def _show_rest(branch: dict[str, Any]) -> None:
    code = branch["branch"]
    for gap in (branch["recoverable"] or {}).get("gaps", []):
        end = f"until {gap['before']}" if gap["before"] else "and nothing later"
        render.write_line(render.clean(f"gap: {code}: nothing after {gap['after']} {end}: {gap['why']}"))
    for pending in branch["pending"]:
        render.write_line(f"pending: {code}: {pending['kind'] or 'run'} for {render.span(pending['age_s'])}")
    for missed in branch["missed"][:MISSED_SHOWN]:
        render.write_line(
            render.clean(f"missed: {code}: {missed['job']} due {missed['due']} by {missed['of']}, {missed['expected']}")
        )
    if len(branch["missed"]) > MISSED_SHOWN:
        render.write_line(f"missed: {code}: and {len(branch['missed']) - MISSED_SHOWN} more; larapee-backup runs")
    for key in branch["keys"]:
        stage = "" if key["stage"] in (None, "at rest") else f", rotation: {key['stage']}"
        render.write_line(render.clean(f"key: {code}: {key['name']} in use for {render.span(key['age_s'])}{stage}"))
    if branch["missing"]:
        render.write_line(f"missing: {code}: no success yet of {', '.join(branch['missing'])}")
    failure = branch["last_failure"]
    if failure:
        text = f"last failure: {code}: {failure['kind'] or 'run'} at {failure['finished_at']}: {failure['error']}"
        render.write_line(render.clean(text))


__all__ = ("status",)

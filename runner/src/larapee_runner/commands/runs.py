# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta

import click

from larapee_runner import render
from larapee_runner.commands.common import fail, settings_or_exit
from larapee_runner.history import journal_records, merge
from larapee_runner.outcome import ExitCode
from larapee_runner.recorder import KINDS, RecorderError, RunRecord, open_store, utc_now

SPAN = re.compile(r"(\d+)([mhd])")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
SCHEMA = 1
SHORT_ID = 8


class Since(click.ParamType[datetime]):
    """A time, or how long ago: 2026-11-22T14:00:00Z, 90m, 36h, 7d."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value)
        match = SPAN.fullmatch(text)
        try:
            if match:
                return utc_now() - timedelta(**{UNITS[match[2]]: int(match[1])})
            time = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a time such as 2026-11-22T14:00:00Z nor a span such as 36h.", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.command(short_help="List recorded runs, newest first.")
@click.option("--branch", metavar="CODE", help="Only this branch.")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--status", type=click.Choice(("pending", "success", "failed")), help="Only with this status.")
@click.option("--run-id", metavar="UUID", help="Only this run.")
@click.option("--since", type=Since(), metavar="TIME|SPAN", help="Started since then, such as 36h or 2026-11-22.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def runs(
    *,
    branch: str | None,
    kind: str | None,
    status: str | None,
    run_id: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List recorded runs, newest first; what only the journal holds yet is among them."""
    settings = settings_or_exit(ExitCode.FAILED)
    found: list[RunRecord] = []
    error = None
    try:
        with contextlib.closing(open_store(settings.runs_url)) as store:
            found = store.query(branch=branch, kind=kind, status=status, run_id=run_id, since=since, limit=limit)
    except RecorderError as failure:
        error = failure
    wanted = {"branch": branch, "kind": kind, "status": status, "run_id": run_id}
    unflushed = [row for row in journal_records(settings) if _matches(row, wanted, since)]
    rows = sorted(merge(found, unflushed), key=lambda row: row.started_at, reverse=True)[:limit]
    if as_json:
        render.write_json({"schema": SCHEMA, "runs": [row.to_json() for row in rows]})
    else:
        _show(rows)
    if error:
        fail(error, ExitCode.FAILED)


def _matches(row: RunRecord, wanted: dict[str, str | None], since: datetime | None) -> bool:
    if since is not None and row.started_at < since:
        return False
    return all(value is None or getattr(row, name) == value for name, value in wanted.items())


def _show(rows: list[RunRecord]) -> None:
    columns = ("started (UTC)", "branch", "kind", "status", "took", "size", "recovery point", "run")
    lines = [
        (
            render.moment(row.started_at),
            row.branch or "-",
            f"{row.kind or '-'}{' (check)' if row.check_mode else ''}",
            render.status_cell(row.status),
            render.span(row.duration_s),
            *render.outcome(row),
            row.run_id[:SHORT_ID],
        )
        for row in rows
    ]
    if lines:
        render.show(render.Table("runs", columns, lines))
    else:
        click.echo("No run matches.", err=True)
    for row in rows:
        if row.error:
            render.write_line(render.clean(f"{row.status}: run {row.run_id}: {row.branch or '-'}: {row.error}"))


__all__ = ("runs",)

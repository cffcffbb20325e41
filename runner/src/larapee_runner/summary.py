# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, for people: its rows, and on failure the reason and where the whole output lies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .outcome import ExitCode, explain
from .render import Table, clean, outcome, show, size, span, status_cell, write_line

if TYPE_CHECKING:
    from .recorder import RunRecord
    from .run import Report

TAIL_SHOWN = 12
COMPARED = 200
# Beside the database's, whose details are the run's own.
PARTS = ("uploads", "config")


def show_summary(report: Report, *, quiet: bool, verbose: bool) -> None:
    """Print the rows to standard output and what went wrong to standard error."""
    if not quiet:
        _show_rows(report)
    if report.code is not ExitCode.OK:
        _tell_failure(report, with_tail=not verbose)
    for error in report.errors:
        _tell(f"recorder: {error}")


def _show_rows(report: Report) -> None:
    columns = ("branch", "kind", "status", "took", "artifacts", "size", "recovery point")
    rows = [
        (
            row.branch or "-",
            row.kind or "-",
            status_cell(row.status),
            span(row.duration_s),
            ", ".join(_artifact_names(row)) or "-",
            *outcome(row),
        )
        for row in report.rows
    ]
    show(Table(f"run {report.run_id}{' (check mode)' if _checked(report) else ''}", columns, rows))
    for row in report.rows:
        _show_details(row)


def _show_details(row: RunRecord) -> None:
    """What a preview would do, and what a run warned of: a person must not have to ask for either."""
    parts = {"": row.details, **{name: row.details[name] for name in PARTS if isinstance(row.details.get(name), dict)}}
    for part, details in parts.items():
        plan = details.get("plan")
        if row.check_mode and isinstance(plan, dict):
            for name, value in plan.items():
                shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
                words = f"{part} {name}".strip().replace("_", " ")
                write_line(clean(f"  {words}: {'nothing' if shown is None else shown}"))
    _show_retention(row)
    for part, details in parts.items():
        warnings = details.get("warnings")
        for warning in warnings if isinstance(warnings, list) else []:
            write_line(clean(f"warning: {' '.join(filter(None, (row.branch or 'run', part)))}: {warning}"))


def _show_retention(row: RunRecord) -> None:
    """What went, or would go, and what replaces it; what stays though it is over age."""
    goes = "would go" if row.check_mode else "went"
    for gone in _listed(row.details.get("deleted")):
        replacement = f"set {gone.get('replaced_by')} ({gone.get('replaced_by_time')})"
        line = (
            f"set {gone.get('set')} ({gone.get('time')}) {goes}, {size(gone.get('bytes'))}, replaced by {replacement}"
        )
        write_line(clean(f"  {line}: {', '.join(map(str, gone.get('artifacts') or []))}"))
    for kept in _listed(row.details.get("kept_over_age")):
        write_line(clean(f"  set {kept.get('set')} ({kept.get('time')}) stays: {kept.get('why')}"))
    if row.kind == "retention" and row.details.get("deleted") == [] == row.details.get("kept_over_age"):
        write_line("  no set is over age")


def _listed(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _tell_failure(report: Report, *, with_tail: bool) -> None:
    if report.seen.stop is not None:
        # The row may only know the signal that we sent.
        _tell(f"stopped: {explain(report.seen)}")
    for host, task, message in report.failures:
        _tell(f"failed: {host}: {task}: {message}")
    # The callback's row begins with the first line of the same message.
    told = [message.partition("\n")[0][:COMPARED] for _, _, message in report.failures]
    for row in report.rows:
        if row.error and not any(message in row.error for message in told):
            _tell(f"error: {row.branch or 'run'}: {row.error}")
    if report.code is ExitCode.UNRECORDED:
        _tell("error: the run could be recorded neither in the journal nor in the table; see larapee-backup doctor")
    if with_tail and not report.failures and report.seen.output_tail:
        _tell("the end of its output:")
        for line in report.seen.output_tail.splitlines()[-TAIL_SHOWN:]:
            _tell(f"  {line}")
    if report.output is not None:
        _tell(f"full output: {report.output}")


def _artifact_names(row: RunRecord) -> list[str]:
    return [str(artifact.get("name", "?")) for artifact in row.artifacts]


def _checked(report: Report) -> bool:
    return any(row.check_mode for row in report.rows)


def _tell(text: str) -> None:
    for line in text.splitlines():
        write_line(clean(line), stream=sys.stderr)


__all__ = ("show_summary",)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same facts as status, in the text format of Prometheus. Pure, but for the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .places import end_of, is_missed, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from .recorder import RunRecord

PREFIX = "larapee_backup"
HELP = {
    "build_info": "The version of the command.",
    "table_reachable": "Whether the runs table could be read.",
    "journal_records": "Records in the journal that the table does not have yet.",
    "objective_met": "Whether an objective is met; absent where it could not be judged.",
    "last_success_timestamp_seconds": "When the last good run of a kind ended.",
    "last_run_timestamp_seconds": "When the last run of a kind ended.",
    "last_run_success": "Whether the last run of a kind was good.",
    "last_run_duration_seconds": "How long the last run of a kind took.",
    "last_run_bytes": "How much the last run of a kind stored.",
    "recoverable_until_timestamp_seconds": "Up to when a place can restore.",
    "verify_last_success_timestamp_seconds": "When all of a place was last found intact.",
    "missed_runs": "Runs of the last days that did not come.",
}


def exposition(report: Mapping[str, Any], rows: Sequence[RunRecord], *, version: str) -> str:
    """Write the document of `status`, and the last run of each kind, as samples without timestamps."""
    samples: dict[str, list[str]] = {name: [] for name in HELP}

    def add(name: str, value: float | None, **labels: str) -> None:
        if value is not None:
            samples[name].append(f"{PREFIX}_{name}{_labels(labels)} {value:.15g}\n")

    add("build_info", 1, version=version)
    add("table_reachable", int(report["table"]["reachable"]))
    add("journal_records", report["journal"]["unflushed_records"])
    for branch in report["branches"]:
        code = branch["branch"]
        for objective in branch["objectives"]:
            if objective["state"] != "not_run":
                add("objective_met", int(objective["state"] == "ok"), branch=code, objective=objective["name"])
        for kind, success in branch["last_success"].items():
            if success is not None:
                add("last_success_timestamp_seconds", _seconds(success["finished_at"]), branch=code, kind=kind)
        for kind, row in sorted(_last_runs(rows, code).items()):
            add("last_run_timestamp_seconds", end_of(row).timestamp(), branch=code, kind=kind)
            add("last_run_success", int(row.status == "success"), branch=code, kind=kind)
            add("last_run_duration_seconds", row.duration_s, branch=code, kind=kind)
            add("last_run_bytes", row.bytes, branch=code, kind=kind)
        for place in branch["places"]:
            labels = {"branch": code, "place": place["place"]}
            add("recoverable_until_timestamp_seconds", _seconds(place["recoverable_until"]), **labels)
            add("verify_last_success_timestamp_seconds", _seconds(place["verified_at"]), **labels)
        add("missed_runs", len(branch["missed"]), branch=code)
    return "".join(
        f"# HELP {PREFIX}_{name} {text}\n# TYPE {PREFIX}_{name} gauge\n{''.join(samples[name])}"
        for name, text in HELP.items()
        if samples[name]
    )


def write(path: Path, text: str) -> None:
    """Replace the file at once: a collector never reads half of it, nor a temporary name as one of its own."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            # The collector is another account, and nothing in it is a secret.
            os.fchmod(handle.fileno(), 0o644)
            handle.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _last_runs(rows: Iterable[RunRecord], branch: str) -> dict[str, RunRecord]:
    last: dict[str, RunRecord] = {}
    for row in rows:
        if row.branch != branch or row.kind is None or row.check_mode or row.status == "pending" or is_missed(row):
            continue
        if row.kind not in last or end_of(row) > end_of(last[row.kind]):
            last[row.kind] = row
    return last


def _seconds(text: str | None) -> float | None:
    moment = moment_of(text)
    return None if moment is None else moment.timestamp()


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


__all__ = ("HELP", "exposition", "write")

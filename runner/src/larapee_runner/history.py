# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that reading commands need: from the table, and what the journals hold that the table does not have yet."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .places import is_missed
from .recorder import KINDS, Journal, RecorderError, RunRecord, Settings, open_store
from .restores import RESTORING_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .recorder import RunStore

WITNESSES = ("callback", "wrapper")
# The last success of each kind is looked for in a window first: central has hundreds of rows a day and branch.
FREQUENT_KINDS = frozenset({"log", "increment", "sync", "offsite"})
FREQUENT_WINDOW = timedelta(hours=3)
RARE_WINDOW = timedelta(days=9)
# Few in any estate, and the last of a branch that proves or measures may be followed by some that do not.
RESTORING_WINDOW = timedelta(days=400)
FAILED_WINDOW = timedelta(days=7)
SUCCESSES_LOOKED_AT = 20


@dataclass
class History:
    """Rows of both sources; `table_error` says why the table is missing from it."""

    rows: list[RunRecord] = field(default_factory=list)
    journal_records: int = 0
    table_error: str | None = None


def load_history(settings: Settings, *, now: datetime) -> History:
    """Load what tells how the branches stand."""
    history = History()
    found: list[RunRecord] = []
    try:
        with contextlib.closing(open_store(settings.runs_url)) as store:
            found = _rows_for_status(store, now=now)
    except RecorderError as error:
        history.table_error = str(error)
    journalled = journal_records(settings)
    history.journal_records = len(journalled)
    history.rows = merge(found, journalled)
    return history


def journal_records(settings: Settings) -> list[RunRecord]:
    """Read what the witnesses' journals hold; a damaged file is left to `journal show`."""
    records: list[RunRecord] = []
    for witness in WITNESSES:
        journal = Journal(settings.state_path, witness=witness)
        with contextlib.suppress(RecorderError):
            for path in journal.pending_files():
                with contextlib.suppress(RecorderError, FileNotFoundError):
                    records += journal.read(path).records
    return records


def merge(table: Iterable[RunRecord], journal: Iterable[RunRecord]) -> list[RunRecord]:
    """Unite both: the surest word on each row, and no row without a branch where the run has rows with one."""
    best: dict[str, RunRecord] = {}
    for record in (*table, *journal):
        known = best.get(record.id)
        if known is None or record.evidence > known.evidence:
            best[record.id] = record
    with_branch = {record.run_id for record in best.values() if record.branch is not None}
    return [record for record in best.values() if record.branch is not None or record.run_id not in with_branch]


def _rows_for_status(store: RunStore, *, now: datetime) -> list[RunRecord]:
    rows = store.query(status="pending") + store.query(status="failed", since=now - FAILED_WINDOW)
    # What a drill found wrong is wrong until one is good, however long that takes.
    drills = store.query(kind="drill", status="failed", since=now - RESTORING_WINDOW)
    rows += [row for row in drills if not is_missed(row) and row.started_at < now - FAILED_WINDOW]
    for kind in KINDS:
        rows += store.query(kind=kind, status="success", since=now - _window(kind))
    # A branch that is silent for long must not drop out of sight.
    branches = set(store.branches())
    for kind in KINDS:
        recent = {row.branch for row in rows if row.kind == kind and row.status == "success" and not row.check_mode}
        for branch in sorted(branches - recent):
            rows += store.query(branch=branch, kind=kind, status="success", limit=SUCCESSES_LOOKED_AT)
    return rows


def _window(kind: str) -> timedelta:
    if kind in RESTORING_KINDS:
        return RESTORING_WINDOW
    return FREQUENT_WINDOW if kind in FREQUENT_KINDS else RARE_WINDOW


__all__ = ("WITNESSES", "History", "journal_records", "load_history", "merge")

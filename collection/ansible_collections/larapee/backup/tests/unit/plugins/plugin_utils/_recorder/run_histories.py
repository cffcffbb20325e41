# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as the tests need them, and histories of one run in every order and repetition."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 22, 3, 0, 7, 123456, tzinfo=UTC)
_NUMBERS = itertools.count()
_ENDS = {
    Evidence.PENDING: ("pending", None),
    Evidence.INFERRED: ("failed", "lost: the process of the run ended without a word."),
    Evidence.OBSERVED: ("success", None),
}


def make_record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "run_id": str(uuid.uuid4()),
        "playbook": "larapee.backup.branch_backup",
        "launcher": "timer",
        "host": "branch-001",
        "started_at": START,
        "status": "pending",
        "evidence": Evidence.PENDING,
    }
    return RunRecord(**{**values, **changes})


def at_level(run_id: str, branch: str | None, evidence: Evidence) -> RunRecord:
    """What the recorder knows of one row at one level of certainty."""
    status, error = _ENDS[evidence]
    finished = evidence is not Evidence.PENDING
    return make_record(
        run_id=run_id,
        branch=branch,
        kind="full" if branch else None,
        status=status,
        error=error,
        evidence=evidence,
        finished_at=START + timedelta(seconds=int(evidence)) if finished else None,
        duration_s=2.5 if evidence is Evidence.OBSERVED else None,
        bytes=4096 if evidence is Evidence.OBSERVED else None,
        details={"level": int(evidence)},
    )


@strategies.composite
def histories(draw: Callable[..., Any]) -> list[list[RunRecord]]:
    """Batches of upserts: the records of one run, shuffled, some of them more than once."""
    # One table serves all histories: what an earlier one wrote must not be met again.
    run_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"run {next(_NUMBERS)}"))
    branches = strategies.sampled_from([None, "branch-001", "branch-002"])
    keys = strategies.tuples(branches, strategies.sampled_from(Evidence))
    chosen = draw(strategies.lists(keys, min_size=1, max_size=6))
    again = draw(strategies.lists(strategies.sampled_from(chosen), max_size=4))
    order = draw(strategies.permutations([*chosen, *again]))
    records = [at_level(run_id, branch, evidence) for branch, evidence in order]
    cuts = sorted(draw(strategies.lists(strategies.integers(0, len(records)), max_size=3)))
    bounds = [0, *cuts, len(records)]
    return [records[begin:end] for begin, end in itertools.pairwise(bounds) if begin < end]


def expected(history: list[list[RunRecord]]) -> dict[str | None, RunRecord]:
    """The row of each branch that the surest record makes; the row without a branch stands only where none is known."""
    best: dict[str | None, RunRecord] = {}
    for record in (record for batch in history for record in batch):
        if record.branch not in best or record.evidence > best[record.branch].evidence:
            best[record.branch] = record
    return {branch: record for branch, record in best.items() if branch is not None or len(best) == 1}


def without_inference(record: RunRecord) -> RunRecord:
    """How a row was thought to have ended before its end was seen depends on the order, and nothing else does."""
    details = {key: value for key, value in record.details.items() if key != "inference"}
    return dataclasses.replace(record, details=details)


def check_history(store: Any, history: list[list[RunRecord]]) -> None:
    """Write the history; evidence never falls, a row without a branch never comes back, the end is the expected one."""
    levels: dict[str | None, Evidence] = {}
    run_id = history[0][0].run_id
    for batch in history:
        store.upsert(batch)
        now = {row.branch: row.evidence for row in store.query(run_id=run_id)}
        for branch, level in levels.items():
            if branch is not None or not any(now):
                assert now[branch] >= level
        assert not (None in now and len(now) > 1)
        levels = now
    rows = {row.branch: without_inference(row) for row in store.query(run_id=run_id)}
    assert rows == expected(history)


__all__ = ("START", "at_level", "check_history", "expected", "histories", "make_record", "without_inference")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rows that a branch signed get into central's table: its own only, never over a row that central made.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ._absence import is_conclusion
from ._outbox import BRANCH_KINDS
from ._recorder import RunRecord, StoreError, one_line, open_store, parse_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._recorder import RunStore

# Only central writes this key of details: a row with it is a branch's word, one without is central's own.
IMPORTED = "imported"
# What central concluded from a run's absence.
MISSED = "missed"

_LENGTHS = {"host": 255, "launcher": 64, "launcher_ref": 255, "playbook": 4096}
_ARTIFACTS = 1000
_BIGGEST = 2**63 - 1
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclasses.dataclass
class Verdict:
    """How many rows were new or surer than before, and by file why others were not taken."""

    imported: int = 0
    refused: dict[str, str] = dataclasses.field(default_factory=dict)


def take_in(url: str, parcels: Mapping[str, Mapping[str, Any]], *, check_mode: bool = False) -> dict[str, Verdict]:
    """Write the records of each branch, by file; raises StoreError when the table takes nothing at all."""
    verdicts = {branch: Verdict() for branch in parcels}
    with contextlib.closing(open_store(url)) as store:
        for branch, documents in parcels.items():
            rows = {}
            for name, document in documents.items():
                try:
                    row = row_of(document, branch=branch)
                    if _is_news(store, row):
                        rows[name] = row
                except (ValueError, OverflowError) as exc:
                    verdicts[branch].refused[name] = one_line(exc)
            refused = {} if check_mode else _write(store, rows)
            verdicts[branch].refused.update(refused)
            verdicts[branch].imported = len(rows) - len(refused)
    return verdicts


def row_of(document: Any, *, branch: str) -> RunRecord:
    """The row that *document* stands for; raises ValueError where a branch may not say that."""
    record = RunRecord.from_json(document)
    if record.branch != branch or document.get("id", record.id) != record.id:
        raise ValueError("it is of another branch")
    if record.kind is not None and record.kind not in BRANCH_KINDS:
        raise ValueError(f"only central has runs of kind {one_line(record.kind, limit=32)}")
    if is_conclusion(record.run_id):
        raise ValueError("its run id is one that central makes")
    if not record.is_finished or record.status == "pending" or record.finished_at is None:
        raise ValueError("the run has not ended")
    if (record.status == "failed") != bool(record.error):
        raise ValueError("its status and its error contradict each other")
    _check_values(record)
    said = {key: value for key, value in record.details.items() if key not in (IMPORTED, MISSED)}
    return dataclasses.replace(
        record,
        error=None if record.error is None else one_line(record.error),
        details={**said, IMPORTED: {"at": _stamp(utc_now())}},
    )


def _check_values(record: RunRecord) -> None:
    """What an engine refuses would take the rows beside it along."""
    for name, length in _LENGTHS.items():
        text = getattr(record, name)
        if text is not None and (len(text) > length or "\0" in text):
            raise ValueError(f"its {name} is too long")
    moments = [record.started_at, record.finished_at]
    if record.recovery_point is not None:
        if len(record.recovery_point) > 64:
            raise ValueError("its recovery_point is no time")
        moments.append(parse_time(record.recovery_point))
    if any(moment is not None and not _EARLIEST < moment < _LATEST for moment in moments):
        raise ValueError("one of its times cannot be")
    if record.duration_s is not None and not (math.isfinite(record.duration_s) and record.duration_s >= 0):
        raise ValueError("its duration_s cannot be")
    if record.bytes is not None and (isinstance(record.bytes, bool) or not 0 <= record.bytes <= _BIGGEST):
        raise ValueError("its bytes cannot be")
    if len(record.artifacts) > _ARTIFACTS or not all(_is_artifact(item) for item in record.artifacts):
        raise ValueError("its artifacts are none")


def _is_artifact(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and isinstance(item.get("size"), int)
        and 0 <= item["size"] <= _BIGGEST
        and isinstance(item.get("sha256"), str)
    )


def _is_news(store: RunStore, row: RunRecord) -> bool:
    """Whether the table lacks it, or is less sure; raises ValueError when the run is one of central's own."""
    known = store.query(run_id=row.run_id)
    own = next((each for each in known if each.id == row.id), None)
    if own is not None and own.evidence >= row.evidence:
        return False
    foreign = [each for each in known if IMPORTED not in each.details]
    if foreign:
        # Also a row that names no branch yet: a new row of its run would take its place.
        raise ValueError("central has a row of this run that came from no branch")
    return True


def _write(store: RunStore, rows: Mapping[str, RunRecord]) -> dict[str, str]:
    """Give the table all rows, or those that it takes, one by one; raises StoreError when it takes none."""
    try:
        store.upsert(list(rows.values()))
        return {}
    except StoreError as error:
        refused = {}
        for name, row in rows.items():
            try:
                store.upsert([row])
            except StoreError as exc:
                refused[name] = one_line(exc)
        if len(refused) == len(rows):
            raise error
        return refused


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


__all__ = ("IMPORTED", "MISSED", "Verdict", "row_of", "take_in")

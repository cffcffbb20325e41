# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose backups the next drill proves, by the rows of earlier ones.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ._recorder import Evidence, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._recorder import RunRecord, RunStore, Settings

_NEVER = datetime.min.replace(tzinfo=UTC)
# Drills are weekly; what is older says nothing about today.
_DRILLS_READ = 60
_ROWS_READ = 30
_MAKING = ("full", "increment", "log")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """``known_set``: the highest set of the branch of which a row tells. ``anomaly``: why it goes first, or empty."""

    branch: str
    proven_at: datetime | None
    drilled_at: datetime | None
    anomaly: str
    known_set: int


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """An anomaly first, then the branch proven longest ago; no branch is drilled twice in a row while others wait."""
    newest = max(candidates, key=lambda each: each.drilled_at or _NEVER)
    waiting = [each for each in candidates if each is not newest or newest.drilled_at is None] or list(candidates)
    return min(
        waiting,
        key=lambda each: (
            not each.anomaly,
            each.drilled_at or _NEVER if each.anomaly else each.proven_at or _NEVER,
            each.drilled_at or _NEVER,
            each.branch,
        ),
    )


def look(settings: Settings, branches: Sequence[str]) -> list[Candidate]:
    """What the table tells of each branch."""
    with contextlib.closing(open_store(settings.runs_url)) as store:
        return [_candidate(store, branch) for branch in dict.fromkeys(branches)]


def _candidate(store: RunStore, branch: str) -> Candidate:
    drills = _ended(store.query(branch=branch, kind="drill", limit=_DRILLS_READ))
    # A key that was not there says nothing about what it was to open.
    verifications = [
        row
        for row in _ended(store.query(branch=branch, kind="verify", limit=_ROWS_READ))
        if row.details.get("place") != "key"
    ]
    made = [row for kind in _MAKING for row in _ended(store.query(branch=branch, kind=kind, limit=_ROWS_READ))]
    proven = next((row for row in drills if row.status == "success"), None)
    anomaly = ""
    if drills and drills[0].status != "success":
        anomaly = f"its last drill failed ({drills[0].error})"
    elif verifications and verifications[0].status != "success":
        anomaly = f"its last verification failed ({verifications[0].error})"
    return Candidate(
        branch=branch,
        proven_at=proven.started_at if proven else None,
        drilled_at=drills[0].started_at if drills else None,
        anomaly=anomaly,
        known_set=max((_set_of(row) for row in [*drills, *made]), default=0),
    )


def _ended(rows: Sequence[RunRecord]) -> list[RunRecord]:
    """Without those that could not start, and did nothing."""
    return [
        row
        for row in rows
        if not row.check_mode and row.evidence > Evidence.PENDING and row.details.get("reason") != "lock_held"
    ]


def _set_of(row: RunRecord) -> int:
    found: Any = row.details.get("set")
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


__all__ = ("Candidate", "choose", "look")

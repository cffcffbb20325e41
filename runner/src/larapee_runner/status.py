# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each branch stands against its objectives, from rows alone. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .places import BACKUP_KINDS, KEY, is_imported, is_missed, keys, missed, place_of, places
from .places import end_of as _end
from .places import moment_of as _parse
from .places import recoverable_until as _until
from .places import stamp as _stamp
from .render import span
from .restores import is_proof, last_restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

SCHEMA = 1
RPO = timedelta(minutes=15)
RTO = timedelta(minutes=60)
# Verification is nightly and the drill weekly; each may start late and take its time before it counts as too old.
VERIFY_AGE = timedelta(hours=26)
DRILL_AGE = timedelta(days=8)
WEEK = timedelta(days=7)
CLOCK_TOLERANCE = timedelta(minutes=5)

KINDS = (*BACKUP_KINDS, "sync", "offsite", "snapshot", "verify", "drill", "restore", "retention", "rotate")
EXPECTED_KINDS = (*BACKUP_KINDS, "verify", "drill")

NO_DRILLS = "NOT RUN: no drill is recorded on this machine; status tells where they are held"

State = Literal["ok", "broken", "not_run"]


class Row(Protocol):
    """What is read of a row of backup_runs."""

    run_id: str
    branch: str | None
    kind: str | None
    status: str
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    playbook: str
    check_mode: bool
    recovery_point: str | None
    error: str | None
    details: dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """One objective of one branch; `value_s` is the age or the time that is judged, None where there is none."""

    name: str
    state: State
    value_s: float | None
    limit_s: float
    detail: str


@dataclass(frozen=True)
class BranchStatus:
    branch: str
    ok: bool
    recovery_point: str | None
    last_success: dict[str, dict[str, Any] | None]
    objectives: list[Objective]
    pending: list[dict[str, Any]]
    missing: list[str]
    last_failure: dict[str, Any] | None
    recoverable: dict[str, Any] | None
    restore: dict[str, Any] | None
    places: list[dict[str, Any]]
    keys: list[dict[str, Any]]
    missed: list[dict[str, Any]]


def branch_status(
    branch: str, rows: Sequence[Row], *, now: datetime, available: frozenset[str], coverage_weeks: int = 0
) -> BranchStatus:
    """Judge one branch by the rows of all; rows of check mode count for nothing."""
    counted = [row for row in rows if not row.check_mode and not (is_missed(row) and row.status == "success")]
    own = [row for row in counted if row.branch == branch]
    successes = {kind: _latest(row for row in own if row.kind == kind and row.status == "success") for kind in KINDS}
    able = available - {"drill"} | {row.kind for row in own if row.kind}
    if coverage_weeks or any(row.kind == "drill" for row in counted):
        able |= {"drill"}
    restore = last_restore(own, limit=RTO)
    objectives = [
        _rpo(own, now=now, able=able),
        _rto(restore),
        _verify(own, now=now, able=able),
        _drill(_latest(row for row in counted if is_proof(row)), now=now, able=able),
        _coverage(own, limit=coverage_limit(rows, coverage_weeks), now=now, able=able),
    ]
    return BranchStatus(
        branch=branch,
        ok=all(objective.state != "broken" for objective in objectives),
        recovery_point=_stamp(_recovery_point(own)),
        last_success={kind: _success(row, now) for kind, row in successes.items()},
        objectives=objectives,
        pending=[_pending(row, now) for row in own if row.status == "pending"],
        missing=[kind for kind in EXPECTED_KINDS if kind in able and successes[kind] is None],
        last_failure=_failure(_latest(row for row in own if row.status == "failed" and now - _end(row) <= WEEK)),
        recoverable=_recoverable(own, now=now),
        restore=restore,
        places=places(own, now=now),
        keys=keys(own, now=now),
        missed=missed(own),
    )


def coverage_limit(rows: Iterable[Row], weeks: int) -> timedelta:
    """How old the proof of a branch may be; without a number of weeks what one drill a week can keep."""
    branches = len({row.branch for row in rows if row.branch is not None})
    return max(DRILL_AGE, (weeks or branches) * WEEK + (DRILL_AGE - WEEK))


def document(
    rows: Sequence[Row],
    *,
    now: datetime,
    available: frozenset[str],
    journal_records: int,
    table_error: str | None,
    coverage_weeks: int = 0,
    only: str | None = None,
) -> dict[str, Any]:
    """Compose the one document that `status --json` prints and the table shows; *only* this branch of them."""
    branches = [
        branch_status(branch, rows, now=now, available=available, coverage_weeks=coverage_weeks)
        for branch in sorted({row.branch for row in rows if row.branch is not None})
        if only in (None, branch)
    ]
    unassigned = [row for row in rows if row.branch is None and row.status == "pending" and only is None]
    return {
        "schema": SCHEMA,
        "generated_at": _stamp(now),
        "ok": bool(branches) and table_error is None and all(branch.ok for branch in branches),
        "limits_s": {
            "rpo": RPO.total_seconds(),
            "rto": RTO.total_seconds(),
            "verify": VERIFY_AGE.total_seconds(),
            "drill": DRILL_AGE.total_seconds(),
            "coverage": coverage_limit(rows, coverage_weeks).total_seconds(),
        },
        "kinds_available": sorted(available),
        "branches": [asdict(branch) for branch in branches],
        "unassigned_pending": [_pending(row, now) for row in unassigned],
        "journal": {"unflushed_records": journal_records},
        "table": {"reachable": table_error is None, "error": table_error},
    }


def _rpo(rows: Sequence[Row], *, now: datetime, able: Iterable[str]) -> Objective:
    limit = RPO.total_seconds()
    # An adoption of older dumps on a branch is a sync as well, but tells no recovery point.
    pulls = [row for row in rows if row.kind == "sync" and row.status == "success" and not is_imported(row)]
    pulls = [row for row in pulls if _until(row) is not None]
    if pulls or any(is_imported(row) for row in rows):
        return _rpo_at_central(rows, pulls, now=now)
    point = _recovery_point(rows)
    between = "" if "log" in able else "; this installation takes no log runs yet, so only a full moves it"
    if point is None:
        return Objective("rpo", "broken", None, limit, f"no recovery point: no backup has succeeded{between}")
    if point - now > CLOCK_TOLERANCE:
        return Objective("rpo", "broken", None, limit, "the recovery point lies in the future: check the clocks")
    age = max((now - point).total_seconds(), 0.0)
    state: State = "ok" if age <= limit else "broken"
    return Objective("rpo", state, age, limit, f"recovery point {_stamp(point)}{between if state == 'broken' else ''}")


def _rpo_at_central(rows: Iterable[Row], pulls: Sequence[Row], *, now: datetime) -> Objective:
    """What is lost with the branch is what central does not hold; what the branch says of itself is only shown."""
    limit = RPO.total_seconds()
    point = _until(max(pulls, key=_end)) if pulls else None
    word = _stamp(_recovery_point(rows)) or "nothing"
    if point is None:
        return Objective("rpo", "broken", None, limit, f"central holds no recovery point; the branch says {word}")
    if point - now > CLOCK_TOLERANCE:
        return Objective("rpo", "broken", None, limit, "the recovery point lies in the future: check the clocks")
    age = max((now - point).total_seconds(), 0.0)
    detail = f"recovery point at central {_stamp(point)}; the branch says {word}"
    return Objective("rpo", "ok" if age <= limit else "broken", age, limit, detail)


def _verify(rows: Sequence[Row], *, now: datetime, able: Iterable[str]) -> Objective:
    """Judge the age of the last good one; but what the last one of any place found wrong is wrong until it passes."""
    found = _age("verify", _verification(rows), limit=VERIFY_AGE, now=now, able=able)
    last: dict[str | None, Row] = {}
    # One that never was found nothing wrong; that it was missed shows by its age.
    for row in (row for row in rows if row.kind == "verify" and row.status != "pending" and not is_missed(row)):
        known = last.get(place_of(row))
        if known is None or _end(row) >= _end(known):
            last[place_of(row)] = row
    failed = _latest(row for row in last.values() if row.status == "failed")
    if failed is None or found.state == "broken":
        return found
    where = place_of(failed) or "unknown"
    detail = f"the last one ({where}) failed {_stamp(_end(failed))}: run {failed.run_id} says why"
    return replace(found, state="broken", detail=detail)


def _verification(rows: Iterable[Row]) -> Row | None:
    """Pick the last good one; where central verifies what it holds, that of central."""
    done = [row for row in rows if row.kind == "verify" and row.status == "success"]
    # That a key opens one full verifies no place.
    done = [row for row in done if place_of(row) != KEY]
    central = [row for row in done if place_of(row) == "central"]
    return _latest(central or done)


def _rto(restore: dict[str, Any] | None) -> Objective:
    limit = RTO.total_seconds()
    took = restore["time_to_open_s"] if restore else None
    if restore is None or took is None:
        return Objective("rto", "not_run", None, limit, "NOT RUN: no whole set has been restored yet")
    down = "" if restore["down_s"] is None else f"; the shop was down for {span(restore['down_s'])}"
    detail = f"the last {restore['kind']} took this long{down}"
    return Objective("rto", "ok" if took <= limit else "broken", took, limit, detail)


def _drill(row: Row | None, *, now: datetime, able: Iterable[str]) -> Objective:
    """Whether drills are held at all: the last good one, of whichever branch."""
    found = _age("drill", row, limit=DRILL_AGE, now=now, able=able)
    if row is None:
        return found if "drill" in able else replace(found, detail=NO_DRILLS)
    return replace(found, detail=f"{found.detail} ({row.branch})")


def _coverage(rows: Iterable[Row], *, limit: timedelta, now: datetime, able: Iterable[str]) -> Objective:
    """Whether this branch was proven in time; what its last drill found wrong is wrong until one is good."""
    seconds = limit.total_seconds()
    drills = [row for row in rows if row.kind == "drill" and row.status != "pending" and not is_missed(row)]
    # One that found another at work did nothing.
    drills = [row for row in drills if row.details.get("reason") != "lock_held"]
    proof, last = _latest(row for row in drills if is_proof(row)), _latest(drills)
    if "drill" not in able:
        return Objective("coverage", "not_run", None, seconds, NO_DRILLS)
    found = replace(_age("drill", proof, limit=limit, now=now, able=able), name="coverage")
    if proof is None:
        return replace(found, detail="no drill has proven this branch")
    if found.state == "broken" or last is None or last.status == "success":
        return found
    return replace(
        found, state="broken", detail=f"the last drill failed {_stamp(_end(last))}: run {last.run_id} says why"
    )


def _age(kind: str, row: Row | None, *, limit: timedelta, now: datetime, able: Iterable[str]) -> Objective:
    seconds = limit.total_seconds()
    if row is None and kind not in able:
        return Objective(kind, "not_run", None, seconds, f"NOT RUN: this installation has no {kind} runs yet")
    if row is None:
        return Objective(kind, "broken", None, seconds, f"no {kind} has ever succeeded")
    end = _end(row)
    if end - now > CLOCK_TOLERANCE:
        return Objective(kind, "broken", None, seconds, f"the last {kind} lies in the future: check the clocks")
    age = max((now - end).total_seconds(), 0.0)
    return Objective(kind, "ok" if age <= seconds else "broken", age, seconds, f"last success {_stamp(end)}")


def _recovery_point(rows: Iterable[Row]) -> datetime | None:
    points = (
        _parse(row.recovery_point)
        for row in rows
        if row.kind in BACKUP_KINDS and row.status == "success" and row.recovery_point
    )
    return max((point for point in points if point is not None), default=None)


def _recoverable(rows: Iterable[Row], *, now: datetime) -> dict[str, Any] | None:
    """What the newest backup run that told it said: a run that failed tells it too. None when none did."""
    told = [row for row in rows if row.kind in BACKUP_KINDS and isinstance(row.details.get("recoverable"), dict)]
    row = _latest(row for row in told if row.status != "pending")
    if row is None:
        return None
    said = row.details["recoverable"]
    until = _time_of(said, "until")
    gaps = [gap for gap in _list_of(said, "gaps") if isinstance(gap, dict) and _time_of(gap, "after") is not None]
    return {
        "from": _stamp(_time_of(said, "from")),
        "until": _stamp(until),
        "age_s": None if until is None else max((now - until).total_seconds(), 0.0),
        "chain_length": _count_of(said, "chain_length"),
        "gap_count": max(_count_of(said, "gap_count"), len(gaps)),
        "gaps": [
            {
                "after": _stamp(_time_of(gap, "after")),
                "before": _stamp(_time_of(gap, "before")),
                "why": str(gap.get("why") or "not told"),
            }
            for gap in gaps
        ],
        "told_at": _stamp(_end(row)),
    }


def _time_of(document: dict[str, Any], name: str) -> datetime | None:
    value = document.get(name)
    return _parse(value) if isinstance(value, str) else None


def _list_of(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _count_of(document: dict[str, Any], name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _latest(rows: Iterable[Row]) -> Row | None:
    return max(rows, key=_end, default=None)


def _success(row: Row | None, now: datetime) -> dict[str, Any] | None:
    if row is None:
        return None
    age = max((now - _end(row)).total_seconds(), 0.0)
    return {"run_id": row.run_id, "finished_at": _stamp(_end(row)), "age_s": round(age, 3)}


def _failure(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {**_brief(row), "finished_at": _stamp(_end(row)), "error": row.error}


def _pending(row: Row, now: datetime) -> dict[str, Any]:
    age = max((now - row.started_at).total_seconds(), 0.0)
    return {**_brief(row), "started_at": _stamp(row.started_at), "age_s": round(age, 3)}


def _brief(row: Row) -> dict[str, Any]:
    return {"run_id": row.run_id, "kind": row.kind}


__all__ = ("BranchStatus", "Objective", "Row", "branch_status", "document")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows tell of each place that holds a branch's artifacts: local, central, hot, cold. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .status import Row

PLACES = ("local", "central", "hot", "cold")
# No place of artifacts: where the restorer's key was tried.
KEY = "key"
BACKUP_KINDS = ("full", "increment", "log")
# Kinds whose success says up to when a place can restore.
FILLING_KINDS = (*BACKUP_KINDS, "sync", "offsite")
KEYS_SHOWN = 20
_CENTRAL_PLAYBOOK = re.compile(r"_central(\.ya?ml)?$")


def is_imported(row: Row) -> bool:
    """Whether it is a branch's own word that central took in."""
    return "imported" in row.details


def is_missed(row: Row) -> bool:
    """Whether it stands for a run that did not come, or for one of which word came late."""
    return "missed" in row.details


def place_of(row: Row) -> str | None:
    """Return the place that the run worked on; a branch speaks of its own only."""
    if is_imported(row) or row.kind in BACKUP_KINDS:
        return "local"
    named = row.details.get("place")
    if isinstance(named, str) and named in (*PLACES, KEY):
        return named
    if row.kind in ("sync", "snapshot"):
        return "central"
    if row.kind in ("verify", "retention"):
        return "central" if _CENTRAL_PLAYBOOK.search(row.playbook) else "local"
    return None


def recoverable_until(row: Row) -> datetime | None:
    """Up to when the place can restore, as a run that filled it said."""
    said = row.details.get("recoverable")
    until = said.get("until") if isinstance(said, dict) else None
    points = [moment_of(row.recovery_point), moment_of(until)]
    if row.kind in BACKUP_KINDS:
        # The recovery point of an idle shop goes on while nothing is sealed.
        return max((point for point in points if point is not None), default=None)
    return next((point for point in points if point is not None), None)


def places(rows: Sequence[Row], *, now: datetime) -> list[dict[str, Any]]:
    """Tell of each place up to when it restores and when it was verified; nothing where no row speaks of it."""
    return [_place(name, [row for row in rows if place_of(row) == name], now=now) for name in PLACES]


def _place(name: str, rows: Sequence[Row], *, now: datetime) -> dict[str, Any]:
    filled = [row for row in rows if row.kind in FILLING_KINDS and row.status == "success"]
    told = [(until, row) for row in filled if (until := recoverable_until(row)) is not None]
    # A branch's clock may be wrong, or lie: what it says later counts for more than what it says more of.
    newest = max(told, key=lambda each: each[0] if name == "local" else end_of(each[1]), default=None)
    checks = [row for row in rows if row.kind == "verify" and row.status != "pending" and not is_missed(row)]
    last = max(checks, key=end_of, default=None)
    good = max((end_of(row) for row in checks if row.status == "success"), default=None)
    return {
        "place": name,
        "recoverable_until": stamp(newest[0]) if newest else None,
        "age_s": age_s(newest[0], now) if newest else None,
        "told_at": stamp(end_of(newest[1])) if newest else None,
        "verified_at": stamp(good),
        "verified_age_s": age_s(good, now),
        "last_verification": last.status if last is not None else None,
    }


def keys(rows: Iterable[Row], *, now: datetime) -> list[dict[str, Any]]:
    """Tell the ages of keys, and how far the rotation of each is, as the newest run that spoke of it said."""
    told = [row for row in rows if row.kind == "rotate" and row.status == "success" and not is_imported(row)]
    known: dict[str, Any] = {}
    for row in sorted(told, key=end_of):
        of_row = row.details.get("keys")
        known.update(of_row if isinstance(of_row, dict) else {})
    found = []
    for name, fact in sorted(known.items())[:KEYS_SHOWN]:
        facts = fact if isinstance(fact, dict) else {"since": fact}
        moment = moment_of(facts.get("since"))
        stage = facts.get("stage")
        if moment is not None:
            shown = stage if isinstance(stage, str) else None
            found.append({"name": str(name), "since": stamp(moment), "age_s": age_s(moment, now), "stage": shown})
    return found


def missed(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """List the runs that did not come and of which no word came, the newest first."""
    still = [row for row in rows if is_missed(row) and isinstance(row.details["missed"], dict)]
    still = [row for row in still if row.status == "failed" and "settled_by" not in row.details["missed"]]
    return [
        {
            "kind": row.kind,
            "job": str(row.details["missed"].get("job") or row.kind),
            "due": stamp(row.started_at),
            "of": str(row.details["missed"].get("of") or "not told"),
            "expected": str(row.details["missed"].get("expected") or "not told"),
        }
        for row in sorted(still, key=lambda row: row.started_at, reverse=True)
    ]


def end_of(row: Row) -> datetime:
    """Return the end of a run, or its beginning while it has none."""
    return row.finished_at or row.started_at


def moment_of(text: Any) -> datetime | None:
    """Read a time of a row, which may be anything."""
    if not isinstance(text, str):
        return None
    try:
        point = datetime.fromisoformat(text)
        return point.astimezone(UTC) if point.tzinfo else point.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def stamp(moment: datetime | None) -> str | None:
    """Write a time as the document has it."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def age_s(moment: datetime | None, now: datetime) -> float | None:
    """Tell the age of a moment, which is never less than nothing."""
    return None if moment is None else max((now - moment).total_seconds(), 0.0)


__all__ = (
    "BACKUP_KINDS",
    "KEY",
    "PLACES",
    "age_s",
    "end_of",
    "is_imported",
    "is_missed",
    "keys",
    "missed",
    "moment_of",
    "place_of",
    "places",
    "recoverable_until",
    "stamp",
)

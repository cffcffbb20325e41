# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows of restores and drills prove and measured: which branch was proven, how long, how much fits. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .places import end_of, is_missed, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from .status import Row

RESTORING_KINDS = ("restore", "drill")
# A drill tells of a step that it was left out by configuration; of these two nothing is proven then.
LEFT_OUT = "left out"
NEEDED_STEPS = ("database", "uploads")
# Steps of a restore after which the shop is open already.
AFTER_OPENING = ("watch",)
# What takes as long however large the database is.
FIXED_PARTS = ("start",)
# Smaller ones measure how long programs take to start, not their speed.
LEAST_BYTES = 4 * 1024**2
LEAST_SECONDS = 0.05


def is_proof(row: Row) -> bool:
    """Whether it is a drill that was good, with nothing NOT RUN in it."""
    return row.kind == "drill" and row.status == "success" and not is_missed(row) and _all_done(row)


def is_whole(row: Row) -> bool:
    """Whether the shop could open with what was restored: the database, and all of the uploads."""
    if row.kind == "drill":
        # All of it was right, but took too long.
        return is_proof(row) or (row.details.get("reason") == "over_rto" and _all_done(row))
    if row.status != "success":
        return False
    results = {each["name"]: each["result"] for each in _steps(row)}
    if results:
        return {"database", "files"} <= set(results) and all(result == "OK" for result in results.values())
    uploads = row.details.get("uploads")
    plan = uploads.get("plan") if isinstance(uploads, dict) else None
    return "plan" in row.details and isinstance(plan, dict) and not plan.get("paths")


def time_to_open(row: Row) -> float | None:
    """Seconds until the shop was open, or could have been: a restore's from its first start, a drill's by its steps."""
    told = _seconds(row.details.get("total_s"))
    known = [seconds for seconds in (told, row.duration_s) if seconds is not None]
    if not known:
        return None
    if row.kind == "drill" and told is not None:
        return told
    after = sum(each["seconds"] or 0.0 for each in _steps(row) if each["name"] in AFTER_OPENING)
    return max(max(known) - after, 0.0)


def last_restore(rows: Iterable[Row], *, limit: timedelta) -> dict[str, Any] | None:
    """Tell of the last restore of everything, and how large a database may be to be back within *limit*."""
    whole = sorted((row for row in rows if row.kind in RESTORING_KINDS and is_whole(row)), key=end_of, reverse=True)
    if not whole:
        return None
    last = whole[0]
    measured = next(((row, fits) for row in whole if (fits := _fits(row, limit)) is not None), None)
    return {
        "run_id": last.run_id,
        "kind": last.kind,
        "finished_at": stamp(end_of(last)),
        "time_to_open_s": time_to_open(last),
        "total_s": _seconds(last.details.get("total_s")) or last.duration_s,
        "down_s": _seconds(last.details.get("down_s")),
        "steps": _steps(last),
        "database_bytes": _database_bytes(last),
        "fits_bytes": measured[1] if measured else None,
        "measured_at": stamp(end_of(measured[0])) if measured else None,
    }


def _all_done(row: Row) -> bool:
    return all(
        each["result"] == "OK" or (each["result"] == LEFT_OUT and each["name"] not in NEEDED_STEPS)
        for each in _steps(row)
    )


def _fits(row: Row, limit: timedelta) -> int | None:
    """Bytes of SQL that fit: the database at the speed of that run, all else as long as it took."""
    size, took, total = _database_bytes(row), _database_seconds(row), time_to_open(row)
    if size is None or took is None or total is None or size < LEAST_BYTES or took < LEAST_SECONDS:
        return None
    left = limit.total_seconds() - max(total - took, 0.0)
    return max(int(size * left / took), 0)


def _database_bytes(row: Row) -> int | None:
    plan = row.details.get("plan")
    size = plan.get("plain_size") if isinstance(plan, dict) else row.details.get("database_bytes")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def _database_seconds(row: Row) -> float | None:
    """How long the database took, without what does not grow with it."""
    told = row.details.get("seconds")
    parts = {name: _seconds(value) for name, value in told.items()} if isinstance(told, dict) else {}
    if parts:
        return sum(value or 0.0 for name, value in parts.items() if name not in FIXED_PARTS)
    return next((each["seconds"] for each in _steps(row) if each["name"] == "database"), None)


def _steps(row: Row) -> Sequence[dict[str, Any]]:
    told = row.details.get("steps")
    listed = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return [
        {
            "name": str(each.get("name")),
            "result": str(each.get("result")),
            "seconds": _seconds(each.get("seconds")),
        }
        for each in listed
    ]


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


__all__ = ("RESTORING_KINDS", "is_proof", "is_whole", "last_restore", "time_to_open")

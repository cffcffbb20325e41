# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a run is overdue: from what is expected, and when runs began. Pure.

Of each job and day there is one answer, whatever the interval: a branch that is silent for a day is one fact.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ._jobs import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._jobs import Job

# A machine's clock and central's may differ by so much.
CLOCK_TOLERANCE = timedelta(minutes=5)
_DAILY_GRACE = timedelta(hours=4)
_LONGEST_GRACE = timedelta(days=1)
_SHORTEST_GRACE = timedelta(minutes=10)
_IDS = uuid.UUID("0d4b4f0e-6f0a-5c3e-9d53-2f6b7a9c1e44")


class ExpectationError(ValueError):
    """What is expected cannot be understood; the text says what to write."""


@dataclasses.dataclass(frozen=True)
class Expectation:
    """One job for one branch: at least one ``every`` so often, or one a day ``at`` a local time.

    ``at_central``: central makes it for the branch. ``lag``: how long central may not hear of a run of the branch.
    """

    branch: str
    job: Job
    zone: ZoneInfo
    grace: timedelta
    every: timedelta | None = None
    at: time | None = None
    at_central: bool = False
    lag: timedelta = timedelta(0)

    @property
    def key(self) -> str:
        return f"{self.branch}/{'central' if self.at_central else 'branch'}/{self.job.name}"

    def run_id(self, day: date) -> str:
        """The id of the row that says that no run came on this day: the same however often it is concluded."""
        return str(uuid.uuid5(_IDS, f"{self.key}/{day.isoformat()}"))

    def day_of(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()


def is_conclusion(run_id: str) -> bool:
    """Whether the row is one of an absence, and no run: a launcher makes ids of another version."""
    return uuid.UUID(run_id).version == _IDS.version


@dataclasses.dataclass(frozen=True)
class Overdue:
    """No run between ``due`` and ``until`` (or until now)."""

    due: datetime
    until: datetime


def expectations(
    wanted: Mapping[str, Any], *, branch: str, zone: str, at_central: bool = False, lag: timedelta = timedelta(0)
) -> list[Expectation]:
    """Read ``job: 300``, ``job: "23:15"``, or either as ``every`` or ``at`` beside a ``grace`` in seconds.

    A job is named by its kind, one of central also as its timer is (``verify-hot``).
    """
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ExpectationError(
            f"the time zone {zone!r} of {branch} is not known here. Write a name such as Europe/Berlin"
        ) from exc
    found = []
    known = jobs(at_central=at_central)
    for name, value in wanted.items():
        if name not in known:
            raise ExpectationError(f"{name}: no job has this name. Write one of {', '.join(known)}")
        told = value if isinstance(value, dict) else {"every" if _seconds(value) else "at": value}
        every, at = _seconds(told.get("every")), _time_of_day(told.get("at"))
        if (every is None) == (at is None) or set(told) - {"every", "at", "grace"}:
            raise ExpectationError(
                f"{name}: {value!r} says no interval in seconds and no time of day. Write log: 300, full: '23:15', or "
                "a dictionary of every or at, and grace in seconds"
            )
        if at is not None and (_seconds(told.get("grace")) or _DAILY_GRACE) > _LONGEST_GRACE:
            raise ExpectationError(f"{name}: a grace of more than a day would hide the next one. Write less than 86400")
        default = _DAILY_GRACE if every is None else max(every, _SHORTEST_GRACE)
        grace = _seconds(told.get("grace")) or default
        found.append(Expectation(branch, known[name], info, grace, every=every, at=at, at_central=at_central, lag=lag))
    return found


def overdue(
    expected: Expectation,
    day: date,
    starts: Sequence[datetime],
    *,
    since: datetime,
    now: datetime,
    ends: Mapping[datetime, datetime] | None = None,
) -> Overdue | None:
    """What was missed on this day, the first of it. ``starts`` are sorted; nothing is expected before ``since``.

    ``ends``: by its start, until when a run was at work, and no other could begin.
    """
    horizon = now - expected.lag
    if expected.every is not None:
        begin, end = _bounds(expected, day)
        for gap in _gaps(expected, starts, ends or {}, since=since, horizon=horizon):
            due, until = max(gap.due, begin), min(gap.until, end)
            if due < until:
                return Overdue(due, until)
        return None
    first, last = _due(expected, day)
    deadline = last + expected.grace
    if first < since or deadline + CLOCK_TOLERANCE > horizon or run_of(expected, day, starts) is not None:
        return None
    return Overdue(first, deadline)


def run_of(expected: Expectation, day: date, starts: Sequence[datetime]) -> datetime | None:
    """The start of the run that settles this day's absence, also one that came late. None where there is none."""
    if expected.every is not None:
        begin, end = _bounds(expected, day)
        return next((start for start in reversed(starts) if begin <= start < end), None)
    first = _due(expected, day)[0] - CLOCK_TOLERANCE
    following = _due(expected, day + timedelta(days=1))[0] - CLOCK_TOLERANCE
    return next((start for start in starts if first <= start < following), None)


def days(expected: Expectation, *, since: datetime, now: datetime) -> Iterator[date]:
    day = expected.day_of(since)
    while day <= expected.day_of(now):
        yield day
        day += timedelta(days=1)


def reach(expected: Expectation, day: date) -> datetime:
    """The earliest start that says something of this day."""
    return _bounds(expected, day)[0] - (expected.every or timedelta(0)) - expected.grace - CLOCK_TOLERANCE


def _gaps(
    expected: Expectation,
    starts: Sequence[datetime],
    ends: Mapping[datetime, datetime],
    *,
    since: datetime,
    horizon: datetime,
) -> Iterator[Overdue]:
    """When a run was overdue: from its latest moment to its coming."""
    limit = (expected.every or timedelta(0)) + expected.grace
    # A run in the future is a wrong clock's, and no run was expected before the first look.
    known = [start for start in starts if start <= horizon + CLOCK_TOLERANCE]
    latest = itertools.accumulate((since, *(ends.get(start, start) for start in known)), max)
    for before, after in zip(latest, [*known, horizon], strict=True):
        due = before + limit
        if due < after:
            yield Overdue(due, after)


def _bounds(expected: Expectation, day: date) -> tuple[datetime, datetime]:
    return _moments(expected, day, time())[0], _moments(expected, day + timedelta(days=1), time())[0]


def _due(expected: Expectation, day: date) -> tuple[datetime, datetime]:
    if expected.at is None:
        raise ValueError("this kind has no time of day")
    return _moments(expected, day, expected.at)


def _moments(expected: Expectation, day: date, at: time) -> tuple[datetime, datetime]:
    """The first and the last moment that the local time can mean: it may come twice a day, or be left out."""
    local = datetime.combine(day, at, tzinfo=expected.zone)
    both = [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(both), max(both)


def _seconds(value: Any) -> timedelta | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 10**9:
        return None
    return timedelta(seconds=value)


def _time_of_day(value: Any) -> time | None:
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    return None if match is None else time(int(match[1]), int(match[2]))


__all__ = (
    "CLOCK_TOLERANCE",
    "Expectation",
    "ExpectationError",
    "Overdue",
    "days",
    "expectations",
    "is_conclusion",
    "overdue",
    "reach",
    "run_of",
)

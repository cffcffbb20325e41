# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _frozen

BEGIN = dt.datetime(2026, 3, 2, 3, 0, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)


def nights(*hours: float) -> list[_frozen.Snapshot]:
    """Snapshots *hours* after the beginning."""
    times = [BEGIN + dt.timedelta(hours=each) for each in hours]
    return [_frozen.Snapshot(f"/s/{number}", number, time) for number, time in enumerate(times, start=1)]


def test_over_age_goes_oldest_first() -> None:
    found = _frozen.expired(nights(0, 24, 48, 72), now=BEGIN + 4 * DAY, keep_days=2)
    assert [each.number for each in found] == [1, 2]


def test_a_long_step_and_a_clock_set_back_age_nothing() -> None:
    assert _frozen.expired(nights(0, 24, 24 * 365), now=BEGIN + 366 * DAY, keep_days=2) == []
    assert _frozen.expired(nights(24 * 365, 0, 24), now=BEGIN + 2 * DAY, keep_days=3) == []


@given(
    steps=st.lists(st.integers(-5000, 5000), max_size=20),
    last=st.integers(-5000, 5000),
    keep_days=st.integers(1, 30),
)
def test_the_newest_stays_and_who_is_younger_than_one_that_stays_stays(
    steps: list[int], last: int, keep_days: int
) -> None:
    hours = [sum(steps[:count]) for count in range(len(steps) + 1)]
    snapshots = nights(*hours)
    found = _frozen.expired(snapshots, now=snapshots[-1].created_at + dt.timedelta(hours=last), keep_days=keep_days)
    assert found == snapshots[: len(found)]
    assert snapshots[-1] not in found
    # What stays fills the days that are to be kept, as far as there is anything.
    if found:
        real = [step for step in [*steps[len(found) - 1 :], last] if 0 <= step <= 48]
        assert sum(real) > 24 * keep_days

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a run is overdue, by itself: intervals, times of the day, nights that are longer or shorter."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ansible_collections.larapee.backup.plugins.plugin_utils import _absence
from ansible_collections.larapee.backup.plugins.plugin_utils._absence import Expectation, ExpectationError

DAY = date(2026, 11, 22)
START = datetime(2026, 11, 20, tzinfo=UTC)


def expect(wanted: Any, *, kind: str = "full", zone: str = "UTC", lag_s: float = 0) -> Expectation:
    (found,) = _absence.expectations({kind: wanted}, branch="branch-001", zone=zone, lag=timedelta(seconds=lag_s))
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}+00:00")


def overdue(
    expected: Expectation, *starts: str, now: str, day: date = DAY, since: datetime = START
) -> tuple[str, str] | None:
    found = _absence.overdue(expected, day, [at(start) for start in starts], since=since, now=at(now))
    return None if found is None else (f"{found.due:%d %H:%M}", f"{found.until:%d %H:%M}")


def test_a_time_of_the_day_is_missed_after_its_grace_and_not_before() -> None:
    full = expect({"at": "03:00", "grace": 3600})
    assert overdue(full, now="11-22 04:04") is None
    assert overdue(full, now="11-22 04:06") == ("22 03:00", "22 04:00")
    assert overdue(full, "11-22 03:59", now="11-22 05:00") is None
    # The clock of the branch may be a little ahead.
    assert overdue(full, "11-22 02:56", now="11-22 05:00") is None
    assert overdue(full, "11-22 02:50", now="11-22 05:00") is not None
    assert overdue(full, "11-21 03:00", now="11-22 05:00") is not None


def test_a_run_that_came_late_is_the_run_of_its_day() -> None:
    full = expect("03:00")
    starts = [at("11-22 22:00"), at("11-23 02:57")]
    assert _absence.run_of(full, DAY, starts) == starts[0]
    assert _absence.run_of(full, DAY, starts[1:]) is None
    assert _absence.run_of(full, date(2026, 11, 23), starts) == starts[1]


def test_an_interval_is_missed_when_nothing_began_for_longer_than_it_and_its_grace() -> None:
    log = expect({"every": 300, "grace": 600}, kind="log")
    since = at("11-22 10:00")
    assert overdue(log, "11-22 10:05", now="11-22 10:20", since=since) is None
    assert overdue(log, "11-22 10:05", now="11-22 10:21", since=since) == ("22 10:20", "22 10:21")
    assert overdue(log, "11-22 10:05", "11-22 10:30", now="11-22 10:31", since=since) == ("22 10:20", "22 10:30")
    # Nobody expects what the branch has not had the time to tell yet.
    late = expect({"every": 300, "grace": 600}, kind="log", lag_s=1200)
    assert overdue(late, "11-22 10:05", now="11-22 10:39", since=since) is None
    assert overdue(late, "11-22 10:05", now="11-22 10:41", since=since) is not None


def test_a_silence_of_days_is_one_gap_a_day() -> None:
    log = expect(300, kind="log")
    found = [overdue(log, "11-20 00:05", now="11-22 12:00", day=DAY + timedelta(days=more)) for more in (-2, -1, 0, 1)]
    assert found == [("20 00:20", "21 00:00"), ("21 00:00", "22 00:00"), ("22 00:00", "22 12:00"), None]


def test_nothing_is_expected_before_the_branch_was_known() -> None:
    log, full = expect(300, kind="log"), expect("03:00")
    assert overdue(log, now="11-22 12:00", since=at("11-22 11:50")) is None
    assert overdue(log, now="11-22 12:06", since=at("11-22 11:50")) == ("22 12:05", "22 12:06")
    # What ran before by itself was not expected either.
    assert overdue(log, "11-22 10:00", now="11-22 12:00", since=at("11-22 11:50")) is None
    assert overdue(full, now="11-22 12:00", since=at("11-22 03:01")) is None
    assert overdue(full, now="11-22 12:00", since=at("11-22 02:59")) is not None


def test_a_run_of_a_clock_that_is_far_ahead_does_not_count() -> None:
    log = expect(300, kind="log")
    assert overdue(log, "11-22 10:00", "11-22 23:00", now="11-22 12:00") == ("22 00:00", "22 10:00")
    assert overdue(log, "11-22 00:00", "11-22 23:00", now="11-22 12:00") == ("22 00:15", "22 12:00")


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        # 02:30 comes twice in Berlin, and is left out half a year before.
        (date(2026, 10, 25), "25 00:30", "25 05:30"),
        (date(2026, 3, 29), "29 00:30", "29 05:30"),
        (date(2026, 7, 1), "01 00:30", "01 04:30"),
        (date(2026, 12, 1), "01 01:30", "01 05:30"),
    ],
)
def test_nights_that_are_longer_or_shorter(day: date, first: str, last: str) -> None:
    """Whichever of its moments a timer takes, the run is there; four hours after the last of them it is missed."""
    verify = expect("02:30", kind="verify", zone="Europe/Berlin")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    now = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    found = _absence.overdue(verify, day, [], since=since, now=now)
    assert found is not None
    assert (f"{found.due:%d %H:%M}", f"{found.until:%d %H:%M}") == (first, last)
    for start in (found.due, found.due + timedelta(hours=1)):
        assert _absence.overdue(verify, day, [start], since=since, now=now) is None


@pytest.mark.parametrize(
    "wanted", [0, -5, True, "24:00", "3 am", None, [], {}, {"every": 300, "at": "03:00"}, {"at": "03:00", "x": 1}]
)
def test_what_cannot_be_expected_is_named(wanted: Any) -> None:
    with pytest.raises(ExpectationError, match="full: .* says no interval in seconds and no time of day"):
        expect(wanted)
    with pytest.raises(ExpectationError, match="anything"):
        expect("03:00", kind="anything")
    with pytest.raises(ExpectationError, match="Mars/Phobos"):
        expect("03:00", zone="Mars/Phobos")
    with pytest.raises(ExpectationError, match="a grace of more than a day"):
        expect({"at": "03:00", "grace": 90000})


def test_text_of_a_template_is_a_number_as_well() -> None:
    assert expect("300", kind="log").every == timedelta(seconds=300)


ZONES = some.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])
MINUTES = some.lists(some.integers(0, 4 * 24 * 60), max_size=40)


@settings(max_examples=100, deadline=None)
@given(zone=ZONES, minutes=MINUTES, every=some.integers(60, 7200), first=some.integers(0, 300))
def test_days_together_tell_exactly_the_gaps(zone: str, minutes: list[int], every: int, first: int) -> None:
    """By brute force: each minute at which nothing had begun for too long lies in a day that is missed."""
    log = expect({"every": every, "grace": 600}, kind="log", zone=zone)
    begin = datetime(2026, 3, 27, tzinfo=UTC) + timedelta(days=first)
    now = begin + timedelta(days=4)
    starts = sorted(begin + timedelta(minutes=minute) for minute in minutes)
    found = {
        day: _absence.overdue(log, day, starts, since=begin, now=now)
        for day in _absence.days(log, since=begin, now=now)
    }
    limit = timedelta(seconds=every + 600)
    for minute in range(0, 4 * 24 * 60, 7):
        moment = begin + timedelta(minutes=minute, seconds=30)
        latest = max([begin, *[start for start in starts if start <= moment]])
        gap = found[log.day_of(moment)]
        if moment - latest >= limit:
            assert gap is not None
            assert gap.due <= moment
        elif gap is not None:
            assert not gap.due <= moment < gap.until


@settings(max_examples=200, deadline=None)
@given(zone=ZONES, minutes=MINUTES, at_minute=some.integers(0, 1439), first=some.integers(0, 300))
def test_every_run_is_the_run_of_one_day_at_most(zone: str, minutes: list[int], at_minute: int, first: int) -> None:
    full = expect(f"{at_minute // 60:02d}:{at_minute % 60:02d}", zone=zone)
    begin = datetime(2026, 3, 27, tzinfo=UTC) + timedelta(days=first)
    starts = sorted(begin + timedelta(minutes=minute) for minute in set(minutes))
    taken = [
        _absence.run_of(full, day, starts)
        for day in _absence.days(full, since=begin - timedelta(days=2), now=begin + timedelta(days=6))
    ]
    came = [start for start in taken if start is not None]
    assert len(came) == len(set(came))

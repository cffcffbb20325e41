# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._aim import LATE_SECONDS, Seeker, Wish, parse_wish
from ansible_collections.larapee.backup.plugins.module_utils._binlog._facts import Group
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

START = 1_800_000_000


def time_at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(START + seconds, dt.timezone.utc)


def shown(wish: Wish, times: list[int], *, per_file: int = 3) -> Seeker:
    """A seeker that has seen one transaction for each of *times*, 100 bytes each."""
    seeker = Seeker(wish)
    for index, at in enumerate(times):
        start = 200 + 100 * (index % per_file)
        group = Group(f"0-1-{index + 1}", start, start + 100, START + at, definition=False, server_id=1)
        seeker.see(f"mysql-bin.{index // per_file + 1:06d}", group)
    return seeker


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("latest", Wish("latest")),
        ("set:17", Wish("set:17", number=17)),
        ("gtid:0-1-5", Wish("gtid:0-1-5", gtid="0-1-5")),
        ("mysql-bin.000042:1337", Wish("mysql-bin.000042:1337", file="mysql-bin.000042", position=1337)),
        (
            "2027-03-01T12:00:00Z",
            Wish("2027-03-01T12:00:00Z", time=dt.datetime(2027, 3, 1, 12, tzinfo=dt.timezone.utc)),
        ),
    ],
)
def test_a_wish_is_read(text: str, wish: Wish) -> None:
    assert parse_wish(text) == wish


@pytest.mark.parametrize(
    "text",
    ["", "gtid:", "set:", "set:-1", "yesterday", "2027-03-01T12:00:00", "2027-03-01 12:00:00Z", "a/b.000001:4", "x:4"],
)
def test_what_is_no_wish_is_none(text: str) -> None:
    assert parse_wish(text) is None


@given(st.lists(st.integers(0, 40), max_size=30).map(sorted), st.integers(-1, 41))
def test_a_time_divides_what_came_in_order(times: list[int], wished: int) -> None:
    seeker = shown(Wish("t", time=time_at(wished)), times)
    seeker.check(end="x")
    assert seeker.count == sum(at < wished for at in times)
    assert (seeker.last is None) == (seeker.count == 0)
    assert (seeker.following is None) == (seeker.count == len(times))
    if seeker.following is not None:
        assert seeker.following.time >= time_at(wished)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 41))
def test_a_time_is_ambiguous_when_and_only_when_the_clock_brought_it_back(times: list[int], wished: int) -> None:
    seeker = shown(Wish("t", time=time_at(wished)), times)
    first = next((index for index, at in enumerate(times) if at >= wished), len(times))
    back = [
        index
        for index, at in enumerate(times)
        if index > first and at < wished and max(times[: index + 1]) - at > LATE_SECONDS
    ]
    if not back:
        seeker.check(end="x")
        return
    with pytest.raises(BackupError) as caught:
        seeker.check(end="x")
    assert caught.value.reason == "ambiguous_time"
    candidates = caught.value.facts["candidates"]
    assert len(candidates) <= 12
    assert candidates[-1]["gtid"] in {f"0-1-{index + 1}" for index in back}


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_gtid_and_the_position_where_it_ends_are_one_point(count: int, wished: int) -> None:
    by_gtid = shown(Wish("g", gtid=f"0-1-{wished}"), [0] * count)
    if wished > count:
        with pytest.raises(BackupError, match="no transaction of the chain has that GTID"):
            by_gtid.check(end="x")
        return
    by_gtid.check(end="x")
    assert by_gtid.last is not None
    assert by_gtid.count == wished
    by_position = shown(Wish("p", file=by_gtid.last.file, position=by_gtid.last.position), [0] * count)
    by_position.check(end="x")
    assert (by_position.last, by_position.following) == (by_gtid.last, by_gtid.following)


@pytest.mark.parametrize("position", [301, 350, 399])
def test_a_position_within_a_transaction_names_its_edges(position: int) -> None:
    with pytest.raises(BackupError, match=r"Give mysql-bin.000001:300 .* or mysql-bin.000001:400"):
        shown(Wish("p", file="mysql-bin.000001", position=position), [0] * 5)


@pytest.mark.parametrize(("position", "count"), [(4, 0), (200, 0), (300, 1), (500, 3), (507, 3)])
def test_a_position_between_transactions_is_one(position: int, count: int) -> None:
    assert shown(Wish("p", file="mysql-bin.000001", position=position), [0] * 5).count == count


def test_latest_takes_all() -> None:
    seeker = shown(Wish("latest"), [5, 1, 9])
    seeker.check(end="x")
    assert (seeker.count, seeker.following) == (3, None)

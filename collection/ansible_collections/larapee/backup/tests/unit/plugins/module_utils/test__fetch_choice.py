# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _fetch_choice
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import utc

DAY = utc("2026-11-01 23:15:00")
NOW = utc("2026-11-09 00:00:00")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "now", lambda: NOW)


def stamp(time: dt.datetime) -> str:
    return time.strftime("%Y%m%d-%H%M")


def full(time: dt.datetime) -> str:
    return f"db-{stamp(time)}.sql.gz.age"


def increment(time: dt.datetime) -> str:
    return f"db-{stamp(time)}.binlog.zst.age"


def hours(*offsets: float) -> list[dt.datetime]:
    return [DAY + dt.timedelta(hours=each) for each in offsets]


def choose(names: list[str], *, to: str = "latest", fulls: int = 1) -> set[str]:
    return _fetch_choice.choose(names, to=to, fulls=fulls)


def test_latest_needs_the_newest_full_and_what_follows_it() -> None:
    fulls, logs = hours(0, 24, 48), hours(1, 25, 49, 50)
    names = [*map(full, fulls), *map(increment, logs)]
    assert choose(names) == {full(fulls[2]), increment(logs[2]), increment(logs[3])}
    assert choose(names, fulls=2) == set(names) - {full(fulls[0]), increment(logs[0])}
    assert choose(names, fulls=9) == set(names)


def test_a_time_needs_no_later_full_but_the_log_that_reaches_to_it() -> None:
    fulls, logs = hours(0, 24, 48), hours(1, 2, 23, 25, 49)
    names = [*map(full, fulls), *map(increment, logs)]
    to = (DAY + dt.timedelta(hours=2, minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert choose(names, to=to) == {full(fulls[0]), *map(increment, logs[:3])}


def test_every_file_of_an_artifact_goes_with_it() -> None:
    (time,) = hours(1)
    name = increment(time)
    whole = {name, f"{name}.fingerprint.zst.age", f"{name}.manifest.json", f"{name}.manifest.json.sig"}
    assert choose([full(DAY), *whole]) == {full(DAY), *whole}
    assert {_fetch_choice.artifact_of(each) for each in whole} == {name}


@pytest.mark.parametrize("to", ["gtid:0-1-4711", "mysql-bin.000042:1337", "set:17"])
def test_what_is_not_told_by_a_time_may_need_anything(to: str) -> None:
    names = [*map(full, hours(0, 24)), *map(increment, hours(1, 25)), "increments-20261102-0530.tar"]
    assert choose([*names, "db-x", "tip.json", "../../etc/passwd"], to=to) == set(names)


def test_names_of_the_future_push_nothing_out() -> None:
    bogus = [full(NOW + dt.timedelta(days=each)) for each in range(1, 20)]
    assert choose([full(DAY), *bogus]) == {full(DAY)}


def test_uploads_and_config_are_chosen_by_their_own_times() -> None:
    names = [f"public-uploads-{stamp(each)}.tar.zst.age" for each in hours(0, 24)]
    names += [f"public-uploads-{stamp(each)}.incr.tar.zst.age" for each in hours(1, 25)]
    names += [f"config-{stamp(each)}.tar.zst.age" for each in hours(0, 24)]
    assert choose(names) == {names[1], names[3], names[5]}


def test_a_tar_made_after_what_it_holds_is_chosen() -> None:
    fulls = hours(0, 24, 48)
    tars = [f"increments-{stamp(each)}.tar" for each in hours(6, 30, 54)]
    to = (DAY + dt.timedelta(hours=26)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert choose([*map(full, fulls), *tars], to=to) == {full(fulls[1]), tars[1], tars[2]}


@given(
    fulls=st.lists(st.integers(0, 9999), min_size=1, unique=True),
    logs=st.lists(st.integers(0, 9999), unique=True),
    moment=st.integers(0, 9999),
)
def test_nothing_of_the_chain_to_a_moment_is_left_out(fulls: list[int], logs: list[int], moment: int) -> None:
    start = utc("2026-10-01 00:00:00")
    of = {minute: start + dt.timedelta(minutes=minute) for minute in (*fulls, *logs, moment)}
    chosen = choose(
        [*(full(of[each]) for each in fulls), *(increment(of[each]) for each in logs)],
        to=of[moment].strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    before = [each for each in fulls if each <= moment]
    if before:
        base = max(before)
        assert full(of[base]) in chosen
        reaching = [each for each in logs if each > moment]
        # The log that holds the moment was sealed at it or after it, in the first one that came then.
        wanted = [each for each in logs if base <= each <= moment] + sorted(reaching)[:1]
        later = [each for each in fulls if each > moment]
        wanted = [each for each in wanted if not later or each <= min(later)]
        assert {increment(of[each]) for each in wanted} <= chosen

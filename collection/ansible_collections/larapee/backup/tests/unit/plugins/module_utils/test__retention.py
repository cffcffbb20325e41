# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _retention
from ansible_collections.larapee.backup.plugins.module_utils._retention import Facts
from ansible_collections.larapee.backup.plugins.module_utils._sets import BackupSet, backup_sets
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.histories import (
    BEGIN,
    full_run,
    sealed,
    sealed_run,
    stands,
)

HOUR = dt.timedelta(hours=1)
OTHER_EPOCH = "11111111-2222-4333-8444-555555555555"


def at(*hours: float) -> list[BackupSet]:
    """A full run at each of these times, by the clock of the branch."""
    return backup_sets(m for number, each in enumerate(hours, start=1) for m in full_run(number, hours=each))


def facts(hours: float, **changes: Any) -> Facts:
    return dataclasses.replace(Facts(now=BEGIN + hours * HOUR, keep_days=1), **changes)


def went(sets: list[BackupSet], given: Facts, *, corrupt: tuple[int, ...] = ()) -> dict[int, int]:
    plan = _retention.plan(sets, given, defect=lambda each: "corrupt" if each.number in corrupt else "")
    return {drop.backup_set.number: drop.replaced_by.number for drop in plan.drops}


def codes(sets: list[BackupSet], given: Facts, *, corrupt: tuple[int, ...] = ()) -> dict[int, str]:
    plan = _retention.plan(sets, given, defect=lambda each: "corrupt" if each.number in corrupt else "")
    return {each.backup_set.number: each.code for each in plan.kept}


@pytest.mark.parametrize(
    ("hours", "now", "ages"),
    [
        ((0, 24, 48), 60, [60, 36, 12]),
        ((0, 48, 96.5), 100, [51.5, 3.5, 3.5]),
        ((0, 9000, 9024), 9030, [30, 30, 6]),
        ((0, -9000, -8976), -8970, [30, 30, 6]),
        ((0, 47, 12, 59), 60, [60, 13, 48, 1]),
        ((0, 24), 9000, [24, 0]),
    ],
    ids=["honest", "longest", "ahead", "back", "put-right", "now"],
)
def test_age_is_summed_from_set_to_set(hours: tuple[float, ...], now: float, ages: list[float]) -> None:
    assert [age / HOUR for age in _retention.ages(at(*hours), facts(now))] == ages


def test_exactly_at_the_limit_a_set_stays() -> None:
    assert went(at(0, 24), facts(24)) == {}
    assert went(at(0, 24), facts(24.01)) == {1: 2}


def test_nothing_is_read_when_nothing_may_go() -> None:
    def defect(_each: BackupSet) -> str:
        raise AssertionError("read")

    sets = at(0, 24)
    for given in (facts(24), facts(60, hold="x"), facts(60, pinned=frozenset({1, 2}))):
        _retention.plan(sets, given, defect=defect)


def test_the_newest_sets_are_read_first_and_as_few_as_it_takes() -> None:
    read = []

    def defect(each: BackupSet) -> str:
        read.append(each.number)
        return "corrupt" if each.number == 5 else ""

    _retention.plan(at(0, 24, 48, 72, 96), facts(97), defect=defect)
    assert read == [5, 4]


def test_the_newest_is_never_replaced_and_that_is_no_fault() -> None:
    assert codes(at(0, 24), facts(60)) == {2: "newest"}
    assert codes(at(0, 24), facts(60), corrupt=(2,)) == {1: "no_replacement", 2: "newest"}


@pytest.mark.parametrize(("left", "replaces"), [(100, True), (61, True), (60, False), (50, False), (0, False)])
@pytest.mark.parametrize("measure", ["plain_size", "entries", "bytes"])
def test_two_fifths_lost_replace_nothing(measure: str, left: int, *, replaces: bool) -> None:
    def run(number: int, value: int) -> list[Any]:
        tree = {"entries": 100, "bytes": 100, measure: value}
        changes = (
            {"plain_size": value} if measure == "plain_size" else {"tree": {k: tree[k] for k in ("entries", "bytes")}}
        )
        return full_run(number, hours=24 * number, **changes)

    sets = backup_sets([*run(1, 100), *run(2, left)])
    assert bool(went(sets, facts(49))) is replaces
    if not replaces:
        assert codes(sets, facts(49)) == {1: "needs_acknowledgement"}
        assert went(sets, facts(49, acknowledged=frozenset({2}))) == {1: 2}


def test_what_was_empty_cannot_lose() -> None:
    empty = {"plain_size": 0, "tree": {"entries": 0, "bytes": 0}}
    sets = backup_sets([*full_run(1, hours=0, **empty), *full_run(2, hours=24, **empty)])
    assert went(sets, facts(25)) == {1: 2}


def test_a_set_that_replaces_another_goes_after_it() -> None:
    sets = backup_sets(
        [*full_run(1, hours=0), *(m for n in (2, 3) for m in full_run(n, hours=24 * n, epoch=OTHER_EPOCH))]
    )
    given = facts(97, acknowledged=frozenset({2}), keep_days=1)
    assert went(sets, given) == {1: 2}
    assert codes(sets, given) == {2: "replaces", 3: "newest"}
    assert went(sets[1:], given) == {}
    assert went(backup_sets(m for each in sets[1:] for m in each.own), given) == {2: 3}


def test_a_set_that_waits_does_not_grow_younger_when_those_after_it_go() -> None:
    sets = at(0, 24, 48, 72, 96)
    given = facts(97, keep_days=2, pinned=frozenset({1}))
    assert went(sets, given) == {2: 5, 3: 5}
    going = {m.artifact for number in (1, 2) for m in sets[number].own}
    rest = backup_sets(m for each in (sets[0], *sets[3:]) for m in each.own)
    assert _retention.ages(rest, given)[0] / HOUR == 25
    left = dataclasses.replace(given, aged=_retention.aged(sets, given, going))
    assert _retention.ages(rest, left)[0] / HOUR == 97


def test_a_set_with_an_older_number_than_the_opened_one_goes_and_no_other() -> None:
    sets = at(0, 24, 48, 72)
    opened = frozenset(m.artifact for m in sets[1].members)
    assert went(sets, facts(97, opened=opened)) == {1: 4}
    assert codes(sets, facts(97, opened=opened)) == {2: "opened", 3: "opened", 4: "opened"}
    some = frozenset(list(opened)[:1])
    assert went(sets, facts(97, opened=some)) == {1: 4, 2: 4, 3: 4}


def test_what_stands_on_another_artifact_goes_before_it() -> None:
    plan = _retention.plan(at(0, 24, 48), facts(73), defect=lambda _each: "")
    order = [(each.kind, each.sequence) for each in plan.order()]
    assert order == sorted(order, key=lambda each: -each[1])


def stream(days: int, *, per_day: int = 3) -> list[Any]:
    """A full a day, and increments of the database between them."""
    made: list[Any] = []
    last, file = None, 1
    for day in range(days):
        number = 1 + day * (per_day + 1)
        run = full_run(number, hours=24 * day, **stands(file, file - 1))
        last = last or run[0]
        step = 24 / (per_day + 1)
        chain = sealed_run(number + 1, per_day, hours=24 * day + step, step=step, file=file, after=last)
        made += [*run, *chain]
        last, file = chain[-1], file + per_day
    return made


def test_increments_of_the_database_go_with_the_full_that_they_follow_and_before_it() -> None:
    sets = backup_sets(stream(4))
    plan = _retention.plan(sets, facts(80, keep_days=1), defect=lambda _each: "")
    assert [drop.backup_set.number for drop in plan.drops] == [1, 5]
    order = [each for each in plan.order() if each.kind.startswith("db_")]
    assert [(each.kind, each.set_number) for each in order] == [
        *(("db_increment", number) for number in (8, 7, 6, 4, 3, 2)),
        ("db_full", 5),
        ("db_full", 1),
    ]
    left = [each for owner in sets for each in owner.own if each not in plan.order()]
    assert [each.flaws for each in backup_sets(left)] == [(), ()]


def test_a_pinned_set_keeps_its_increments_of_the_database_and_not_those_of_the_sets_after_it() -> None:
    sets = backup_sets(stream(5))
    plan = _retention.plan(sets, facts(104, pinned=frozenset({1})), defect=lambda _each: "")
    gone = {each.set_number for each in plan.order()}
    assert gone == set(range(5, 13))
    left = backup_sets(each for owner in sets for each in owner.own if each not in plan.order())
    assert [each.number for each in left] == [1, 13, 17]
    assert [len(each.members) for each in left] == [6, 6, 6]
    assert [each.flaws for each in left] == [(), (), ()]


def test_a_damaged_increment_of_the_database_replaces_nothing() -> None:
    sets = backup_sets(stream(3))
    bad = sets[2].members[2].artifact

    def defect(each: BackupSet) -> str:
        return "corrupt" if bad in {member.artifact for member in each.members} else ""

    plan = _retention.plan(sets, facts(60), defect=defect)
    assert {drop.backup_set.number: drop.replaced_by.number for drop in plan.drops} == {1: 5}


def test_a_small_increment_of_the_database_is_no_loss() -> None:
    day = stream(2)
    uploads = [each for each in full_run(9, hours=46) if each.kind == "files_full"]
    after = sealed(10, hours=47, file=7, previous=day[-1].artifact, plain_size=1)
    sets = backup_sets([*day, *uploads, after])
    assert went(sets, facts(73, keep_days=1)) == {1: 9, 5: 9}


def test_a_week_of_increments_of_the_database_is_planned_in_a_moment() -> None:
    made = stream(9, per_day=287)
    assert sum(each.kind == "db_increment" for each in made) == 2583
    start = time.process_time()
    sets = backup_sets(made)
    given = facts(9 * 24 - 1, keep_days=7)
    plan = _retention.plan(sets, given, defect=lambda _each: "")
    _retention.aged(sets, given, {each.artifact for each in plan.order()})
    taken = time.process_time() - start
    assert sum(each.kind == "db_increment" for each in plan.order()) == 287
    assert taken < 1, f"{len(made)} artifacts were planned in {taken:.2f} CPU-seconds"

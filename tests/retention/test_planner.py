# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of retention against histories of every sort: what must never happen, and what must."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _retention, _sets
from tests.retention.histories import RUNS, WISHES, Run, World
from tests.retention.oracle import Database, Oracle

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._retention import Facts, Plan
    from ansible_collections.larapee.backup.plugins.module_utils._sets import BackupSet
    from tests.retention.histories import Wishes

HISTORIES = st.lists(RUNS, min_size=2, max_size=14)
generated = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def world_of(history: list[Run], wait: float) -> World:
    world = World()
    for run in history:
        world.run(run)
    world.clock += wait
    return world


def planned(world: World, facts: Facts) -> tuple[list[BackupSet], Plan]:
    sets = _sets.backup_sets(world.artifacts)
    return sets, _retention.plan(sets, facts, defect=world.defect)


def gone(plan: Plan) -> set[str]:
    return {manifest.artifact for manifest in plan.order()}


WAITS = st.sampled_from((0, 1, 24, 47, 60, 9000))


@generated
@given(history=HISTORIES, wishes=WISHES, wait=WAITS)
def test_it_decides_as_the_plain_rule_does(history: list[Run], wishes: Wishes, wait: float) -> None:
    world = world_of(history, wait)
    facts = wishes.facts(world)
    _all, plan = planned(world, facts)
    oracle = Oracle(world, facts)
    expected = oracle.going(oracle.dropped())
    assert gone(plan) == expected
    for drop in plan.drops:
        found = oracle.replaced_by[drop.backup_set.index]
        assert found is not None
        assert oracle.sets[found].number == drop.replaced_by.number


@generated
@given(history=HISTORIES, wishes=WISHES, wait=WAITS)
def test_what_stays_can_be_restored_and_what_goes_has_a_better_successor(
    history: list[Run], wishes: Wishes, wait: float
) -> None:
    world = world_of(history, wait)
    facts = wishes.facts(world)
    sets, plan = planned(world, facts)
    oracle = Oracle(world, facts)
    going = gone(plan)
    dropped = {drop.backup_set.index for drop in plan.drops}
    kept = {entry.backup_set.index for entry in plan.kept}
    assert len(plan.order()) == len(going)
    for index, each in enumerate(oracle.sets):
        over_age = oracle.age(index) > 24 * facts.keep_days
        assert (index in dropped | kept) == over_age
        assert not dropped & kept
        if index not in dropped and not (index in kept and _needed(plan, index)):
            assert not each.stands_on & going
    for drop in plan.drops:
        old, new = oracle.sets[drop.backup_set.index], drop.replaced_by
        assert new.index > drop.backup_set.index
        assert new.index not in dropped
        assert oracle.good[new.index]
        assert not oracle.sets[new.index].stands_on & going
        assert old.number not in facts.pinned
        assert facts.hold is None
        assert not old.stands_on & facts.leased
        # One increment may reach over several fulls: it began in the time of the first, and stays for the others.
        leaving = [world.honest[each.artifact] for each in drop.artifacts]
        assert not leaving or world.clock - max(leaving) >= 24 * facts.keep_days
        assert {manifest.artifact for manifest in drop.lost} == {
            manifest.artifact
            for manifest in drop.artifacts
            if facts.at_central is not None and manifest.artifact not in facts.at_central
        }
        assert not drop.lost or facts.excess > 0
    for entry in plan.kept:
        assert entry.why
    opened = [index for index in range(len(sets)) if oracle.opened(index)]
    assert not opened or all(index < opened[-1] for index in dropped)
    left = {each.artifact for each in world.artifacts} - going
    for full, followers in oracle.database.own.items():
        # While a full is there, so is all that was sealed until the next one.
        assert full not in left or {each.artifact for each in followers} <= left
    # Behind the last set that goes nothing is missing: each full there is followed to the end of the stream.
    needed = {entry.backup_set.index for entry in plan.kept if entry.code == _retention.NEEDED}
    behind = max(dropped | needed, default=-1) + 1
    for each in oracle.sets[behind:]:
        for dump in each.parts["db"][:1]:
            assert {follower.artifact for follower in oracle.database.chains[dump.artifact]} <= left


def _needed(plan: Plan, index: int) -> bool:
    return any(entry.backup_set.index == index and entry.code == _retention.NEEDED for entry in plan.kept)


@generated
@given(
    history=HISTORIES,
    wishes=WISHES,
    wait=WAITS,
    number=st.integers(1, 14),
    more=st.sampled_from(("pin", "hold", "lease")),
)
def test_a_pin_a_hold_or_a_lease_never_sends_anything_away(
    history: list[Run], wishes: Wishes, wait: float, number: int, more: str
) -> None:
    world = world_of(history, wait)
    before = gone(planned(world, wishes.facts(world))[1])
    changes = {
        "pin": {"pinned": wishes.pinned | {number}},
        "hold": {"hold": True},
        "lease": {"leased": wishes.leased | {number}},
    }[more]
    after = gone(planned(world, dataclasses.replace(wishes, **changes).facts(world))[1])
    assert after <= before
    if more == "hold":
        assert not after
    kept = {each.artifact for each in world.artifacts if each.set_number == number and each.kind == "db_full"}
    assert not kept & after


@generated
@given(histories=st.lists(st.tuples(RUNS, WISHES, st.booleans()), min_size=4, max_size=16))
def test_over_years_of_prunes_the_last_good_set_is_never_lost(
    histories: list[tuple[Run, Wishes, bool]],
) -> None:
    world = World()
    for run, wishes, prune in histories:
        world.run(run)
        if not prune:
            continue
        facts = wishes.facts(world)
        before = Oracle(world, facts)
        good = [each for each, sound in zip(before.sets, before.good, strict=True) if sound]
        sets, plan = planned(world, facts)
        order = plan.order()
        # A power cut may come after any of them.
        for removed in order:
            joined = _joined(world) - {removed.artifact}
            world.remove({removed.artifact})
            assert _joined(world) == joined
        _nothing_grew_younger(world, sets, facts, gone(plan))
        left = {each.artifact for each in world.artifacts}
        if good:
            assert good[-1].stands_on <= left
            after = Oracle(world, facts)
            assert [each.number for each, sound in zip(after.sets, after.good, strict=True) if sound][-1] == good[
                -1
            ].number


def _nothing_grew_younger(world: World, sets: list[BackupSet], facts: Facts, going: set[str]) -> None:
    world.aged = _retention.aged(sets, facts, going)
    before = {each.own[-1].artifact: age for each, age in zip(sets, _retention.ages(sets, facts), strict=True)}
    rest = _sets.backup_sets(world.artifacts)
    after = _retention.ages(rest, dataclasses.replace(facts, aged=world.aged))
    for each, age in zip(rest, after, strict=True):
        assert age == before.get(each.own[-1].artifact, age)


def _joined(world: World) -> set[str]:
    """The increments from which the way back leads to a full."""
    there = {each.artifact: each for each in world.artifacts}

    def reaches_a_full(name: str | None) -> bool:
        each = there.get(name or "")
        return each is not None and (each.kind == "files_full" or reaches_a_full(each.document["previous"]))

    uploads = {each.artifact for each in world.artifacts if each.kind == "files_increment"}
    database = Database(world.artifacts)
    followed = {each.artifact for chain in database.chains.values() for each in chain}
    return {name for name in uploads if reaches_a_full(there[name].document["previous"])} | followed


@settings(max_examples=100, deadline=None)
@given(
    keep_days=st.sampled_from((1, 2, 7)),
    rhythm=st.sampled_from((1, 6, 24)),
    days=st.integers(10, 20),
    between=st.sampled_from(("dump", "increment")),
    pruned_daily=st.booleans(),
)
def test_in_an_ordinary_branch_old_sets_go(
    keep_days: int, rhythm: int, days: int, between: str, *, pruned_daily: bool
) -> None:
    world = World()
    per_day = 24 // rhythm
    for number in range(days * per_day):
        world.run(Run(wait=rhythm, kind="full" if number % per_day == 0 else between))
        if (pruned_daily and number % per_day == 0) or number == days * per_day - 1:
            plan = planned(world, _retention.Facts(now=world.now, keep_days=keep_days))[1]
            world.remove(gone(plan))
            assert {entry.code for entry in plan.kept} <= {_retention.NEEDED}
    left = {each.artifact for each in world.artifacts}
    # A day's set goes as a whole; the uploads chain that the oldest dump stands on may be a day older too.
    assert world.clock - min(world.honest[name] for name in left) <= 24 * (keep_days + 1)
    if between == "dump":
        oldest_dump = min(world.honest[name] for name in left if name.startswith("db-"))
        assert world.clock - oldest_dump <= 24 * keep_days
    else:
        increments = [name for name in left if name.endswith(".binlog.zst")]
        assert bool(increments) is (rhythm < 24)
        assert {e.artifact for each in Database(world.artifacts).chains.values() for e in each} == set(increments)

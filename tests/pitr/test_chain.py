# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain against lives of every sort: it never claims what cannot be had, and reaches the furthest that can."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._db_chain import DbChain, db_chains
from ansible_collections.larapee.backup.plugins.module_utils._recoverable import recoverable
from tests.pitr.fates import FATES, STEPS
from tests.pitr.lives import Life
from tests.pitr.reach import Oracle

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from tests.pitr.fates import Fate
    from tests.pitr.lives import Step

generated = settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LIVES = {"steps": STEPS, "fate": FATES, "gtids": st.booleans(), "sneaky": st.booleans()}


@dataclasses.dataclass
class World:
    """A life, what is left of it at the place, and what the chain says of that."""

    life: Life
    manifests: list[Manifest]
    unusable: dict[str, str]
    chains: list[DbChain]
    astray: dict[str, str]
    oracle: Oracle


def world_of(steps: list[Step], fate: Fate, *, gtids: bool, sneaky: bool) -> World:
    life = Life(gtids=gtids, sneaky=sneaky)
    life.live(steps)
    names = list(life.place)
    # Of a branch that went back, the fulls tell: see the runbook.
    lost = {
        name for index, name in enumerate(names) if index in fate.lost and not (life.went_back and name in life.fulls)
    }
    damaged = {name for index, name in enumerate(names) if index in fate.damaged}
    present = [name for name in names if name not in lost]
    manifests = [life.place[name] for name in present] + [life.place[name] for name in present[:2]]
    random.Random(fate.shuffled).shuffle(manifests)  # noqa: S311 - an order, not a secret
    unusable = {name: "its SHA-256 is wrong" for name in damaged}
    chains, astray = db_chains(manifests, unusable=unusable)
    oracle = Oracle(life, frozenset(present), frozenset(damaged))
    return World(life, manifests, unusable, chains, astray, oracle)


@generated
@given(**LIVES)
def test_what_it_claims_can_be_had_and_it_claims_the_furthest(
    steps: list[Step], fate: Fate, *, gtids: bool, sneaky: bool
) -> None:
    world = world_of(steps, fate, gtids=gtids, sneaky=sneaky)
    for chain in world.chains:
        ways = {way.names: way for way in world.oracle.ways(chain.full.artifact)}
        claimed = tuple(each.artifact for each in chain.increments)
        assert claimed in ways, "this cannot be had"
        if not world.life.went_back:
            furthest = max(len(way.data) for way in ways.values())
            if world.life.jumped and not claimed and chain.broken and "another life" in chain.broken:
                continue
            assert len(ways[claimed].data) == furthest
        elif claimed:
            assert ways[claimed].ends, "it stops short"


@generated
@given(**LIVES)
def test_every_increment_is_in_a_chain_or_has_a_reason_and_a_chain_that_ends_early_says_why(
    steps: list[Step], fate: Fate, *, gtids: bool, sneaky: bool
) -> None:
    world = world_of(steps, fate, gtids=gtids, sneaky=sneaky)
    present = {each.artifact for each in world.manifests}
    joined = {each.artifact for chain in world.chains for each in chain.increments}
    increments = present & world.life.increments.keys()
    assert joined | world.astray.keys() == increments
    assert not joined & world.astray.keys()
    assert all(world.astray.values())
    fulls = [name for name in world.life.fulls if name in present and name not in world.unusable]
    assert sorted(chain.full.artifact for chain in world.chains) == sorted(fulls)
    for chain in world.chains:
        inside = {transaction for each in chain.increments for transaction in _data(world, each.artifact)}
        held = inside | set(world.life.fulls[chain.full.artifact].transactions)
        later = [
            name
            for name in increments
            if world.life.place[name].epoch == chain.full.epoch
            and world.life.increments[name][-1].number > _number(world, chain)
            and set(_data(world, name)) - held
        ]
        assert chain.broken is not None or not later
        # What was not sealed twice, and not damaged either, is named when it is missing.
        for name in later if not (world.life.went_back or world.life.forgot or world.unusable) else ():
            previous = str(world.life.place[name].document["previous"])
            if previous not in present and previous == _after(world, chain):
                assert f"{previous} is missing" in str(chain.broken)


def _data(world: World, name: str) -> list[int]:
    return [transaction for each in world.life.increments[name] for transaction in each.transactions]


def _number(world: World, chain: DbChain) -> int:
    if chain.increments:
        return world.life.increments[chain.last.artifact][-1].number
    return world.life.fulls[chain.full.artifact].file.number


def _after(world: World, chain: DbChain) -> str | None:
    """What the branch sealed right after the end of *chain*, whatever became of it."""
    end = chain.last.artifact
    following = (name for name, each in world.life.place.items() if each.document["previous"] == end)
    return next(following, None)


@generated
@given(**LIVES)
def test_no_order_matters_and_times_that_can_be_had_are_in_a_span(
    steps: list[Step], fate: Fate, *, gtids: bool, sneaky: bool
) -> None:
    world = world_of(steps, fate, gtids=gtids, sneaky=sneaky)
    chains, astray = db_chains(reversed(world.manifests), unusable=world.unusable)
    assert (chains, astray) == (world.chains, world.astray)
    found = recoverable(world.manifests, unusable=world.unusable)
    assert bool(found.spans) == bool(chains)
    for chain in chains:
        assert any(span.from_ <= chain.full.recovery_point <= span.until for span in found.spans)
        assert any(span.from_ <= chain.recovery_point <= span.until for span in found.spans) or world.life.jumped
    for gap in found.gaps:
        assert gap.why
        if gap.before is not None:
            middle = gap.after + (gap.before - gap.after) / 2
            assert not any(span.from_ <= middle <= span.until for span in found.spans)
    if found.newest is not None:
        assert found.newest in chains

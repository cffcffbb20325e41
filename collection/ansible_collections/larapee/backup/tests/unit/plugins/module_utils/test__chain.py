# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._chain import file_chains
from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest, check_manifest
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import manifest_document


@dataclasses.dataclass(frozen=True)
class Step:
    """One artifact of the history; ``follows`` is what it stands on, None for a full."""

    name: str
    base: str | None
    follows: str | None


def history(fulls: Sequence[bool]) -> list[Step]:
    """One artifact a minute, the first a full; True: a full, False: an increment to what was made just before."""
    steps: list[Step] = []
    base = previous = ""
    for minute, full in enumerate((True, *fulls)):
        name = f"public-uploads-20261122-14{minute:02d}{'' if full else '.incr'}.tar.zst"
        base = name if full else base
        steps.append(Step(name, None if full else base, None if full else previous))
        previous = name
    return steps


def manifest(step: Step, *, sequence: int, **changes: object) -> Manifest:
    facts = {"base": step.base, "previous": step.follows, **changes}
    return check_manifest(manifest_document(step.name, sequence=sequence, **facts))


def manifests(steps: Sequence[Step]) -> list[Manifest]:
    """Each kind has numbers of its own."""
    counted = {True: 0, False: 0}
    made = []
    for step in steps:
        counted[step.follows is None] += 1
        made.append(manifest(step, sequence=counted[step.follows is None]))
    return made


def names(found: Sequence[Manifest]) -> list[str]:
    return [each.artifact for each in found]


def test_a_whole_history_is_in_chains_in_its_order() -> None:
    steps = history([False, False, True, False])
    chains, astray = file_chains(reversed(manifests(steps)))
    assert [names(chain.artifacts) for chain in chains] == [names(manifests(steps)[:3]), names(manifests(steps)[3:])]
    assert [chain.last.artifact for chain in chains] == [steps[2].name, steps[4].name]
    assert astray == {}


@pytest.mark.parametrize(
    ("gone", "whole", "reasons"),
    [
        (0, [], {1: "its base {0} is gone", 2: "its base {0} is gone", 3: "its base {0} is gone"}),
        (1, [0], {2: "the artifact before it, {1}, is gone", 3: "the chain is broken before it, at {2}"}),
        (2, [0, 1], {3: "the artifact before it, {2}, is gone"}),
        (3, [0, 1, 2], {}),
    ],
)
def test_what_comes_after_a_missing_one_is_astray_and_says_why(
    gone: int, whole: list[int], reasons: dict[int, str]
) -> None:
    steps = history([False, False, False])
    kept = [each for index, each in enumerate(manifests(steps)) if index != gone]
    chains, astray = file_chains(kept)
    assert [names(chain.artifacts) for chain in chains] == ([[steps[each].name for each in whole]] if whole else [])
    expected = {steps[index].name: why.format(*(step.name for step in steps)) for index, why in reasons.items()}
    assert astray == expected


def test_a_second_increment_to_the_same_artifact_is_astray() -> None:
    steps = history([False, False])
    twin = Step("public-uploads-20261122-1459.incr.tar.zst", steps[1].base, steps[1].follows)
    chains, astray = file_chains([*manifests(steps), manifest(twin, sequence=3)])
    assert names(chains[0].artifacts) == [step.name for step in steps]
    assert astray == {twin.name: f"another increment follows {steps[0].name} already"}


def test_an_increment_never_crosses_into_another_chain() -> None:
    steps = history([False, True])
    crossing = Step("public-uploads-20261122-1459.incr.tar.zst", steps[2].name, steps[1].name)
    chains, astray = file_chains([*manifests(steps), manifest(crossing, sequence=2)])
    assert [len(chain.artifacts) for chain in chains] == [2, 1]
    assert set(astray) == {crossing.name}


def test_the_clock_does_not_order_a_chain() -> None:
    steps = history([False, False])
    clocks = ["2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]
    made = [manifest(step, sequence=max(index, 1), created_at=clocks[index]) for index, step in enumerate(steps)]
    chains, astray = file_chains(made)
    assert (names(chains[0].artifacts), astray) == ([step.name for step in steps], {})


def test_an_adopted_full_comes_first_and_other_kinds_do_not_count() -> None:
    adopted = check_manifest(
        manifest_document(
            "public-uploads-20261121-2315.tar.zst",
            sequence=0,
            adopted={"moment": "2026-11-21T22:15:00Z", "at": "2026-11-22T14:00:00Z"},
            companion=None,
        )
    )
    own = manifests(history([]))
    other = check_manifest(manifest_document("config-20261122-1432.tar.zst"))
    chains, astray = file_chains([*own, other, adopted])
    assert [names(chain.artifacts) for chain in chains] == [[adopted.artifact], names(own)]
    assert astray == {}


@given(st.lists(st.booleans(), max_size=12), st.data())
def test_in_any_part_of_a_history_a_chain_has_no_gap_and_every_other_increment_a_true_reason(
    fulls: list[bool], data: st.DataObject
) -> None:
    steps = history(fulls)
    whole = manifests(steps)
    kept_names = data.draw(st.sets(st.sampled_from([step.name for step in steps])))
    kept = [each for each in whole if each.artifact in kept_names]
    random.Random(len(kept_names)).shuffle(kept)  # noqa: S311 - an order, not a secret
    chains, astray = file_chains(kept)
    follows = {step.name: step for step in steps}
    in_chains = [each.artifact for chain in chains for each in chain.artifacts]
    assert sorted([*in_chains, *astray]) == sorted(kept_names)
    assert {chain.full.artifact for chain in chains} == {n for n in kept_names if follows[n].follows is None}
    for chain in chains:
        for before, after in zip(chain.artifacts, chain.increments, strict=False):
            assert follows[after.artifact].follows == before.artifact
    for name, why in astray.items():
        step = follows[name]
        if step.base not in kept_names:
            assert why == f"its base {step.base} is gone"
        elif step.follows not in kept_names:
            assert why == f"the artifact before it, {step.follows}, is gone"
        else:
            assert why == f"the chain is broken before it, at {step.follows}"
            assert step.follows in astray

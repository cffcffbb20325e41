# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a chain ends, in the words that a person reads. What no history may do is in tests/pitr."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._db_chain import DbChain, db_chains
from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest, check_manifest
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.hours import (
    Hour,
    changed,
    full,
    hour,
    name_at,
    sealed,
)
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files, manifest_document

OTHER_EPOCH = "11111111-2222-4333-8444-555555555555"


def only(manifests: list[Manifest], **options: Any) -> tuple[DbChain, dict[str, str]]:
    chains, astray = db_chains(manifests, **options)
    (chain,) = chains
    return chain, astray


def names(chain: DbChain) -> list[str]:
    return [each.artifact for each in chain.increments]


def test_a_chain_reaches_its_last_increment() -> None:
    made = hour()
    chain, astray = only(list(reversed(made.all())))
    assert chain.artifacts == (made.full, made.first, made.second, made.third)
    assert (chain.broken, astray) == (None, {})
    assert chain.position == {**made.third.document["end"]}
    assert chain.recovery_point == made.third.created_at
    assert chain.last == made.third


def test_two_fulls_share_increments_and_a_new_full_breaks_nothing() -> None:
    made = hour()
    later = full(8, file=9, gtid=33, sequence=2)
    chains, astray = db_chains([later, *made.all()])
    assert [(chain.full, chain.broken) for chain in chains] == [(made.full, None), (later, None)]
    assert [len(chain.increments) for chain in chains] == [3, 2]
    assert astray == {}


def test_a_full_that_cannot_be_used_has_no_chain_and_the_one_before_it_goes_on() -> None:
    made = hour()
    later = full(8, file=9, gtid=33, sequence=2)
    chain, astray = only([later, *made.all()], unusable={later.artifact: "its SHA-256 is wrong"})
    assert (chain.full, len(chain.increments), astray) == (made.full, 3, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"start": {}, "end": {"time": "-"}},
        {"sequence": 0, "adopted": {"moment": "2026-11-21T22:15:00Z", "at": "2026-11-22T14:00:00Z"}},
    ],
    ids=["no binary log", "adopted"],
)
def test_a_full_without_a_position_stands_alone(changes: dict[str, Any]) -> None:
    made = hour()
    nowhere = {"file": None, "position": None, "gtid": None, "time": "-"}
    alone = changed(made.full, **{"start": nowhere, "end": nowhere, **changes})
    chain, astray = only([alone])
    assert (chain.increments, chain.broken, astray) == ((), None, {})
    chain, astray = only([alone, made.first])
    assert chain.broken == f"{alone.artifact} has no position in a binary log"
    assert astray == {made.first.artifact: "there is no full before it"}


def test_a_missing_increment_is_a_gap_and_named() -> None:
    made = hour()
    chain, astray = only([made.full, made.first, made.third])
    why = (
        f"a gap: {made.first.artifact} ends at mysql-bin.000007, the next {made.third.artifact} begins at "
        f"mysql-bin.000010: {made.second.artifact} is missing"
    )
    assert (names(chain), chain.broken) == ([made.first.artifact], why)
    assert astray == {made.third.artifact: why}


def test_a_purged_file_is_a_gap() -> None:
    made = hour()
    third = changed(made.third, **log_files(11, 11, before=44, after=50))
    chain, astray = only([made.full, made.first, made.second, third])
    assert chain.broken == (
        f"a gap: {made.second.artifact} ends at mysql-bin.000009, the next {third.artifact} begins at mysql-bin.000011"
    )
    assert set(astray) == {third.artifact}


def test_the_first_increment_missing_is_a_gap_after_the_full() -> None:
    made = hour()
    chain, astray = only([made.full, made.second, made.third])
    assert chain.broken == (
        f"a gap: {made.full.artifact} stands in mysql-bin.000007, the next {made.second.artifact} begins at "
        f"mysql-bin.000008: {made.first.artifact} is missing"
    )
    assert astray[made.third.artifact] == f"the chain is broken before it, at {made.second.artifact}"


def test_an_unusable_increment_ends_the_chain_and_is_named() -> None:
    made = hour()
    chain, astray = only(made.all(), unusable={made.second.artifact: "its SHA-256 is wrong"})
    assert (names(chain), chain.broken) == (
        [made.first.artifact],
        f"{made.second.artifact}, which comes next, is unusable: its SHA-256 is wrong",
    )
    assert astray == {
        made.second.artifact: "it is unusable: its SHA-256 is wrong",
        made.third.artifact: f"the chain is broken before it: {made.second.artifact} is unusable: its SHA-256 is wrong",
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"server_id": 5}, "is of another server (server_id 5 instead of 1)"),
        ({"engine": "mysql"}, "is of another engine (mysql instead of mariadb)"),
    ],
)
def test_another_server_is_named(changes: dict[str, Any], why: str) -> None:
    made = hour()
    third = changed(made.third, **changes)
    chain, astray = only([made.full, made.first, made.second, third])
    assert chain.broken == astray[third.artifact] == f"{third.artifact} {why}"
    first = changed(made.first, **changes)
    chain, astray = only([made.full, first])
    assert chain.broken == astray[first.artifact] == f"{first.artifact} {why}"


def test_gtids_that_do_not_go_on_are_a_server_that_went_back() -> None:
    made = hour()
    third = changed(made.third, **log_files(10, 10, before=38, after=50))
    chain, _astray = only([made.full, made.first, made.second, third])
    assert chain.broken == (
        f"{third.artifact} begins at GTID 1-1-38, {made.second.artifact} ends at 1-1-40: the binary log was reset, or "
        "the server was rolled back"
    )


def test_gtids_are_compared_and_not_their_spelling() -> None:
    made = hour()
    start = {**made.second.document["start"], "gtid": " 1-1-20,"}
    chain, astray = only([made.full, made.first, changed(made.second, start=start), made.third])
    assert (len(chain.increments), astray) == (3, {})


@pytest.mark.parametrize(("gtid", "position"), [(9, 400), (21, 400), (15, 5001)])
def test_a_full_that_does_not_stand_in_the_file_is_of_another_life(gtid: int, position: int) -> None:
    made = hour()
    other = full(0, file=7, gtid=gtid, position=position)
    chain, _astray = only([other, made.first])
    assert chain.increments == ()
    assert "the binary log was reset, or the server was rolled back" in str(chain.broken)


@pytest.mark.parametrize(("gtid", "position"), [(10, 4), (20, 5000)])
def test_a_full_may_stand_at_either_end_of_its_file(gtid: int, position: int) -> None:
    made = hour()
    chain, _astray = only([full(0, file=7, gtid=gtid, position=position), made.first])
    assert names(chain) == [made.first.artifact]


def test_reset_master_under_one_epoch_is_named() -> None:
    made = hour()
    after = sealed(20, 1, 1, gtids=(0, 5), base=made.full, previous=made.third)
    chain, astray = only([*made.all(), after])
    assert chain.broken == (
        f"the binary log was reset: {made.third.artifact} ends at mysql-bin.000010, the later {after.artifact} begins "
        "at mysql-bin.000001"
    )
    assert astray[after.artifact] == "there is no full before it"


def test_a_new_epoch_ends_the_chain_and_says_why() -> None:
    made = hour()
    new = full(30, file=1, gtid=3, sequence=2, epoch=OTHER_EPOCH, epoch_reason="a gap")
    chains, _astray = db_chains([*made.all(), new])
    assert [chain.broken for chain in chains] == [f"a new epoch began with {new.artifact}: a gap", None]
    assert len(chains[0].increments) == 3


def test_an_increment_of_another_epoch_never_joins() -> None:
    made = hour()
    third = changed(made.third, epoch=OTHER_EPOCH)
    chain, astray = only([made.full, made.first, made.second, third])
    assert len(chain.increments) == 2
    assert (
        astray[third.artifact] == f"its full {made.full.artifact} is missing, and there is no other full of its epoch"
    )


def test_an_overlap_is_named() -> None:
    made = hour()
    third = changed(made.third, **log_files(9, 10, before=30, after=50))
    chain, astray = only([made.full, made.first, made.second, third])
    assert chain.broken == (
        f"an overlap: {made.second.artifact} ends at mysql-bin.000009, {third.artifact} begins at mysql-bin.000009 "
        "again"
    )
    assert "an overlap" in astray[third.artifact]


def test_what_was_sealed_twice_is_used_once() -> None:
    made = hour()
    again = sealed(20, 8, 9, gtids=(20, 40), base=made.full, previous=made.first)
    chain, astray = only([*made.all(), again])
    assert len(chain.increments) == 3
    assert chain.broken is None
    name = next(iter(astray))
    assert list(astray) == [name]
    (used,) = {made.second.artifact, again.artifact} - {name}
    assert astray[name] == f"what it holds is in {used} already"
    # Damage to one of the two is none.
    for damaged in (made.second, again):
        chain, _astray = only([*made.all(), again], unusable={damaged.artifact: "damaged"})
        assert len(chain.increments) == 3


def test_of_two_ways_the_longer_one_is_taken() -> None:
    made = hour()
    again = sealed(20, 8, 8, gtids=(20, 30), base=made.full, previous=made.first)
    chain, astray = only([*made.all(), again])
    assert names(chain) == [made.first.artifact, made.second.artifact, made.third.artifact]
    assert set(astray) == {again.artifact}
    from_full = sealed(20, 7, 7, gtids=(10, 20), base=made.full, previous=made.full)
    second = changed(made.second, **log_files(7, 9, before=10, after=40), previous=made.full.artifact)
    chain, _astray = only([made.full, from_full, second, made.third])
    assert names(chain) == [second.artifact, made.third.artifact]


def _forked(made: Hour) -> Manifest:
    """The host was put back to before its second increment, and sealed other files of the same names."""
    files = log_files(8, 9, before=20, after=38)
    other = [{**each, "sha256": "f" * 64} for each in files["files"]]
    return sealed(25, 8, 9, gtids=(20, 38), base=made.full, previous=made.first, files=other)


def test_of_two_lives_of_a_branch_the_one_lived_last_goes_on() -> None:
    made = hour()
    second = _forked(made)
    chain, astray = only([*made.all(), second])
    assert names(chain) == [made.first.artifact, second.artifact]
    assert astray[made.second.artifact] == (
        f"two artifacts hold mysql-bin.000008 with different contents, the chain goes on with {second.artifact} (the "
        "branch was rolled back)"
    )
    assert astray[made.third.artifact] == f"the chain is broken before it, at {made.second.artifact}"


def test_in_a_fork_a_full_that_no_increment_knows_stands_alone() -> None:
    made = hour()
    stranger = full(8, file=9, gtid=33, sequence=2)
    chains, _astray = db_chains([*made.all(), _forked(made), stranger])
    assert (chains[1].full, chains[1].increments) == (stranger, ())
    assert "may be of another life of the server" in str(chains[1].broken)


def test_in_a_fork_a_full_that_a_later_increment_knows_is_of_that_life() -> None:
    made = hour()
    slow = full(8, file=9, gtid=33, sequence=2)
    third = changed(made.third, base=slow.artifact)
    last = changed(_forked(made), sequence=6, created_at="2026-11-22T00:06:00Z")
    chains, _astray = db_chains([made.full, made.first, made.second, third, last, slow])
    assert names(chains[1]) == [made.second.artifact, third.artifact]


@pytest.mark.parametrize(("epoch", "minute"), [(None, 9), (OTHER_EPOCH, 9), (OTHER_EPOCH, 7)])
def test_a_number_given_twice_is_a_branch_that_went_back(epoch: str | None, minute: int) -> None:
    made = hour()
    lost_life = full(8, file=9, gtid=33, sequence=2)
    changes: dict[str, Any] = {"epoch": epoch} if epoch else {}
    this_life = full(minute, file=9, gtid=35, sequence=2, **changes)
    chains, _astray = db_chains([*made.all(), lost_life, this_life])
    (chain,) = [each for each in chains if each.full == lost_life]
    assert chain.increments == ()
    one, other = sorted((lost_life.artifact, this_life.artifact))
    assert f"{one} and {other} have one number, 2 (the branch was rolled back)" in str(chain.broken)
    assert len(chains[0].increments) == 3


def test_an_increment_that_continues_another_one_is_not_joined() -> None:
    made = hour()
    lost = name_at(11, ".binlog.zst")
    third = changed(made.third, previous=lost)
    chain, _astray = only([made.full, made.first, made.second, third])
    assert chain.broken == (
        f"{third.artifact} continues {lost}, which is missing, not {made.second.artifact}: the branch was rolled back"
    )


def test_a_branch_that_lost_its_increments_goes_on_from_its_full() -> None:
    made = hour()
    later = full(12, file=10, gtid=44, sequence=2)
    third = changed(made.third, base=later.artifact, previous=later.artifact)
    chains, astray = db_chains([made.full, made.first, made.second, later, third])
    assert [len(chain.increments) for chain in chains] == [3, 1]
    assert astray == {}


def test_a_full_that_was_begun_after_its_file_was_sealed_is_of_another_life() -> None:
    made = hour()
    late = full(30, file=9, gtid=33, sequence=2)
    chains, _astray = db_chains([*made.all(), late])
    assert chains[1].increments == ()
    assert f"{made.second.artifact} was sealed before {late.artifact} was begun" in str(chains[1].broken)
    # Unless the clock was put back: the increment knew the full.
    second = changed(made.second, base=late.artifact)
    chains, _astray = db_chains([made.full, made.first, second, made.third, late])
    assert len(chains[1].increments) == 2


def test_an_increment_before_the_oldest_full_is_astray() -> None:
    made = hour()
    early = sealed(2, 5, 6, gtids=(0, 10), base=made.full, previous=made.full)
    _chain, astray = only([early, *made.all()])
    assert astray == {early.artifact: "there is no full before it"}


def test_without_a_full_every_increment_says_so() -> None:
    made = hour()
    chains, astray = db_chains([made.first, made.second])
    assert chains == []
    assert set(astray.values()) == {
        f"its full {made.full.artifact} is missing, and there is no other full of its epoch"
    }
    chains, astray = db_chains([made.full, made.first], unusable={made.full.artifact: "it is gone"})
    assert (chains, astray) == ([], {made.first.artifact: f"its full {made.full.artifact} is unusable: it is gone"})


@pytest.mark.parametrize(
    "files",
    [(7, 9), (9, 7)],
    ids=["a hole in it", "backwards"],
)
def test_an_increment_whose_own_files_do_not_follow_each_other_is_unusable(files: tuple[int, int]) -> None:
    made = hour()
    two = [log_files(each, each, before=10, after=20) for each in files]
    odd = changed(made.first, files=[each["files"][0] for each in two], start=two[0]["start"], end=two[1]["end"])
    chain, astray = only([made.full, odd])
    assert chain.increments == ()
    assert astray == {odd.artifact: "it is unusable: its own files do not follow each other"}


@pytest.mark.parametrize(
    "changes",
    [
        {"start": {"file": "mysql-bin.000007", "position": 5, "gtid": "1-1-10", "time": "2026-11-22T14:32:00Z"}},
        {"end": {"file": "mysql-bin.000007", "position": 4999, "gtid": "1-1-20", "time": "2026-11-22T14:32:00Z"}},
    ],
    ids=["beginning", "end"],
)
def test_an_increment_with_half_a_file_is_unusable(changes: dict[str, Any]) -> None:
    made = hour()
    odd = changed(made.first, **changes)
    chain, astray = only([made.full, odd, made.second])
    assert chain.increments == ()
    assert astray[odd.artifact] == "it is unusable: it does not hold its files from beginning to end"


def test_other_kinds_do_not_count() -> None:
    made = hour()
    config = check_manifest(manifest_document("config-20261122-1432.tar.zst"))
    chain, astray = only([config, *made.all()])
    assert (len(chain.increments), astray) == (3, {})

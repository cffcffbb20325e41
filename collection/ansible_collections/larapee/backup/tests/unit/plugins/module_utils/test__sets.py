# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._db_chain import db_chains
from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
from ansible_collections.larapee.backup.plugins.module_utils._sets import (
    BackupSet,
    backup_sets,
    database_at,
    unfollowed,
)
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.histories import (
    BEGIN,
    artifact,
    full_run,
    increment,
    sealed,
    sealed_run,
    stands,
)


def kinds(backup_set: BackupSet) -> list[str]:
    return [each.kind for each in backup_set.members]


def adopted(kind: str, hours: float) -> dict[str, object]:
    moment = (BEGIN + dt.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"kind": kind, "hours": hours, "sequence": 0, "adopted": {"moment": moment, "at": moment}}


def test_without_a_full_there_is_no_set() -> None:
    assert backup_sets([]) == []
    assert backup_sets([artifact("config", hours=0, set=1)]) == []


def test_a_full_run_is_a_set_of_its_own() -> None:
    first, second = backup_sets([*full_run(2, hours=24), *full_run(1, hours=0)])
    assert (first.number, second.number) == (1, 2)
    assert kinds(second) == ["db_full", "files_full", "config"]
    assert not first.keeps & second.keeps
    assert second.label == "set 2 (2026-11-02T00:00:00Z)"
    assert (first.flaws, second.flaws) == ((), ())


def test_sets_come_in_the_order_of_their_numbers_and_not_of_their_clocks() -> None:
    made = backup_sets([*full_run(1, hours=8766), *full_run(2, hours=0)])
    assert [each.number for each in made] == [1, 2]


def test_adopted_ones_come_first_and_those_without_a_number_before_the_others() -> None:
    made = backup_sets(
        [
            *full_run(1, hours=0),
            artifact("db_full", hours=50, sequence=2),
            artifact("db_full", hours=48, sequence=1),
            artifact(**adopted("db_full", 99)),
            artifact(**adopted("files_full", 98.5)),
        ]
    )
    assert [(each.number, each.time - BEGIN) for each in made] == [
        (0, dt.timedelta(hours=98.5)),
        (0, dt.timedelta(hours=99)),
        (0, dt.timedelta(hours=48)),
        (0, dt.timedelta(hours=50)),
        (1, dt.timedelta(hours=0)),
    ]
    assert made[0].label == "the set of 2026-11-05T02:30:00Z"
    assert made[0].flaws == ("it has no config", "it has no database")
    assert made[1].flaws == ("it has no config",)


def test_an_increment_run_begins_a_set_that_stands_on_the_chain_and_the_config_it_found() -> None:
    first = full_run(1, hours=0)
    one = increment(2, hours=6, full=first[1], previous=first[1])
    two = increment(3, hours=12, full=first[1], previous=one)
    made = backup_sets([*first, artifact("db_full", hours=6, sequence=2, set=2), one, two])
    assert [each.number for each in made] == [1, 2]
    assert [each.artifact for each in made[1].members][1:] == [each.artifact for each in (first[1], one, two, first[2])]
    # What a log run added belongs to the set that went on; the first one ends where the second begins.
    assert made[1].own[-1] == two
    assert made[1].newest == two.recovery_point
    assert kinds(made[0]) == ["db_full", "files_full", "config"]
    assert two.artifact in made[0].keeps


def test_a_family_that_this_place_once_had_is_missing() -> None:
    (made,) = backup_sets([artifact("db_full", hours=0, set=1)], known_kinds=["files_increment"])
    assert made.flaws == ("it has no uploads",)
    (made,) = backup_sets([artifact("db_full", hours=0, set=1)])
    assert made.flaws == ()


def test_an_increment_that_does_not_join_is_a_flaw_of_its_set_and_of_those_after_it() -> None:
    first = full_run(1, hours=0)
    one = increment(2, hours=6, full=first[1], previous=first[1])
    two = increment(3, hours=12, full=first[1], previous=one)
    dumps = [artifact("db_full", hours=6 * number, sequence=number, set=number) for number in (2, 3, 4)]
    made = backup_sets([*first, *dumps, two])
    assert [bool(each.flaws) for each in made] == [False, False, True, True]
    assert f"the artifact before it, {one.artifact}, is gone" in made[2].flaws[0]
    after = backup_sets([*first, *dumps, two, *full_run(5, hours=40)])
    assert after[-1].flaws == ()


def test_unreadable_files_are_a_flaw() -> None:
    problems = {"changed": 5, "vanished": 5, "unreadable": 1, "skipped": 5}
    first = full_run(1, hours=0)
    bad = artifact("config", hours=0, set=1, problems=problems)
    assert [bool(each.flaws) for each in backup_sets([*first[:2], bad])] == [True]
    good = artifact("config", hours=0, set=1, problems={**problems, "unreadable": 0})
    assert [bool(each.flaws) for each in backup_sets([*first[:2], good])] == [False]


def test_measures_are_those_of_its_own_time() -> None:
    trees = [{"entries": 100, "bytes": 900}, {"entries": 20, "bytes": 1000}]
    first = full_run(1, hours=0)
    full = artifact("files_full", hours=0, set=1, tree=trees[0])
    one = increment(2, hours=6, full=full, previous=full, tree=trees[1])
    made = backup_sets([first[0], full, first[2], one, artifact("db_full", hours=24, sequence=2, set=3)])
    assert made[0].most["entries of the uploads"] == 100
    assert made[0].least["entries of the uploads"] == 20
    assert made[0].most["bytes of the uploads"] == 1000
    # It found the tree as the increment left it.
    assert made[1].most["entries of the uploads"] == 20


def test_the_epoch_is_that_of_its_database() -> None:
    other = "11111111-2222-4333-8444-555555555555"
    made = backup_sets([*full_run(1, hours=0), artifact("db_full", hours=6, sequence=2, set=2, epoch=other)])
    assert made[1].epoch == other != made[0].epoch


def test_what_is_older_than_the_first_set_belongs_to_it() -> None:
    lonely = artifact("config", hours=-5, sequence=1, set=1)
    (made,) = backup_sets([lonely, *full_run(2, hours=0)])
    assert lonely in made.own
    assert made.time == BEGIN


def names(manifests: object) -> list[str]:
    return [each.artifact for each in manifests]  # type: ignore[attr-defined]


def dump(number: int, *, hours: float, file: int, **changes: object) -> Manifest:
    """A full that was taken in the middle of the binary log file *file*."""
    return artifact("db_full", hours=hours, sequence=number, set=number, **{**stands(file, file - 1), **changes})


def test_increments_of_the_database_belong_to_the_set_of_their_time() -> None:
    full, other = dump(1, hours=0, file=1), dump(10, hours=24, file=4)
    first = sealed_run(2, 3, hours=1, step=1, file=1, after=full)
    second = sealed_run(11, 2, hours=25, step=1, file=4, after=first[-1])
    made = backup_sets([full, *first, other, *second])
    assert [each.number for each in made] == [1, 10]
    assert names(made[0].members) == names([full, *first])
    assert names(made[1].members) == names([other, *second])
    assert made[0].keeps == set(names(made[0].members))
    assert made[1].keeps == set(names(made[1].members))
    assert made[0].newest == first[-1].recovery_point
    assert (made[0].flaws, made[1].flaws) == ((), ())


def test_what_was_sealed_while_a_full_was_made_is_kept_for_that_full() -> None:
    # Its number is older than the full's, and the full stands in the file that it holds.
    full, other = dump(1, hours=0, file=1), dump(5, hours=2.9, file=3)
    chain = sealed_run(2, 3, hours=1, step=1, file=1, after=full)
    chain.append(sealed(6, hours=25, file=4, previous=chain[-1].artifact))
    made = backup_sets([full, other, *chain])
    assert names(made[0].members) == names([full, *chain[:2]])
    assert names(made[1].members) == names([other, *chain[2:]])
    assert chain[2].artifact in made[1].keeps
    assert chain[2].artifact not in made[0].keeps
    assert made[1].key == other.artifact


def test_what_was_sealed_before_a_full_and_published_after_it_goes_with_the_full_before() -> None:
    full, other = dump(1, hours=0, file=1), dump(3, hours=24, file=3)
    chain = sealed_run(2, 1, hours=1, step=1, file=1, after=full)
    late = sealed(4, hours=24, file=2, previous=chain[0].artifact)
    following = sealed(5, hours=25, file=3, previous=late.artifact)
    made = backup_sets([full, other, *chain, late, following])
    assert names(made[0].members) == names([full, *chain, late])
    assert names(made[1].own) == names([other, following])
    assert made[1].flaws == ()
    epoch = "11111111-2222-4333-8444-555555555555"
    rebuilt = dump(3, hours=24, file=1, epoch=epoch)
    made = backup_sets([full, rebuilt, *chain, late])
    assert names(made[0].members) == names([full, *chain, late])
    assert (names(made[1].own), made[1].flaws) == ([rebuilt.artifact], ())


def test_a_set_keeps_all_that_follows_its_full_until_the_next_one() -> None:
    full, uploads = dump(1, hours=0, file=1), artifact("files_full", hours=6, sequence=1, set=4)
    chain = sealed_run(2, 2, hours=1, step=1, file=1, after=full)
    more = sealed_run(5, 2, hours=7, step=1, file=3, after=chain[-1])
    other = dump(9, hours=24, file=5)
    made = backup_sets([full, *chain, uploads, *more, other])
    assert [each.number for each in made] == [1, 4, 9]
    assert names(made[0].members) == names([full, *chain])
    assert made[0].keeps == set(names([full, *chain, *more]))
    assert made[1].keeps == set(names([full, *chain, uploads, *more]))


def test_an_increment_of_the_database_that_no_full_reaches_is_a_flaw_until_the_next_full() -> None:
    full = dump(1, hours=0, file=1)
    chain = sealed_run(2, 4, hours=1, step=1, file=1, after=full)
    lacking = [full, chain[0], *chain[2:]]
    (made,) = backup_sets(lacking)
    assert [each.partition(": ")[0] for each in made.flaws] == [
        f"{each.artifact} does not join its chain" for each in chain[2:]
    ]
    assert chain[1].artifact in made.flaws[0]
    later = dump(9, hours=24, file=5)
    after = sealed(10, hours=25, file=5, previous=chain[-1].artifact)
    made_later = backup_sets([*lacking, later, after])
    assert [bool(each.flaws) for each in made_later] == [True, False]
    assert names(made_later[1].members) == names([later, after])


def test_a_full_that_the_stream_went_past_without_joining_it_is_a_flaw() -> None:
    # The server lost its last transactions in a crash, after they had been dumped.
    full, ahead = (
        dump(1, hours=0, file=1),
        dump(3, hours=2, file=2, **{"end": {**stands(2, 1)["end"], "gtid": "1-1-99"}}),
    )
    chain = sealed_run(2, 1, hours=1, step=1, file=1, after=full)
    more = sealed_run(4, 2, hours=3, step=1, file=2, after=chain[-1])
    everything = [full, ahead, *chain, *more]
    assert list(unfollowed(db_chains(everything)[0])) == [ahead.artifact]
    made = backup_sets(everything)
    assert [bool(each.flaws) for each in made] == [False, True]
    assert "GTID" in made[1].flaws[0]
    assert {each.artifact for each in more} <= made[0].keeps
    assert unfollowed(db_chains([full, ahead, *chain])[0]) == {}


def test_only_fulls_measure_the_database() -> None:
    full = dump(1, hours=0, file=1, plain_size=1000)
    chain = sealed_run(2, 2, hours=1, step=1, file=1, after=full)
    uploads = artifact("files_full", hours=6, sequence=1, set=4)
    more = [sealed(5, hours=7, file=3, previous=chain[-1].artifact, plain_size=7)]
    for each in backup_sets([full, *chain, uploads, *more]):
        assert (each.least["bytes of the database"], each.most["bytes of the database"]) == (1000, 1000)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, None),
        (1, "full"),
        (2, "i1"),
        (3, "i2"),
        (4, "i2"),
        # A run that began later was done earlier: its number is smaller than that of the artifact before it.
        (5, "i4"),
        (6, "i3"),
        (7, "other"),
        (8, "i5"),
        (99, "i5"),
    ],
)
def test_the_state_of_the_database_that_belongs_to_a_set(number: int, expected: str | None) -> None:
    full, other = dump(1, hours=0, file=1), dump(7, hours=3.9, file=4)
    numbers, previous, chain = (2, 3, 6, 5, 8), full, []
    for index, each in enumerate(numbers):
        chain.append(sealed(each, hours=1 + index, file=1 + index, previous=previous.artifact, sequence=1 + index))
        previous = chain[-1]
    known = {"full": full, "other": other, **{f"i{index}": each for index, each in enumerate(chain, start=1)}}
    chains, astray = db_chains([full, other, *chain])
    assert astray == {}
    found = database_at(chains, number)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.artifacts[-1] == known[expected]
        assert found.position == known[expected].position
        assert names(found.artifacts) == names(found.chain.artifacts[: found.length])

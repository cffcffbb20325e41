# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

from ansible_collections.larapee.backup.plugins.module_utils._sets import BackupSet, backup_sets
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.histories import (
    BEGIN,
    artifact,
    full_run,
    increment,
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

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of a place that holds increments of the database, with real files and signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _db_chain, _lease
from tests.retention.branch import PARTS, deleted, kept, reason

if TYPE_CHECKING:
    from tests.retention.branch import Branch


def days_of_sales(branch: Branch, number: int) -> list[list[str]]:
    """A full a day, and three increments of the database between each and the next; by day, what was made."""
    made = []
    for _day in range(number):
        names = [branch.name(branch.run(), "db_full")]
        for _hours in range(3):
            branch.pass_hours(6)
            names.append(branch.name(branch.run("seal"), "db_increment"))
        branch.pass_hours(6)
        made.append(names)
    return made


def test_increments_of_the_database_go_with_the_full_that_they_follow(branch: Branch) -> None:
    days = days_of_sales(branch, 4)
    preview = branch.prune(keep_days=2, check_mode=True)
    listed = [name for each in preview.facts()["deleted"] for name in each["artifacts"]]
    assert {name for name in listed if name.startswith("db-")} == {*days[0], *days[1]}
    assert deleted(branch.prune(keep_days=2)) == deleted(preview) == {1: 13, 5: 13}
    left = {path.name for path in branch.directory.glob("db-*.age")}
    assert left == {*days[2][1:], *days[3][1:]}
    assert branch.ledger()["pruned"]["db_increment"] == [[1, 6]]
    assert branch.verify() == []
    lost = days[3][2]
    for part in PARTS:
        (branch.directory / (lost + part)).unlink(missing_ok=True)
    assert [each.partition(": ")[0] for each in branch.verify()] == ["db_increment 11", days[3][3]]


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
def test_what_a_log_run_sealed_beside_a_full_is_neither_lost_nor_left_over(branch: Branch, *, late: bool) -> None:
    for day in range(7):
        branch.full_beside_a_log_run(late=late) if day else branch.run()
        branch.pass_hours(12)
        branch.run("seal")
        branch.pass_hours(12)
        branch.prune(keep_days=2)
        assert branch.verify() == [], f"day {day}"
    # What was sealed before the oldest full went with the full before it; what it stands in is there.
    assert len(list(branch.directory.glob("db-*.sql.gz"))) == (3 if late else 2)
    assert len(list(branch.directory.glob("db-*.binlog.zst.age"))) == (5 if late else 4)


def test_past_a_bad_full_the_older_one_is_kept_with_all_that_follows_it(branch: Branch) -> None:
    days = days_of_sales(branch, 2)
    branch.damage(5)
    branch.pass_hours(36)
    outcome = branch.prune(keep_days=1)
    assert (deleted(outcome), reason(outcome)) == ({}, "no_replacement")
    assert {path.name for path in branch.directory.glob("db-*.age")} == {*days[0][1:], *days[1][1:]}
    found = branch.outcome()
    assert [check.artifact for check in found.failures if check.level == "intact"] == [days[1][0]]
    # To the last increment of the second day, although its full is bad.
    chains, _astray = _db_chain.db_chains(each.manifest for each in found.verified if each.name.startswith("db-"))
    assert [each.artifact for each in chains[-1].artifacts] == [*days[0], *days[1][1:]]


def test_from_the_newest_opened_set_on_every_increment_stays(branch: Branch) -> None:
    days = days_of_sales(branch, 5)
    branch.open(5, 6, 7, 8)
    branch.damage(13)
    outcome = branch.prune(keep_days=1)
    assert deleted(outcome) == {1: 17}
    assert set(kept(outcome).values()) == {"opened"}
    left = {path.name for path in branch.directory.glob("db-*.age")}
    assert left == {name for names in days[1:] for name in names[1:]}


def test_when_the_quota_is_reached_increments_that_central_has_not_go_with_their_set(branch: Branch) -> None:
    days = days_of_sales(branch, 3)
    used = sum(path.stat().st_size for path in branch.directory.iterdir())
    assert deleted(branch.prune(keep_days=1, require_acknowledgement=True, quota_bytes=10 * used)) == {}
    outcome = branch.prune(keep_days=1, require_acknowledgement=True, quota_bytes=used)
    assert (deleted(outcome), reason(outcome)) == ({1: 9}, "unacknowledged_pruned")
    # To the time of the last increment that went.
    assert "from 2026-03-02T23:15:00Z to 2026-03-03T17:15:00Z" in str(outcome.failure)
    assert {path.name for path in branch.directory.glob("db-*.age")} == {*days[1][1:], *days[2][1:]}


def test_an_increment_that_is_being_read_keeps_its_set(branch: Branch) -> None:
    days = days_of_sales(branch, 3)
    entries = [each for each in _catalog.read_catalogue(str(branch.directory)).entries if each.name == days[0][2]]
    with _lease.hold(entries):
        assert kept(branch.prune(keep_days=1)) == {1: "leased"}
    assert deleted(branch.prune(keep_days=1)) == {1: 9}

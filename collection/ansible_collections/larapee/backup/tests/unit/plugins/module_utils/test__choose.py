# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _choose
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, STORED, Place


def choose(place: Place, *, to: str = _choose.LATEST, branch: str = BRANCH) -> _choose.Choice:
    catalogue = _catalog.read_catalogue(str(place.directory))
    return _choose.choose(catalogue, branch=branch, to=to, allowed_signers=place.allowed_signers)


def refused(place: Place, **options: str) -> BackupError:
    with pytest.raises(BackupError) as caught:
        choose(place, **options)
    return caught.value


def test_the_newest_by_number_is_chosen_whatever_the_clock_says(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", sequence=2)
    place.put("db-20271122-1432.sql.gz", sequence=1)
    choice = choose(place)
    assert choice.entry.manifest.sequence == 2
    assert choice.skipped == {}


def test_newer_ones_that_are_not_intact_are_passed_over_and_named(place: Place) -> None:
    one, two, three = place.put_days(1, 2, 3)
    three.write_bytes(b"changed")
    two.unlink()
    choice = choose(place)
    assert choice.entry.name == one.name
    assert choice.skipped == {
        three.name: f"it has 7 bytes, its manifest says {len(STORED)}",
        two.name: "the artifact is missing, only its manifest is there",
    }


def test_none_is_chosen_when_none_is_intact(place: Place) -> None:
    for path in place.put_days(1, 2):
        path.unlink()
    error = refused(place)
    assert error.reason == "not_intact"
    assert set(error.facts["skipped"]) == {"db-20261101-0300.sql.gz", "db-20261102-0300.sql.gz"}
    assert "db-20261102-0300.sql.gz: the artifact is missing" in str(error)


@pytest.mark.parametrize("to", ["2026-11-02T03:00:00Z", "gtid:1-1-2", "mysql-bin.000007:1002"])
def test_a_point_at_which_a_full_stands_is_chosen(place: Place, to: str) -> None:
    place.put_days(1, 2, 3)
    assert choose(place, to=to).entry.manifest.sequence == 2


def test_a_set_is_chosen_by_its_number(place: Place) -> None:
    for day in (1, 2, 3):
        place.put(f"db-202611{day:02d}-0300.sql.gz", sequence=day, set=10 * day)
    assert choose(place, to="set:20").entry.manifest.sequence == 2
    assert refused(place, to="set:2").reason == "target_out_of_reach"


@pytest.mark.parametrize(
    ("to", "nearest"),
    [
        ("2026-11-02T03:00:01Z", "2026-11-02T03:00:00Z"),
        ("2026-11-01T00:00:00Z", "2026-11-01T03:00:00Z"),
        ("2027-01-01T00:00:00Z", "2026-11-03T03:00:00Z"),
        ("gtid:1-1-99", "2026-11-03T03:00:00Z"),
        ("mysql-bin.000007:4", "2026-11-03T03:00:00Z"),
        ("yesterday", "2026-11-03T03:00:00Z"),
        ("gtid:None", "2026-11-03T03:00:00Z"),
    ],
)
def test_a_point_at_which_none_stands_is_refused_with_the_nearest(place: Place, to: str, nearest: str) -> None:
    place.put_days(1, 2, 3)
    error = refused(place, to=to)
    assert error.reason == "target_out_of_reach"
    assert f"The nearest that can be had is {nearest}." in str(error)


@pytest.mark.parametrize("to", ["gtid:None", "None:None"])
def test_a_full_without_a_position_stands_at_no_position(place: Place, to: str) -> None:
    place.put("db-20261122-1432.sql.gz", end={"time": "2026-11-22T14:32:00Z"})
    assert refused(place, to=to).reason == "target_out_of_reach"


def test_an_exact_point_takes_no_older_full_in_its_place(place: Place) -> None:
    place.put_days(1, 2)[1].unlink()
    error = refused(place, to="2026-11-02T03:00:00Z")
    assert error.reason == "not_intact"
    assert list(error.facts["skipped"]) == ["db-20261102-0300.sql.gz"]


def test_another_branchs_place_is_named(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", branch="branch-002", signer="branch-002")
    error = refused(place)
    assert error.reason == "wrong_branch"
    assert "holds backups of branch-002, not of branch-001" in str(error)


def test_another_branchs_newer_full_is_not_chosen(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", branch="branch-002", signer="branch-002", sequence=9)
    place.put_days(1)
    assert choose(place).entry.manifest.branch == BRANCH


def test_an_empty_place_and_a_damaged_one_are_said(place: Place) -> None:
    assert refused(place).reason == "nothing_to_restore"
    (place.directory / "db-20261122-1432.sql.gz.age").write_bytes(b"x")
    assert "artifact without manifest" in str(refused(place))

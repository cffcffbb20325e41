# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _sequence
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place

B, FULL = "branch-001", "db_full"


def next_number(state: Path, place: Place) -> int:
    last = _sequence.last_given(str(state), branch=B, kind=FULL)
    found = _catalog.read_catalogue(str(place.directory))
    catalogue = _sequence.credible(found, last=last, branch=B, kind=FULL)
    return _sequence.next_number(catalogue, last=last, branch=B, kind=FULL)


def test_the_first_number_is_one(tmp_path: Path, place: Place) -> None:
    assert next_number(tmp_path, place) == 1


def test_numbers_rise_from_what_the_place_holds(tmp_path: Path, place: Place) -> None:
    place.put_days(3, 9, 5)
    assert next_number(tmp_path, place) == 10


def test_numbers_rise_on_when_the_place_has_lost_its_newest(tmp_path: Path, place: Place) -> None:
    place.put_days(3)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=9)
    assert next_number(tmp_path, place) == 10


def test_another_branch_and_another_kind_have_numbers_of_their_own(tmp_path: Path, place: Place) -> None:
    place.put("db-20261122-0300.sql.gz", sequence=7, branch="branch-002", signer="branch-002")
    place.put("config-20261122-0300.tar.zst", sequence=8)
    _sequence.remember(str(tmp_path), branch=B, kind="config", number=20)
    _sequence.remember(str(tmp_path), branch="branch-002", kind=FULL, number=30)
    assert next_number(tmp_path, place) == 1


def test_each_kind_is_remembered_beside_the_others(tmp_path: Path) -> None:
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=4)
    _sequence.remember(str(tmp_path), branch=B, kind="config", number=2)
    assert _sequence.last_given(str(tmp_path), branch=B, kind=FULL) == 4
    assert _sequence.last_given(str(tmp_path), branch=B, kind="config") == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"db_full": "4"}', b'{"db_full": true}', b"\xff"])
def test_a_damaged_memory_is_said_and_mended(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences" / f"{B}.json").write_bytes(content)
    with pytest.raises(_sequence.SequenceError, match="the last number given"):
        _sequence.last_given(str(tmp_path), branch=B, kind=FULL)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=5)
    assert _sequence.last_given(str(tmp_path), branch=B, kind=FULL) == 5


def test_numbers_that_were_never_given_do_not_count(tmp_path: Path, place: Place) -> None:
    place.put_days(1, 2, 3)
    place.put("db-20261201-0300.sql.gz", sequence=30_000_000)
    place.put("config-20261201-0300.tar.zst", sequence=40_000_000)
    assert next_number(tmp_path, place) == 30_000_001
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=2)
    assert next_number(tmp_path, place) == 4
    found = _catalog.read_catalogue(str(place.directory))
    kept = _sequence.credible(found, last=2, branch=B, kind=FULL)
    assert [entry.manifest.sequence for entry in kept.entries] == [40_000_000, 1, 2, 3]

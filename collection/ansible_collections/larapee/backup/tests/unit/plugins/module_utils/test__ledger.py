# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _ledger
from ansible_collections.larapee.backup.plugins.module_utils._ledger import Going, Ledger, LedgerError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH

FULL = "db-20261122-1432.sql.gz"
NOTE = {"reason": "before the migration", "at": "2026-11-22T14:32:00Z", "by": "root@shop"}
EMPTY: dict[str, Any] = {
    "schema": 1,
    "branch": BRANCH,
    "pruned": {},
    "going": {},
    "pinned": {},
    "acknowledged": {},
    "hold": None,
    "aged": {},
    "lost": {},
}


def read(directory: Path) -> Ledger:
    return _ledger.read_ledger(str(directory), branch=BRANCH)


def test_where_there_is_none_it_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path) == Ledger(branch=BRANCH)
    assert _ledger.leftovers(str(tmp_path)) == frozenset()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    ledger = Ledger(
        branch=BRANCH,
        pruned={"db_full": ((1, 3), (7, 7))},
        going={FULL: Going("db_full", 8, 100, 340)},
        pinned={100: NOTE},
        acknowledged={210: NOTE},
        hold=NOTE,
        aged={FULL: ("db-20261125-1432.sql.gz", 259200)},
        lost={"db_full 5": NOTE, "config 9": NOTE},
    )
    _ledger.write_ledger(str(tmp_path), ledger)
    assert read(tmp_path) == ledger
    assert _ledger.leftovers(str(tmp_path)) == {FULL}
    assert ledger.kinds == {"db_full"}
    assert ledger.absent("db_full") == ((1, 3), (5, 5), (7, 8))
    # It may come back, and counts then.
    assert not ledger.has_removed("db-20261119-1432.sql.gz", kind="db_full", sequence=5)
    assert (tmp_path / _ledger.NAME).stat().st_mode & 0o777 == 0o600
    _ledger.write_ledger(str(tmp_path), Ledger(branch=BRANCH))
    assert json.loads((tmp_path / _ledger.NAME).read_text()) == EMPTY


def test_a_ledger_from_before_losses_could_be_said_is_read(tmp_path: Path) -> None:
    before = {name: value for name, value in EMPTY.items() if name != "lost"}
    (tmp_path / _ledger.NAME).write_text(json.dumps(before))
    assert read(tmp_path) == Ledger(branch=BRANCH)
    for lost in ({"db_full": NOTE}, {"db_full x": NOTE}, {"tip 3": NOTE}, ["db_full 3"]):
        (tmp_path / _ledger.NAME).write_text(json.dumps({**before, "lost": lost}))
        with pytest.raises(LedgerError, match="lost"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ([], ()),
        ([1], ((1, 1),)),
        ([2, 1, 3], ((1, 3),)),
        ([1, 3], ((1, 1), (3, 3))),
        ([1, 3, 2, 2], ((1, 3),)),
        ([0], ()),
    ],
    ids=range(6),
)
def test_numbers_become_ranges(numbers: list[int], ranges: tuple[tuple[int, int], ...]) -> None:
    ledger = Ledger(branch=BRANCH)
    for number in numbers:
        going = {FULL: Going("db_full", number, 1, 2)}
        ledger = Ledger(branch=BRANCH, pruned=ledger.pruned, going=going).settled({FULL})
    assert ledger.pruned.get("db_full", ()) == ranges
    assert ledger.going == {}


def test_what_is_on_its_way_counts_as_removed_and_what_stayed_does_not() -> None:
    ledger = Ledger(branch=BRANCH, pruned={"db_full": ((1, 2),)}, going={FULL: Going("db_full", 3, 1, 2)})
    assert ledger.removed("db_full") == ((1, 3),)
    assert ledger.removed("config") == ()
    assert ledger.settled(set()).pruned == {"db_full": ((1, 2),)}


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"branch": "branch-002"},
        {"branch": None},
        {"pruned": []},
        {"pruned": {"db_full": [[3, 1]]}},
        {"pruned": {"db_full": [[1]]}},
        {"pruned": {"db_full": [["1", 2]]}},
        {"going": {"../../etc/passwd": {"kind": "db_full", "sequence": 1, "set": 1, "replaced_by": 2}}},
        {"going": {FULL: {"kind": "config", "sequence": 1, "set": 1, "replaced_by": 2}}},
        {"going": {FULL: {"kind": "db_full", "sequence": -1, "set": 1, "replaced_by": 2}}},
        {"pinned": {"x": NOTE}},
        {"pinned": {"1": "because"}},
        {"acknowledged": {"1": {**NOTE, "by": None}}},
        {"hold": "because"},
        {"hold": {}},
        {"aged": {FULL: [FULL]}},
        {"aged": None},
    ],
    ids=range(17),
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / _ledger.NAME).write_text(json.dumps({**EMPTY, **changes}))
    with pytest.raises(LedgerError):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000], ids=range(4))
def test_damage_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / _ledger.NAME).write_text(content)
    for look in (lambda: read(tmp_path), lambda: _ledger.leftovers(str(tmp_path))):
        with pytest.raises(LedgerError):
            look()

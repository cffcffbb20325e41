# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention at central: the rules of a branch's place over many places, and adoption kept out while something goes."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _ledger, _lock, _prune
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central, defects, tree
from tests.central.playing import play, rows

if TYPE_CHECKING:
    from tests.retention.branch import Branch

FIRST = CODES[0]
PLAYBOOK = "playbooks/retention_central.yml"


@pytest.fixture
def central(central: Central) -> Central:
    """The playbook looks at the real clock."""
    central.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return central


def prune(central: Central, shop: Branch, **changes: Any) -> _prune.PruneOutcome:
    request = {"directory": str(shop.directory), "keep_days": 3, "excludes": f"pull-{shop.code}", **changes}
    found: _prune.PruneOutcome = central.at(
        central.now, lambda: _prune.prune_place(_prune.PruneRequest(**central.common(shop.code, **request)))
    )
    return found


def test_the_estate_keeps_its_days_and_each_branch_tells_what_went(central: Central) -> None:
    codes = list(CODES[:12])
    missing, damaged, locked = codes[2], codes[4], codes[6]
    old = (FIRST, damaged, locked)
    shops = {code: central.branch(code, runs=5 if code in old else 2) for code in codes if code != missing}
    for number in range(2, 6):
        shops[damaged].damage(number)
    with _lock.hold(str(central.state), f"retention-{locked}", run_id="other"):
        code, output = play(central, codes, playbook=PLAYBOOK, larapee_backup_central_retention_days=3)
    assert code == 2, output
    found = rows(central)
    assert {row.kind for row in found.values()} == {"retention"}
    errors = {branch: str(row.error) for branch, row in found.items() if row.status != "success"}
    assert set(errors) == {missing, damaged, locked}
    assert f"Failed to find what central holds of {missing}" in errors[missing]
    assert "no newer set is complete and intact" in errors[damaged]
    assert "of run other" in errors[locked]
    first = found[FIRST]
    assert [(each["set"], each["replaced_by"]) for each in first.details["deleted"]] == [(1, 5), (2, 5)]
    assert (first.details["place"], first.recovery_point) == ("central", None)
    assert shops[FIRST].sets() == [3, 4, 5]
    assert shops[damaged].sets() == shops[locked].sets() == [1, 2, 3, 4, 5]
    assert found[codes[1]].details["deleted"] == []
    assert defects(shops[FIRST].directory, central.keys, central.state) == []
    ledger = _ledger.read_ledger(str(shops[FIRST].directory), branch=FIRST)
    assert [ledger.has_removed("x", kind="db_full", sequence=number) for number in (1, 2, 3)] == [True, True, False]


def test_check_mode_tells_what_would_go(central: Central) -> None:
    central.branch(runs=5)
    before = tree(central.path)
    code, output = play(central, [FIRST], "--check", "-v", playbook=PLAYBOOK, larapee_backup_central_retention_days=3)
    assert code == 0, output
    assert '"replaced_by": 5' in output
    assert tree(central.path) == before


def test_what_people_ask_is_for_one_branch(central: Central) -> None:
    shops = [central.branch(code, runs=5) for code in CODES[:2]]
    wishes = {"larapee_backup_retention_pin": [1], "larapee_backup_retention_reason": "the tax office asks"}
    days = {"larapee_backup_central_retention_days": 3}
    code, output = play(central, list(CODES[:2]), playbook=PLAYBOOK, **wishes, **days)
    assert code == 2
    assert "Give larapee_backup_branches with that one alone" in output
    assert [shop.sets() for shop in shops] == [[1, 2, 3, 4, 5]] * 2
    code, output = play(central, list(CODES[:2]), playbook=PLAYBOOK, **days, larapee_backup_branches=FIRST)
    assert code == 2
    assert "larapee_backup_branches is a text, and has to be a list" in output
    alone = {"larapee_backup_branches": [FIRST]}
    code, output = play(central, list(CODES[:2]), playbook=PLAYBOOK, **wishes, **days, **alone)
    assert code == 0, output
    assert [shop.sets() for shop in shops] == [[1, 3, 4, 5], [1, 2, 3, 4, 5]]


def test_nothing_goes_while_something_is_adopted_and_the_other_way_round(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = central.branch(runs=5)
    monkeypatch.setattr(_prune, "_WAIT_SECONDS", 0.2)
    with (
        _lock.hold(str(central.state), f"pull-{FIRST}", run_id="the pull"),
        pytest.raises(BackupError, match="of run the pull") as caught,
    ):
        prune(central, shop)
    assert caught.value.reason == "lock_held"
    assert shop.sets() == [1, 2, 3, 4, 5]
    held = []
    unlink = os.unlink

    def watched(path: str) -> None:
        try:
            with _lock.hold(str(central.state), f"pull-{FIRST}", run_id=str(uuid.uuid4())):
                held.append(False)
        except BackupError:
            held.append(True)
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", watched)
        prune(central, shop)
    assert len(held) > 12
    assert all(held)
    with _lock.hold(str(central.state), f"pull-{FIRST}", run_id="the next pull"):
        assert prune(central, shop).drops == []


def test_a_set_that_was_only_just_adopted_stays_and_is_in_the_checksums(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = central.branch(runs=5)
    write = _ledger.write_ledger

    def after_an_adoption(directory: str, ledger: _ledger.Ledger) -> None:
        write(directory, ledger)
        if ledger.going and len(shop.sets()) == 5:
            shop.now = central.now
            shop.run()

    monkeypatch.setattr(_ledger, "write_ledger", after_an_adoption)
    prune(central, shop)
    assert shop.sets() == [3, 4, 5, 6]
    assert defects(shop.directory, central.keys, central.state) == []


def test_a_snapshot_keeps_what_retention_removed(central: Central) -> None:
    shop = central.branch(runs=5)
    central.snapshot(method="link")
    made = central.newest()
    prune(central, shop)
    assert shop.sets() == [3, 4, 5]
    assert defects(made, central.keys, central.state) == []
    central.snapshot(method="link", hours=1)
    assert defects(central.newest(), central.keys, central.state) == []

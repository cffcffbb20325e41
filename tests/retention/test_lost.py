# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person says is lost for good is missed no longer; nothing else is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _ledger, _sequence
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH

if TYPE_CHECKING:
    from tests.retention.branch import Branch


def lose(shop: Branch, number: int, kind: str) -> str:
    """Take away all that there is of one artifact; its kind and number, as verification tells them."""
    name = shop.name(number, kind)
    told = json.loads((shop.directory / f"{name}.manifest.json").read_text(encoding="utf-8"))
    for path in list(shop.directory.iterdir()):
        if path.name.startswith(name):
            path.unlink()
    return f"{kind} {told['sequence']}"


def test_what_is_lost_for_good_is_missed_until_somebody_says_so(shop: Branch) -> None:
    name = lose(shop, 9, "db_full")
    assert any(name in line for line in shop.verify())
    with pytest.raises(BackupError, match="nobody says why"):
        shop.prune(lost=(name,))
    shop.prune(lost=(name,), reason="the disk was replaced", check_mode=True)
    assert any(name in line for line in shop.verify())
    shop.prune(lost=(name,), reason="the disk was replaced")
    assert shop.verify() == []
    assert shop.ledger()["lost"][name]["reason"] == "the disk was replaced"
    # Later runs keep it, and what is lost besides is missed all the same.
    shop.prune()
    other = lose(shop, 8, "db_full")
    assert any(other in line for line in shop.verify())


def test_the_newest_is_missed_whatever_was_said(shop: Branch) -> None:
    name = lose(shop, 10, "db_full")
    _sequence.remember(str(shop.state), branch=BRANCH, kind="db_full", number=int(name.split()[1]))
    shop.prune(lost=(name,), reason="the disk was replaced")
    assert any(name in line for line in shop.verify())


@pytest.mark.parametrize("name", ["db_full", "db_full 0", "db_full ten", "db-20260310-2315.sql.gz", "../x 7"])
def test_what_is_no_kind_and_number_cannot_be_lost(shop: Branch, name: str) -> None:
    with pytest.raises(BackupError, match="is named by kind and number"):
        shop.prune(lost=(name,), reason="the disk was replaced")


def test_what_is_there_is_not_lost(shop: Branch) -> None:
    told = json.loads((shop.directory / f"{shop.name(9, 'db_full')}.manifest.json").read_text(encoding="utf-8"))
    with pytest.raises(BackupError) as caught:
        shop.prune(lost=(f"db_full {told['sequence']}",), reason="the disk was replaced")
    assert caught.value.reason == "not_lost"
    assert not (shop.directory / _ledger.NAME).exists()

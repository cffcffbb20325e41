# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local time plays no part: hours that a zone with daylight saving shows twice, or never, are told apart in UTC."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from tests.database.estate import sql, stock_picture
from tests.pitr.sealed_shop import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pitr.sealed_shop import SealedShop

# Europe/Berlin shows 02:30 twice on 25 October 2026, at 00:30 and at 01:30 UTC; on 28 March 2027 it shows none.
TWICE = ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
ZONE = "Europe/Berlin"


@pytest.fixture(params=["process", "server"])
def berlin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone is that of this process, which the scratch server gets too; or also that of the source's sessions."""
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_an_hour_that_comes_twice(shop: SealedShop, berlin: str) -> None:
    if berlin == "server":
        # The server's own tables of zones are empty here; an offset changes local time all the same.
        sql(shop.source, "SET GLOBAL time_zone = '+02:00'")
    try:
        full = shop.full()
        shop.rewrite(full, created_at="2026-10-24T20:00:00Z", snapshot_at="2026-10-24T20:00:01Z")
        at(shop.source, "2026-10-24T20:00:01Z", "ALTER TABLE larapos.emptied ADD COLUMN made TIMESTAMP NULL")
        for number, moment in enumerate(TWICE):
            at(shop.source, moment, f"INSERT INTO larapos.emptied VALUES ({number}, NOW())")
            sql(shop.source, "SET GLOBAL time_zone = '+01:00'" if berlin == "server" else "DO 1")
        shop.seal(now=_manifest.parse_time("2026-10-25T02:00:00Z"))
    finally:
        sql(shop.source, "SET GLOBAL time_zone = 'SYSTEM'")
    for to, rows in (("2026-10-25T00:30:01Z", 1), ("2026-10-25T01:30:00Z", 1), ("2026-10-25T01:30:01Z", 2)):
        plan = shop.restore(to=to, confirm="branch-001").plan
        assert plan["recovery_point"] == to
        assert plan["position"]["time"] == TWICE[rows - 1]
        stamps = sql(shop.target, "SELECT UNIX_TIMESTAMP(made) FROM larapos.emptied ORDER BY id").split()
        assert stamps == [str(int(_manifest.parse_time(each).timestamp())) for each in TWICE[:rows]]
    assert stock_picture(shop.target) == stock_picture(shop.source)

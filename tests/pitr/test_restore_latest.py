# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full and its increments, restored to the last sealed transaction; equality by stock tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.database.estate import sql, stock_picture

if TYPE_CHECKING:
    from tests.pitr.sealed_shop import SealedShop


def test_everything_that_was_sealed_comes_back(shop: SealedShop) -> None:
    full = shop.full()
    sql(shop.source, "INSERT INTO larapos.orders (total, note) VALUES (7.5, '😀')")
    first = shop.seal()
    sql(shop.source, "USE mysql; TRUNCATE larapos.emptied; CREATE TABLE larapos.added (id INT PRIMARY KEY)")
    second = shop.seal()
    before = stock_picture(shop.source)
    sql(shop.source, "INSERT INTO larapos.orders (total) VALUES (1)")
    outcome = shop.restore()
    assert stock_picture(shop.target) == before
    assert outcome.plan["artifacts"] == [full.artifact, first.artifact, second.artifact]
    assert set(outcome.seconds) == {"choose", "start", "walk", "load", "replay", "prove", "transfer"}
    assert shop.leftovers() == []

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from larapee_runner.demo.accounts import create_application
from larapee_runner.demo.picture import differences, take_picture
from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import Shop, open_shop
from larapee_runner.demo.till import Till, TillError

PASSWORD = "application's"


def open_till(server: ThrowawayServer, shop: Shop) -> Till:
    create_application(server, database=shop.database, password=PASSWORD)
    return Till(server, shop, user="larapee-app", password=PASSWORD, pause_s=0.002)


def invoices(server: ThrowawayServer, shop: Shop) -> list[tuple[str, int, str]]:
    connection = server.connect(database=shop.database)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT invoice_number, till, CAST(ROUND(total, 2) AS CHAR) FROM orders WHERE id > %s ORDER BY id",
            (shop.orders,),
        )
        found = [(str(number), int(till), str(total)) for number, till, total in cursor.fetchall()]
    connection.close()
    return found


def test_remembers_exactly_what_it_sold(server: ThrowawayServer, shop: Shop) -> None:
    before = datetime.now(UTC)
    with open_till(server, shop) as till:
        till.wait_until_sold(120)
    assert till.failure is None
    assert till.in_doubt is None
    assert invoices(server, shop) == [(receipt.number, receipt.till, receipt.total) for receipt in till.receipts]
    moments = [before, *(receipt.committed_at for receipt in till.receipts), datetime.now(UTC)]
    assert moments == sorted(moments)
    assert len({receipt.till for receipt in till.receipts}) == 3


def test_nothing_is_open_while_held(server: ThrowawayServer, shop: Shop) -> None:
    with open_till(server, shop) as till:
        till.wait_until_sold(5)
        with till.held():
            sold = till.sold
            first = take_picture(server, database=shop.database)
            time.sleep(0.2)
            assert differences(first, take_picture(server, database=shop.database)) == []
            assert len(invoices(server, shop)) == sold == till.sold
        till.wait_until_sold(sold + 5)
    assert differences(first, take_picture(server, database=shop.database)) != []


def test_a_sale_that_does_not_end_is_told(server: ThrowawayServer, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("larapee_runner.demo.till.HOLD_TIMEOUT_S", 0.05)
    till = open_till(server, shop)
    with till.held(), pytest.raises(TillError, match="a sale did not end"), till.held():
        pytest.fail("held twice")
    till.close()


def test_receipts_outlive_the_server(tmp_path: Path) -> None:
    server = ThrowawayServer(tmp_path / "s")
    server.start()
    try:
        shop = open_shop(server, database="larapos", orders=50, seed=3, last_day=date(2026, 11, 21))
        with open_till(server, shop) as till:
            till.wait_until_sold(20)
            server.kill()
            with pytest.raises(TillError, match="Failed to sell"):
                till.wait_until_sold(100_000, timeout_s=20)
        assert till.failure is not None
        server.start()
        kept = [number for number, _till, _total in invoices(server, shop)]
        sold = [receipt.number for receipt in till.receipts]
        doubtful = [till.in_doubt.number] if till.in_doubt else []
        assert kept in (sold, sold + doubtful)
    finally:
        server.destroy()

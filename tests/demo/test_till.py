# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from larapee_runner.demo.accounts import create_application
from larapee_runner.demo.picture import differences, take_picture
from larapee_runner.demo.references import check_references
from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import Shop, open_shop
from larapee_runner.demo.till import Till, TillError
from larapee_runner.demo.uploads import UploadDirectory

PASSWORD = "application's"


def open_till(server: ThrowawayServer, shop: Shop, *, uploads: UploadDirectory | None = None) -> Till:
    create_application(server, database=shop.database, password=PASSWORD)
    return Till(server, shop, user="larapee-app", password=PASSWORD, uploads=uploads, pause_s=0.002)


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


def slip_files(uploads: UploadDirectory) -> list[str]:
    return sorted(str(path.relative_to(uploads.directory)) for path in uploads.directory.rglob("*.png"))


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


def test_uploads_exactly_the_slips_of_what_it_sold(server: ThrowawayServer, shop: Shop, tmp_path: Path) -> None:
    uploads = UploadDirectory(tmp_path / "public")
    with open_till(server, shop, uploads=uploads) as till:
        till.wait_until_sold(150, slips=20)
        with till.slips_held():
            held = till.receipts
            till.wait_until_sold(len(held) + 40)
            assert [receipt.slip for receipt in till.receipts[len(held) :] if receipt.slip] == []
            assert till.slips == len(slip_files(uploads))
        till.wait_until_sold(0, slips=till.slips + 3)
    assert till.failure is None
    # Neither more: those of abandoned sales were removed again.
    assert slip_files(uploads) == sorted(receipt.slip for receipt in till.receipts if receipt.slip)
    connection = server.connect(database=shop.database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT path FROM payment_slips WHERE order_id > %s", (shop.orders,))
        assert sorted(path for (path,) in cursor.fetchall()) == slip_files(uploads)
        cursor.execute("DELETE FROM payment_slips WHERE order_id <= %s", (shop.orders,))
        cursor.execute("UPDATE products SET picture_path = NULL")
    connection.close()
    assert check_references(server, database=shop.database, uploads=uploads.directory) == till.slips


def test_a_full_disk_ends_the_selling_with_a_reason(server: ThrowawayServer, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "public").write_text("no directory", encoding="utf-8")
    with (
        open_till(server, shop, uploads=UploadDirectory(tmp_path / "public")) as till,
        pytest.raises(TillError, match=r"Failed to sell: .*public"),
    ):
        till.wait_until_sold(0, slips=1)


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

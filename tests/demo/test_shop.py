# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from larapee_runner.demo.errors import DemoError
from larapee_runner.demo.picture import differences, take_picture
from larapee_runner.demo.references import check_references
from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import Shop, open_shop
from larapee_runner.demo.uploads import UploadDirectory


def rows(server: ThrowawayServer, shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = server.connect(database=shop.database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        connection.close()


def test_has_every_kind_of_object_and_rows_everywhere(server: ThrowawayServer, unchanged_shop: Shop) -> None:
    picture = take_picture(server, database=unchanged_shop.database)
    assert {kind: count for kind, count in picture.counts.items() if count} == {
        "TABLE": 15,
        "VIEW": 1,
        "TRIGGER": 2,
        "PROCEDURE": 1,
        "FUNCTION": 1,
        "EVENT": 1,
    }
    assert [table for table, contents in picture.contents.items() if contents.rows == 0] == []
    assert picture.contents["orders"].rows == 450
    assert "utf8mb4_unicode_ci" in picture.definitions["DATABASE"]
    assert sorted(picture.highest_receipts) == [1, 2, 3]


@pytest.mark.parametrize(
    "question",
    [
        "SELECT COUNT(*) FROM customers WHERE name LIKE '%🦊%'",
        "SELECT COUNT(*) FROM customers WHERE name LIKE '%''%' AND notes IS NULL",
        "SELECT COUNT(*) FROM orders WHERE notes LIKE '%\\\\\\\\%' OR notes LIKE '%🙏%'",
        "SELECT COUNT(*) FROM audit_logs WHERE JSON_VALID(payload) AND risk_score IS NOT NULL AND actor IS NULL",
        "SELECT COUNT(*) FROM products WHERE JSON_EXTRACT(attributes, '$.origin') = 'null'",
        "SELECT COUNT(*) FROM product_variants WHERE weighed = b'1' AND margin = price - cost",
        "SELECT COUNT(*) FROM order_items WHERE quantity = 1.375 AND line_total <> 0",
        "SELECT COUNT(*) FROM receipt_images WHERE sha256 = UNHEX(SHA2(image, 256))",
        "SELECT COUNT(*) FROM payment_slips WHERE path LIKE '%🦊%' AND path LIKE '%''%' AND path LIKE '%.png'",
        "SELECT COUNT(*) FROM products WHERE picture_path LIKE '%☕%' AND LENGTH(picture_sha256) = 32",
        "SELECT COUNT(*) FROM financial_adjustments WHERE amount < 0",
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND extra LIKE '%GENERATED%'",
        "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
    ],
)
def test_holds_what_breaks_backups(server: ThrowawayServer, unchanged_shop: Shop, question: str) -> None:
    assert rows(server, unchanged_shop, question)[0][0] > 0


def test_books_agree(server: ThrowawayServer, unchanged_shop: Shop) -> None:
    unequal = {
        "payments": "SELECT o.id FROM orders o LEFT JOIN payments p ON o.id = p.order_id WHERE NOT total <=> amount",
        "stock": "SELECT v.id FROM product_variants v LEFT JOIN (SELECT variant_id, SUM(quantity) AS moved"
        " FROM stock_movements GROUP BY 1) m ON m.variant_id = v.id WHERE v.stock <> COALESCE(m.moved, 0)",
        "days": "SELECT c.business_day FROM daily_branch_closings c JOIN (SELECT business_day, SUM(gross) AS gross"
        " FROM daily_sales GROUP BY 1) s USING (business_day) WHERE s.gross <> c.gross",
        "invoices": "SELECT s.day FROM document_sequences s JOIN (SELECT business_day, COUNT(*) AS sold, MAX(id) AS id"
        " FROM orders GROUP BY 1) o ON o.business_day = s.day JOIN orders l ON l.id = o.id WHERE s.last_number <> sold"
        " OR l.invoice_number <> CONCAT('B01-', DATE_FORMAT(s.day, '%Y%m%d'), '-', LPAD(sold, 4, '0'))",
    }
    assert {what: rows(server, unchanged_shop, query) for what, query in unequal.items()} == dict.fromkeys(unequal, [])
    assert rows(server, unchanged_shop, "SELECT COUNT(*) FROM document_sequences") == [(2,)]


def test_programs_work(server: ThrowawayServer, shop: Shop) -> None:
    connection = server.connect(database=shop.database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT loyalty_points(125.5)")
        assert cursor.fetchone() == (12,)
        cursor.execute("DELETE FROM daily_branch_closings")
        cursor.execute("CALL close_day('B01', '2026-11-21')")
        cursor.execute("SELECT orders FROM daily_branch_closings")
        assert cursor.fetchall() == ((30,),)
        with pytest.raises(Exception, match="An invoice's number never changes"):
            cursor.execute("UPDATE orders SET invoice_number = 'x' LIMIT 1")
    connection.close()


def test_images_are_valid_and_hold_every_byte(server: ThrowawayServer, unchanged_shop: Shop) -> None:
    images = [row[0] for row in rows(server, unchanged_shop, "SELECT image FROM receipt_images")]
    assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in images)
    assert all(len(zlib.decompress(image[41:-16])) == 64 * 97 for image in images)
    assert len(set(b"".join(images))) == 256


def test_same_seed_same_shop(server: ThrowawayServer, unchanged_shop: Shop, make_shop: Callable[[], Shop]) -> None:
    first, second = (take_picture(server, database=shop.database) for shop in (unchanged_shop, make_shop()))
    assert [name for name in differences(first, second) if name.startswith(("contents", "rows", "last"))] == []


def test_rows_name_the_files_that_are_there(server: ThrowawayServer, tmp_path: Path) -> None:
    uploads = UploadDirectory(tmp_path / "public")
    open_shop(server, database="shop_files", orders=60, seed=11, last_day=date(2026, 11, 21), uploads=uploads)
    found = [path for path in uploads.directory.rglob("*") if path.is_file()]
    assert check_references(server, database="shop_files", uploads=uploads.directory) == len(found) > 120
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o644}
    assert {path.stat().st_mtime_ns % 1000 for path in found} == {1}
    spoilt = found[0]
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    with pytest.raises(DemoError, match=r"what the rows of shop_files name: .*FAILED"):
        check_references(server, database="shop_files", uploads=uploads.directory)
    spoilt.unlink()
    with pytest.raises(DemoError, match="No such file"):
        check_references(server, database="shop_files", uploads=uploads.directory)

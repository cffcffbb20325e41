# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from larapee_runner.demo.picture import differences, take_picture
from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import Shop


@pytest.fixture(scope="module")
def spoilt_shop(make_shop: Callable[[], Shop]) -> Shop:
    """Each test compares with the state before its own change."""
    return make_shop()


def change(server: ThrowawayServer, shop: Shop, statement: str) -> None:
    connection = server.connect(database=shop.database)
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        (
            "UPDATE receipt_images SET image = INSERT(image, 100, 1, CHAR(ORD(SUBSTR(image, 100, 1)) ^ 1)) LIMIT 1",
            ["contents of receipt_images: differs"],
        ),
        ("UPDATE audit_logs SET risk_score = risk_score + 1e-9 LIMIT 1", ["contents of audit_logs: differs"]),
        ("UPDATE customers SET name = REPLACE(name, '🦊', '?')", ["contents of customers: differs"]),
        ("UPDATE customers SET notes = '' WHERE notes IS NULL LIMIT 1", ["contents of customers: differs"]),
        (
            "UPDATE customers a JOIN customers b ON a.id = 1 AND b.id = 2 SET a.email = 'x', b.email = NULL",
            ["contents of customers: differs"],
        ),
        (
            "DELETE FROM financial_adjustments ORDER BY id LIMIT 1",
            ["contents of financial_adjustments: differs", "rows of financial_adjustments: "],
        ),
        (
            "DROP TRIGGER invoice_numbers_stay",
            ["definition of TRIGGER invoice_numbers_stay: missing", "number of triggers: 2 before, 1 after"],
        ),
        (
            "DROP FUNCTION loyalty_points",
            ["definition of FUNCTION loyalty_points: missing", "number of functions"],
        ),
        ("ALTER EVENT forget_old_audit_logs DISABLE", ["definition of EVENT forget_old_audit_logs: differs"]),
        (
            "CREATE SEQUENCE tickets",
            [
                "contents of tickets: was",
                "definition of SEQUENCE tickets: was",
                "number of sequences",
                "rows of tickets",
            ],
        ),
        (
            "ALTER VIEW daily_sales AS SELECT 1 AS branch_code",
            ["definition of VIEW daily_sales: differs"],
        ),
        ("ALTER DATABASE COLLATE utf8mb4_general_ci", ["definition of DATABASE: differs"]),
        ("ALTER TABLE orders DROP FOREIGN KEY orders_customer", ["definition of TABLE orders: differs"]),
    ],
)
def test_notices(server: ThrowawayServer, spoilt_shop: Shop, statement: str, seen: list[str]) -> None:
    before = take_picture(server, database=spoilt_shop.database)
    change(server, spoilt_shop, statement)
    found = differences(before, take_picture(server, database=spoilt_shop.database))
    assert len(found) == len(seen)
    assert [line for line, start in zip(found, seen, strict=True) if not line.startswith(start)] == []


def test_a_stock_copy_is_equal(server: ThrowawayServer, unchanged_shop: Shop, tmp_path: Path) -> None:
    dump = subprocess.run(
        [
            *("mariadb-dump", "--no-defaults", "--user=root", f"--socket={server.socket}", "--single-transaction"),
            *(
                "--routines",
                "--events",
                "--triggers",
                "--hex-blob",
                "--default-character-set=utf8mb4",
                unchanged_shop.database,
            ),
        ],
        capture_output=True,
        check=True,
    )
    before = take_picture(server, database=unchanged_shop.database)
    with ThrowawayServer(tmp_path / "copy", log_bin=False) as copy:
        connection = copy.connect()
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {unchanged_shop.database} COLLATE utf8mb4_unicode_ci")
        connection.close()
        client = ["mariadb", "--no-defaults", "--user=root", f"--socket={copy.socket}"]
        subprocess.run(
            [*client, "--default-character-set=utf8mb4", unchanged_shop.database], input=dump.stdout, check=True
        )
        after = take_picture(copy, database=unchanged_shop.database)
    assert differences(before, after) == []
    assert len(before.facts) > 50


def test_a_comparison_of_nothing_is_no_equality(server: ThrowawayServer) -> None:
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE nothing")
    connection.close()
    empty = take_picture(server, database="nothing")
    assert differences(empty, empty) == ["nothing was compared: the first picture holds no rows"]

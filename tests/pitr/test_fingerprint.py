# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fingerprint agrees with a database exactly when that holds the same: on a real server, as the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo.server import ThrowawayServer
from tests.pitr.fingerprints import Shop, compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._fingerprint import Fingerprint

ODD = "odd`na'me\"; é☃% --"
CHANGES = {
    "one-cent": ("orders", "total = total + 0.01 WHERE id = 3"),
    "microsecond": ("orders", "made = '2026-11-22 12:00:00.000001' WHERE id = 3"),
    "null-to-empty": ("orders", "note = '' WHERE id = 3"),
    "empty-to-null": ("twins", "b = NULL WHERE a = 'x' AND b = '' LIMIT 1"),
    "one-twin-for-the-other": ("twins", "b = 'x', a = '' WHERE a = 'x' AND b = '' LIMIT 1"),
    "both-of-two-equal-rows": ("twins", "n = 2 WHERE a = 'x' AND b = ''"),
    "case": ("orders", "number = LOWER(number) WHERE id = 1"),
    "trailing-space": ("everything", "latin = 'a' WHERE id = 3"),
    "trailing-space-of-bytes": ("everything", "bin = 'a' WHERE id = 3"),
    "emoji": (ODD, "`select` = '😁' WHERE `select` = '😀'"),
    "accent": ("everything", "latin = 'deja' WHERE id = 1"),
    "last-bit-of-a-double": ("everything", "d = 0.3 WHERE id = 3"),
    "sixth-digit-of-a-float": ("everything", "f = 0.100001 WHERE id = 1"),
    "highest-bit": ("everything", "b = ~0 >> 1 WHERE id = 3"),
    "largest-number": ("everything", "un = un - 1 WHERE id = 1"),
    "invisible-column": ("everything", "hidden = 8 WHERE id = 2"),
    "enum": ("everything", "e = 'open' WHERE id = 1"),
    "set": ("everything", "s = 'a' WHERE id = 1"),
    "json": ("everything", """j = '{"a": [1, 2.5, "é"]}' WHERE id = 1"""),
    "point": ("everything", "p = POINT(-2, 1.5) WHERE id = 1"),
    "srid": ("everything", "g = ST_GeomFromText('LINESTRING(0 0,1 1)', 4326) WHERE id = 1"),
    "last-byte-of-a-blob": ("everything", "big = CONCAT(LEFT(big, 2099999), 'x') WHERE id = 1"),
    "address": ("everything", "i6 = '::2' WHERE id = 1"),
    "uuid": ("everything", "u = '123e4567-e89b-12d3-a456-426655440001' WHERE id = 1"),
    "millisecond-of-a-time": ("everything", "t = '-12:00:00.501' WHERE id = 1"),
    "year": ("everything", "y = 2027 WHERE id = 1"),
    "last-of-many-columns": ("wide", "c299 = 0 WHERE id = 1"),
    "versioned-row": ("versioned", "x = 4 WHERE id = 1"),
    "row-of-a-partition": ("shelf", "x = 0 WHERE place = 9"),
    "values-of-two-rows-exchanged": ("shelf", "x = 11 - x WHERE x < 7"),
}
OTHERS = {
    "one-more-twin": ("INSERT INTO twins VALUES ('x', '', 1)", ["twins: 6 rows instead of 5"]),
    "one-twin-less": ("DELETE FROM twins WHERE a = 'x' LIMIT 1", ["twins: 4 rows instead of 5"]),
    "first-row": (
        "INSERT INTO emptied VALUES (1, NULL)",
        ["emptied: 1 rows instead of 0", "query empty: 1 rows instead"],
    ),
    "sequence": ("DO SETVAL(receipts, 5000)", ["receipts: next value 5001 instead of 422"]),
    "missing": ("DROP TABLE shelf", ["shelf: missing"]),
    "missing-sequence": ("DROP SEQUENCE receipts", ["receipts: missing"]),
    "additional": ("CREATE TABLE later (i INT)", ["later: was not there when the fingerprint was taken"]),
    "view": ("DROP VIEW daily", []),
    "column": ("ALTER TABLE shelf ADD COLUMN y INT", ["shelf: checksum differs"]),
    "receipt": ("UPDATE orders SET number = 'B02' WHERE id = 3", ["orders: checksum", "receipt: B02 instead of B01-"]),
    "gross": ("UPDATE orders SET total = 8 WHERE id = 3", ["orders: ", "query gross: 2, 8.00 instead of 2, 7.00"]),
    "outside-the-snapshot": ("INSERT INTO notes VALUES (2, 'x')", []),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("shop")) as started:
        yield started


@pytest.fixture(scope="module")
def known(server: ThrowawayServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Fingerprint]:
    """The zoo and its fingerprint; tests change only its copy."""
    shop = Shop(server, tmp_path_factory.mktemp("known"))
    return shop, shop.take()


@pytest.fixture
def copied(known: tuple[Shop, Fingerprint]) -> tuple[Shop, Fingerprint]:
    known[0].copy()
    return known


@pytest.mark.parametrize("zone", ["SYSTEM", "+05:00"])
def test_a_dump_loaded_elsewhere_is_equal(known: tuple[Shop, Fingerprint], tmp_path: Path, zone: str) -> None:
    """Also where sessions begin in another time zone and SQL mode: values must not come as other texts."""
    shop, fingerprint = known
    sql_mode = "ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES"
    settings = [f"--default-time-zone={zone}", f"--sql-mode={sql_mode}", "--character-set-server=latin1"]
    with ThrowawayServer(tmp_path / "other", server_id=2, extra_args=settings) as other:
        shop.copy()
        assert compare(fingerprint, shop.server) == []
        shop.copy_to(other)
        assert compare(fingerprint, other) == []


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_one_value_is_found(copied: tuple[Shop, Fingerprint], change: str) -> None:
    shop, fingerprint = copied
    table, assignment = CHANGES[change]
    shop.sql(f"UPDATE `{table.replace('`', '``')}` SET {assignment}", "copy")
    found = [line for line in compare(fingerprint, shop.server) if not line.startswith(("query ", "receipt"))]
    assert found == [f"{table}: checksum differs"]


@pytest.mark.parametrize("change", OTHERS)
def test_each_other_change_is_said_in_words(copied: tuple[Shop, Fingerprint], change: str) -> None:
    shop, fingerprint = copied
    statement, expected = OTHERS[change]
    shop.sql(statement, "copy")
    found = compare(fingerprint, shop.server)
    assert [line[: len(words)] for line, words in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_rows_does_not_count(copied: tuple[Shop, Fingerprint], seed: int) -> None:
    shop, fingerprint = copied
    before = shop.sql("SELECT * FROM twins", "copy")
    shop.sql("CREATE TABLE kept SELECT * FROM twins; DELETE FROM twins", "copy")
    shop.sql(f"INSERT INTO twins SELECT * FROM kept ORDER BY RAND({seed}); DROP TABLE kept", "copy")
    assert shop.sql("SELECT * FROM twins", "copy") != before
    assert compare(fingerprint, shop.server) == []


def test_what_is_computed_anew_by_a_restore_is_no_difference(copied: tuple[Shop, Fingerprint]) -> None:
    shop, fingerprint = copied
    before = shop.sql("SELECT moment FROM orders WHERE id = 1", "copy")
    shop.sql("SET time_zone = '+07:00'; ALTER TABLE orders FORCE, ALGORITHM = COPY", "copy")
    shop.sql("SET time_zone = '+07:00'; UPDATE orders SET made = made + INTERVAL 1 SECOND WHERE id = 1", "copy")
    shop.sql("SET time_zone = '+07:00'; UPDATE orders SET made = made - INTERVAL 1 SECOND WHERE id = 1", "copy")
    assert shop.sql("SELECT moment FROM orders WHERE id = 1", "copy") != before
    assert compare(fingerprint, shop.server) == []


def test_only_counted_is_only_compared_by_counts(copied: tuple[Shop, Fingerprint]) -> None:
    shop, _fingerprint = copied
    fingerprint = shop.take(checksums=False)
    assert {facts["checksum"] for facts in fingerprint.tables.values()} == {None}
    shop.sql("UPDATE shelf SET x = 0; DELETE FROM twins LIMIT 1", "copy")
    assert compare(fingerprint, shop.server) == ["twins: 4 rows instead of 5"]


def test_above_the_limit_only_the_newest_rows_are_compared_and_it_is_said(copied: tuple[Shop, Fingerprint]) -> None:
    shop, whole = copied
    fingerprint = shop.take(limit=0)
    orders = fingerprint.tables["orders"]
    assert (orders["rows"], orders["range"], orders["newest"]) == (3, [["1"], ["3"]], 10_000)
    assert fingerprint.tables["shelf"]["range"] == [["2025-12-31", "9"], ["2026-01-01", "2"]]
    assert "newest" not in fingerprint.tables["twins"]
    assert "newest" not in whole.tables["orders"]
    assert compare(fingerprint, shop.server) == []
    shop.sql("UPDATE orders SET id = 9 WHERE id = 3; UPDATE versioned SET x = 0; UPDATE shelf SET x = 0", "copy")
    assert compare(fingerprint, shop.server) == [
        "orders: other first or last key",
        "shelf: checksum of the newest 5120 rows differs",
        "versioned: checksum of the newest 10000 rows differs",
    ]


def test_a_comparison_of_nothing_fails(copied: tuple[Shop, Fingerprint], tmp_path: Path) -> None:
    shop, _fingerprint = copied
    schema = "CREATE DATABASE larapos; CREATE TABLE larapos.notes (i INT) ENGINE = MyISAM"
    with ThrowawayServer(tmp_path / "other") as other:
        nothing = Shop(other, tmp_path, schema=schema).take(queries={}, receipt="")
    assert (nothing.inexact, list(nothing.tables)) == (["notes"], ["notes"])
    with pytest.raises(BackupError, match="nothing that can be compared") as caught:
        compare(nothing, shop.server)
    assert caught.value.reason == "nothing_to_compare"


def test_a_database_that_is_not_there_is_no_equal_one(known: tuple[Shop, Fingerprint]) -> None:
    shop, fingerprint = known
    with pytest.raises(BackupError, match="no such database"):
        compare(fingerprint, shop.server, "nowhere")

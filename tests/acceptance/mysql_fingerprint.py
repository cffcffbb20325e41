# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints of a real MySQL server: exact, equal after a restore, and never a burden for the shop."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _exact_snapshot
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import connect, identify
from ansible_collections.larapee.backup.plugins.module_utils._mysql._option_file import read_option_file
from tests.acceptance.mysql_shop import DATABASE, OPERATOR, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.larapee.backup.plugins.module_utils._fingerprint import Fingerprint
    from tests.engines.servers import MysqlServer

QUERIES = {"names": "SELECT name, COUNT(*) FROM order_items GROUP BY name"}
TYPES = """
CREATE TABLE everything (id INT PRIMARY KEY, f FLOAT, d DOUBLE, b BIT(64), y YEAR, t TIME(3), ts TIMESTAMP(6) NULL,
  bin VARBINARY(20), s SET('a', 'b'), j JSON, g GEOMETRY, v VECTOR(3), un BIGINT UNSIGNED,
  moment VARCHAR(30) AS (j->>'$.a') STORED, extra INT AS (id + 1) VIRTUAL);
INSERT INTO everything (id, f, d, b, y, t, ts, bin, s, j, g, v, un) VALUES
  (1, 0.1, 1e300 / 3, b'101', 2026, '-12:00:00.5', '2026-01-01 00:00:00.000001', x'00FF', 'a,b', '{"a": [1, 2.50]}',
   ST_GeomFromText('LINESTRING(0 0,1 1)'), STRING_TO_VECTOR('[1,2,3]'), 18446744073709551615),
  (2, 16777217, -0e0, ~0, NULL, NULL, NULL, '', '', 'null', ST_GeomFromText('POINT(1 2)', 4326), NULL, 0);
"""
CHANGES = {
    "one-cent": ("orders", "total = total + 0.01 WHERE id = 1"),
    "case-of-a-code": ("orders", "plain = 'DÉJÀ' WHERE id = 1"),
    "json": ("orders", """extra = '{"lines": [2, 1], "gross": 1.10}' WHERE id = 1"""),
    "json-number": ("everything", """j = '{"a": [1, 2.0]}' WHERE id = 1"""),
    "null-of-json": ("everything", "j = NULL WHERE id = 2"),
    "bit": ("everything", "b = b ^ 1 WHERE id = 2"),
    "shape": ("everything", "g = ST_GeomFromText('POINT(2 1)', 4326) WHERE id = 2"),
    "srid": ("everything", "g = ST_GeomFromText('POINT(1 2)', 0) WHERE id = 2"),
    "vector": ("everything", "v = STRING_TO_VECTOR('[1,2,4]') WHERE id = 1"),
    "invisible-column": ("orders", "hidden = 8 WHERE id = 1"),
    "sixth-digit-of-a-float": ("everything", "f = 0.100001 WHERE id = 1"),
    "microsecond": ("everything", "ts = '2026-01-01 00:00:00.000002' WHERE id = 1"),
    "empty-to-null": ("everything", "bin = NULL WHERE id = 2"),
}


def take(shop: Shop, *, limit: int = 2**31) -> Fingerprint:
    options = read_option_file(str(shop.operator_file))
    with connect(options) as connection:
        server = identify(connection)
    return _fingerprint.take(
        options,
        server,
        DATABASE,
        queries=QUERIES,
        receipt_query="SELECT MAX(id) FROM orders",
        checksums=True,
        limit_bytes=limit,
    )


def compare(expected: Fingerprint, server: MysqlServer) -> list[str]:
    connection = pymysql.connect(unix_socket=str(server.socket), user="root", charset="utf8mb4", autocommit=True)
    with connection:
        return _fingerprint.compare(expected, connection, DATABASE)


@contextmanager
def running(server: MysqlServer, statement: str) -> Iterator[subprocess.Popen[bytes]]:
    """A statement that runs while others try; ended with its client."""
    process = subprocess.Popen(server.client("mysql", DATABASE, "-e", statement))
    try:
        while "SLEEP" not in server.sql("SHOW PROCESSLIST").replace("SHOW PROCESSLIST", ""):
            assert process.poll() is None
            time.sleep(0.05)
        yield process
    finally:
        for line in server.sql("SHOW PROCESSLIST").splitlines():
            if "SLEEP" in line:
                server.sql(f"KILL {line.split()[0]}")
        process.wait()


def test_a_full_carries_one_that_agrees_after_the_restore(shop: Shop) -> None:
    shop.source.sql(TYPES, database=DATABASE)
    outcome = shop.dump(business_queries=QUERIES, receipt_query="SELECT MAX(id) FROM orders")
    assert outcome.manifest is not None
    assert [warning for warning in outcome.warnings if "ingerprint" in warning] == []
    told = outcome.manifest.document["fingerprint"]
    file, offset, *_rest = shop.source.sql("SHOW BINARY LOG STATUS").split("\t")
    executed = shop.source.sql("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')").strip()
    assert (told["file"], told["position"], told["gtid"], told["receipt"]) == (file, int(offset), executed, "3")
    assert outcome.manifest.document["snapshot_at"] > outcome.manifest.document["created_at"]
    (entry,) = _catalog.read_catalogue(str(shop.local)).entries
    found = _fingerprint.read_companion(entry, identity=shop.keys.identity)
    assert (shop.verify().failures, found.inexact, found.problems) == ([], [], ())
    shop.restore()
    assert compare(found, shop.target) == []
    assert compare(found, shop.source) == []


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_one_value_is_found(shop: Shop, change: str) -> None:
    shop.source.sql(TYPES, database=DATABASE)
    found = take(shop)
    assert compare(found, shop.source) == []
    table, assignment = CHANGES[change]
    shop.source.sql(f"UPDATE {table} SET {assignment}", database=DATABASE)
    assert compare(found, shop.source) == [f"{table}: checksum differs"]


def test_above_the_limit_the_newest_rows_are_summed_up(shop: Shop) -> None:
    found = take(shop, limit=0)
    assert found.tables["order_items"]["newest"] > 1000
    assert found.tables["order_items"]["range"] == [["1"], ["3"]]
    assert compare(found, shop.source) == []


def test_its_position_is_exact_while_the_shop_sells(shop: Shop) -> None:
    """Built anew from the binary log up to there by the stock client, the database is equal."""
    shop.source.sql("RESET BINARY LOGS AND GTIDS")
    shop.source.sql("DROP DATABASE larapos")
    shop = Shop(source=shop.source, target=shop.target, keys=shop.keys, root=shop.root)
    shop.source.sql("CREATE TABLE twins (a INT, b CHAR(36))", database=DATABASE)
    stop = threading.Event()

    def sell() -> None:
        sale = "BEGIN; INSERT INTO orders (total, note) VALUES (RAND() * 99, UUID()); "
        sale += "INSERT INTO twins SELECT MAX(id), UUID() FROM orders; COMMIT;"
        while not stop.is_set():
            subprocess.run(
                shop.source.client("mysql", "--force", DATABASE),
                input=sale.encode() * 50,
                capture_output=True,
                check=False,
            )

    sellers = [threading.Thread(target=sell) for _till in range(3)]
    for seller in sellers:
        seller.start()
    try:
        time.sleep(0.5)
        taken = [take(shop) for _each in range(3)]
    finally:
        stop.set()
        for seller in sellers:
            seller.join()
    assert taken[0].tables["twins"]["rows"] < taken[-1].tables["twins"]["rows"]
    for found in taken:
        log = shop.source.directory / "data" / found.file
        argv = ["/usr/bin/mysqlbinlog", "--no-defaults", "--skip-gtids", f"--stop-position={found.position}", str(log)]
        text = subprocess.run(argv, check=True, capture_output=True).stdout
        shop.target.sql(f"DROP DATABASE IF EXISTS {DATABASE}; DROP USER IF EXISTS {OPERATOR}")
        subprocess.run(
            shop.target.client("mysql", "--force", "--binary-mode"), input=text, capture_output=True, check=False
        )
        assert compare(found, shop.target) == []


def test_a_long_statement_costs_the_fingerprint_and_not_the_full_nor_the_shop(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact_snapshot, "_PAUSE_SECONDS", 0.2)
    with running(shop.source, "UPDATE baskets SET extra = NULL WHERE id = 1 AND SLEEP(60)"):
        started = time.monotonic()
        with pytest.raises(BackupError, match="A long statement runs") as caught:
            take(shop)
        assert (caught.value.reason, time.monotonic() - started < 10) == ("no_fingerprint", True)
        began = time.monotonic()
        shop.source.sql("INSERT INTO emptied VALUES (1)", database=DATABASE)
        assert time.monotonic() - began < 1
    assert compare(take(shop), shop.source) == []


@pytest.mark.parametrize(
    ("privilege", "advice"),
    [("FLUSH_TABLES", "Grant FLUSH_TABLES"), ("REPLICATION CLIENT", "Grant REPLICATION CLIENT")],
)
def test_each_missing_grant_is_named(shop: Shop, privilege: str, advice: str) -> None:
    shop.source.sql(f"REVOKE {privilege} ON *.* FROM {OPERATOR}")
    with pytest.raises(BackupError, match=advice) as caught:
        take(shop)
    assert caught.value.reason == "no_fingerprint"
    shop.source.sql("INSERT INTO emptied VALUES (1)", database=DATABASE)


def test_a_migration_does_not_wait_for_a_table_that_was_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop every sale behind it; the fingerprint is taken anew instead."""
    real = _fingerprint._ask_all
    asked: list[int] = []

    def migrating(*arguments: object) -> object:
        if not asked:
            statement = "SET lock_wait_timeout = 1; ALTER TABLE order_items ADD COLUMN later INT, ALGORITHM = COPY"
            shop.source.sql(statement, database=DATABASE)
        asked.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_fingerprint, "_ask_all", migrating)
    found = take(shop)
    monkeypatch.undo()
    assert len(asked) == 2
    assert compare(found, shop.source) == []


def test_without_gtids_the_position_is_that_of_the_file(make_server: type, shop: Shop) -> None:
    with make_server("--server-id=7", "--gtid-mode=OFF") as server:
        own = Shop(source=server, target=server, keys=shop.keys, root=shop.root)
        found = take(own)
        file, offset, *_rest = server.sql("SHOW BINARY LOG STATUS").split("\t")
        assert (found.file, found.position, found.gtid) == (file, int(offset), "")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a fingerprint while the shop works: its position is exact, and nothing waits for it."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _checksum, _contents
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import sql
from tests.pitr.fingerprints import EVERYTHING, Shop, compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALE = (
    "INSERT INTO orders (till, number, total, note) VALUES (3, UUID(), RAND() * 100, REPEAT('x', RAND() * 500))",
    "UPDATE shelf SET x = x + 1 WHERE place = 1",
    "DELETE FROM twins WHERE n > 3 ORDER BY n LIMIT 1",
    "INSERT INTO twins SELECT 'x', '', MAX(id) FROM orders",
    "DO NEXTVAL(receipts)",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("shop"), extra_args=["--binlog-format=ROW"]) as started:
        yield started


@pytest.fixture
def shop(server: ThrowawayServer, tmp_path: Path) -> Shop:
    return Shop(server, tmp_path)


@contextmanager
def selling(shop: Shop, tills: int = 4) -> Iterator[None]:
    """Each sale is one transaction over three tables."""
    stop = threading.Event()

    def sell() -> None:
        connection = shop.server.connect(database="larapos")
        with connection, connection.cursor() as cursor:
            while not stop.is_set():
                try:
                    connection.begin()
                    for statement in SALE:
                        cursor.execute(statement)
                    connection.commit()
                except pymysql.OperationalError:
                    # A deadlock, as tills have them.
                    connection.rollback()

    threads = [threading.Thread(target=sell) for _till in range(tills)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def replay(shop: Shop, target: ThrowawayServer, *, file: str, position: int) -> None:
    """Build the database anew from the first byte of the binary log to *position*, by the stock client."""
    first = shop.sql("SHOW BINARY LOGS").split()[0]
    assert file == first, "the log was rotated"
    log = shop.server.datadir / file
    text = subprocess.run(
        ["mariadb-binlog", "--no-defaults", f"--stop-position={position}", str(log)], check=True, capture_output=True
    ).stdout
    sql(target, "DROP DATABASE IF EXISTS larapos; RESET MASTER")
    client = ["mariadb", "--no-defaults", f"--socket={target.socket}", "--user=root", "--binary-mode"]
    subprocess.run([*client, "--max-allowed-packet=1G"], input=text, check=True)


def test_its_position_is_exact_while_the_shop_sells(shop: Shop, tmp_path: Path) -> None:
    taken = []
    with selling(shop):
        for _each in range(4):
            taken.append(shop.take())
            time.sleep(0.2)
    assert [each.position for each in taken] == sorted({each.position for each in taken})
    assert taken[0].tables["orders"]["rows"] < taken[-1].tables["orders"]["rows"]
    with ThrowawayServer(tmp_path / "target", server_id=2) as target:
        for each in taken:
            replay(shop, target, file=each.file, position=each.position)
            assert compare(each, target, "larapos") == []
            assert sql(target, "SELECT @@gtid_binlog_pos").split("-")[2].strip() == each.gtid.split("-")[2]
        assert len(compare(taken[0], target, "larapos")) >= 2, "the comparison sees nothing"


def test_a_sequence_that_moves_just_then_is_not_compared(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _contents.read_sequences

    def moving(*arguments: object) -> dict[str, int]:
        found = real(*arguments)  # type: ignore[arg-type]
        shop.sql("SELECT NEXTVAL(receipts) FROM seq_1_to_11")
        return found

    monkeypatch.setattr(_contents, "read_sequences", moving)
    found = shop.take()
    monkeypatch.undo()
    assert found.inexact == ["notes", "receipts"]
    assert compare(found, shop.server, "larapos") == []


def test_definitions_that_change_meanwhile_are_read_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = iter(["ALTER TABLE shelf ADD COLUMN later INT DEFAULT 5", "TRUNCATE twins", "ALTER TABLE wide DROP c7"])
    real = _contents.Reader

    def changing(*arguments: object) -> _contents.Reader:
        statement = next(changes, None)
        if statement:
            shop.sql(statement)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_contents, "Reader", changing)
    with pytest.raises(BackupError, match="definitions changed during each of 3 attempts") as caught:
        shop.take()
    assert caught.value.reason == "schema_changed"
    found = shop.take()
    monkeypatch.undo()
    assert compare(found, shop.server, "larapos") == []
    assert found.tables["twins"]["rows"] == 0


def test_a_large_table_does_not_take_longer_than_its_limit_allows(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE large (id INT PRIMARY KEY, x CHAR(200), y CHAR(200));"
        " INSERT INTO large SELECT seq, MD5(seq), SHA1(seq) FROM seq_1_to_300000; ANALYZE TABLE large"
    )
    started = time.monotonic()
    whole = shop.take()
    middle = time.monotonic()
    newest = shop.take(limit=20 * 2**20)
    end = time.monotonic()
    assert "newest" not in whole.tables["large"]
    assert newest.tables["large"]["newest"] == 10_000
    assert {name: facts for name, facts in newest.tables.items() if name != "large"} == {
        name: facts for name, facts in whole.tables.items() if name != "large"
    }
    assert end - middle < (middle - started) / 2, (middle - started, end - middle)
    shop.sql("UPDATE large SET x = '' WHERE id = 290001")
    assert compare(newest, shop.server, "larapos") == ["large: checksum of the newest 10000 rows differs"]
    assert compare(whole, shop.server, "larapos") == ["large: checksum differs"]


def test_a_sum_that_takes_too_long_is_left_to_the_newest_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_contents, "_SUMS_SECONDS", 3)
    real = _checksum.whole_query

    def slow(database: str, table: _checksum.Table) -> str:
        return real(database, table) + (" WHERE SLEEP(5) = 0" if table.name == "shelf" else "")

    monkeypatch.setattr(_contents, "whole_query", slow)
    started = time.monotonic()
    found = shop.take()
    assert time.monotonic() - started < 5
    monkeypatch.undo()
    assert "newest" in found.tables["shelf"]
    assert compare(found, shop.server, "larapos") == []


def test_a_table_that_takes_too_long_to_compare_is_not_taken_for_equal(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shop.take()
    monkeypatch.setattr(_contents, "_COMPARE_SECONDS", 1)
    monkeypatch.setattr(_contents, "whole_query", lambda *_each: "SELECT SLEEP(9), 1 FROM twins")
    assert compare(found, shop.server, "larapos")[0] == "emptied: could not be compared in time"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DELETE FROM orders", "not a SELECT"),
        ("SELECT 1; DROP TABLE orders", "more than one statement"),
        ("/*!50000 DELETE FROM orders */", "not a SELECT"),
        ("SELECT /*M!100000 NEXTVAL(receipts), */ 1", "a comment that is executed"),
        ("SELECT 1 INTO OUTFILE '/tmp/larapee-x'", "more than read"),
        ("SELECT * FROM orders FOR UPDATE", "more than read"),
        ("SELECT NEXTVAL(receipts)", "READ ONLY"),
        ("WITH x AS (SELECT 1) DELETE FROM orders", "syntax"),
        ("SELECT * FROM nowhere", "doesn't exist"),
        ("SELECT seq FROM seq_1_to_1001", "more than 1000 rows"),
        ("SELECT REPEAT('x', 2000) FROM seq_1_to_600", "more than 1048576 characters"),
        ("SELECT SLEEP(9), 1 FROM seq_1_to_9", "max_statement_time"),
        ("SELECT larapos_x.f()", "denied"),
    ],
)
def test_a_query_that_does_more_or_gives_too_much_is_left_out_and_said(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, query: str, why: str
) -> None:
    monkeypatch.setattr(_fingerprint, "_QUERY_SECONDS", 1)
    before = shop.sql("SELECT COUNT(*) FROM orders")
    started = time.monotonic()
    found = shop.take(
        queries={"asked": query, "later": "SELECT 'a;b' AS `into`, id FROM orders -- for update"}, receipt=query
    )
    assert time.monotonic() - started < 20
    assert list(found.queries) == ["later"]
    assert [len(found.problems), found.receipt] == [2, None]
    assert all(why in problem for problem in found.problems), found.problems
    assert shop.sql("SELECT COUNT(*) FROM orders") == before
    assert found.tables["orders"]["checksum"]


def test_answers_are_texts_whatever_the_types(shop: Shop) -> None:
    query = "SELECT 1.50, 0.00000001, 1e300, NULL, '', x'00ff', DATE '2026-01-02', TIME '-12:00:00.5', 2.5e0, NOW() < 1"
    found = shop.take(queries={"q": query, "z": "SELECT @@session.time_zone"}, receipt="SELECT '  '")
    assert found.queries["z"] == [["+00:00"]]
    assert found.queries["q"][0][:7] == ["1.50", "0.00000001", "1e+300", None, "", "0x00ff", "2026-01-02"]
    assert found.receipt == "  "
    assert compare(found, shop.server, "larapos") == []


@pytest.mark.parametrize(
    ("query", "receipt", "why"),
    [
        ("SELECT number FROM orders WHERE id < 0", None, None),
        ("SELECT MAX(id) FROM emptied", None, None),
        ("SELECT 2, 'B-17' UNION SELECT 1, 'B-4' UNION SELECT 3, NULL", "1: B-4, 2: B-17, 3: none", None),
        ("SELECT id, number, 1 FROM orders LIMIT 1", None, "more than one value"),
        ("SELECT seq, seq FROM seq_1_to_65", None, "at most 64 tills"),
        ("SELECT 1, REPEAT('x', 101)", None, "at most 100 characters"),
        ("SELECT id FROM orders", None, "more than one value"),
        ("SELECT REPEAT('x', 100)", "x" * 100, None),
        ("SELECT REPEAT('x', 101)", None, "at most 100 characters"),
        ("SELECT 'a\\nb'", None, "no line"),
    ],
)
def test_a_receipt_is_one_short_line(shop: Shop, query: str, receipt: str | None, why: str | None) -> None:
    found = shop.take(queries={}, receipt=query)
    assert found.receipt == receipt
    assert [why is None or why in problem for problem in found.problems] == ([True] if why else [])


def test_the_operators_least_grants_are_enough_and_without_select_it_says_so(shop: Shop) -> None:
    shop.sql("REVOKE RELOAD ON *.* FROM 'larapee-backup'@'localhost'")
    assert compare(shop.take(), shop.server, "larapos") == []
    shop.sql("REVOKE SELECT ON larapos.* FROM 'larapee-backup'@'localhost'")
    with pytest.raises(BackupError, match="denied"):
        shop.take()


def test_hidden_rows_are_refused(shop: Shop) -> None:
    shop.sql("SET GLOBAL sql_select_limit = 1")
    try:
        with pytest.raises(BackupError, match="sql_select_limit is 1") as caught:
            shop.take()
        assert caught.value.reason == "limited_session"
    finally:
        shop.sql("SET GLOBAL sql_select_limit = DEFAULT")


def test_rows_that_cannot_be_digested_are_no_silent_equality(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE broad (id INT PRIMARY KEY, x VARCHAR(9000) CHARACTER SET latin1);"
        " SET GLOBAL max_allowed_packet = 16384; RESET MASTER"
    )
    shop.sql("INSERT INTO broad VALUES (1, REPEAT('x', 9000))")
    try:
        with pytest.raises(BackupError, match="the server gives no hash") as caught:
            shop.take()
        assert caught.value.reason == "no_fingerprint"
        assert shop.take(checksums=False).tables["broad"]["rows"] == 1
    finally:
        shop.sql("SET GLOBAL max_allowed_packet = DEFAULT")


def test_without_a_binary_log_there_is_none(tmp_path: Path) -> None:
    with ThrowawayServer(tmp_path / "other", log_bin=False) as other:
        sql(other, "CREATE DATABASE larapos; CREATE TABLE larapos.t (i INT)")
        shop = Shop.__new__(Shop)
        shop.server = other
        shop.options = {"user": "root", "socket": str(other.socket)}
        with pytest.raises(BackupError, match="writes no binary log") as caught:
            shop.take(queries={}, receipt="", limit=EVERYTHING)
    assert caught.value.reason == "no_fingerprint"

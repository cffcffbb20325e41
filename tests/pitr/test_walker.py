# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walker against what a real server writes: every file, every transaction, every way a file ends."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError
from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Group, LogFacts, Walker
from larapee_runner.demo.server import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK = 256 * 1024
EVERYTHING = (
    "CREATE OR REPLACE DATABASE shop",
    "USE shop",
    "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT, b LONGBLOB) ENGINE=InnoDB",
    "CREATE TABLE m (id INT) ENGINE=MyISAM",
    "INSERT INTO t (v) VALUES ('one'), ('two')",
    "INSERT INTO t (v, b) VALUES ('large', REPEAT('ab', 1500000))",
    # Not logged after the savepoint that is rolled back to; the other engine's row is.
    "BEGIN",
    "INSERT INTO t (v) VALUES ('three')",
    "SAVEPOINT s",
    "UPDATE t SET v = 'lost'",
    "ROLLBACK TO s",
    "INSERT INTO m VALUES (1)",
    "INSERT INTO t (v) VALUES ('four')",
    "COMMIT",
    "BEGIN",
    "INSERT INTO m VALUES (2)",
    "INSERT INTO t (v) VALUES ('rolled back')",
    "ROLLBACK",
    "BEGIN",
    "INSERT INTO t (v) VALUES ('kept')",
    "SAVEPOINT s",
    "INSERT INTO m VALUES (3)",
    "INSERT INTO t (v) VALUES ('undone in the log')",
    "ROLLBACK TO s",
    "COMMIT",
    "XA START 'x'",
    "INSERT INTO t (v) VALUES ('prepared')",
    "XA END 'x'",
    "XA PREPARE 'x'",
    "XA COMMIT 'x'",
    "XA START 'y'",
    "INSERT INTO t (v) VALUES ('given up')",
    "XA END 'y'",
    "XA PREPARE 'y'",
    "XA ROLLBACK 'y'",
    "XA START 'z'",
    "INSERT INTO t (v) VALUES ('one phase')",
    "XA END 'z'",
    "XA COMMIT 'z' ONE PHASE",
    "CREATE TABLE copied ENGINE=InnoDB AS SELECT * FROM m",
    "CREATE OR REPLACE TABLE copied ENGINE=MyISAM AS SELECT * FROM m",
    "SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE t ADD COLUMN n INT",
    "SET binlog_alter_two_phase=1",
    "ALTER TABLE t DROP COLUMN n",
    "CREATE SEQUENCE q",
    "SELECT NEXTVAL(q)",
    "CREATE TRIGGER g AFTER DELETE ON t FOR EACH ROW INSERT INTO m VALUES (OLD.id)",
    "DELETE FROM t WHERE v = 'one'",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE TEMPORARY TABLE brief (i INT)",
    "INSERT INTO brief VALUES (1)",
    "DROP TEMPORARY TABLE brief",
    "ANALYZE TABLE t",
    "CREATE USER IF NOT EXISTS walker",
    "GRANT SELECT ON shop.* TO walker",
    "TRUNCATE m",
    "DROP TABLE copied",
    "SET gtid_domain_id = 77, server_id = 9",
    "INSERT INTO m VALUES (4)",
)
EVENTS = (
    "CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY COMMENT 'long enough to be worth compressing' DO SET @a=1",
    "ALTER EVENT shop.e DISABLE",
    "DROP EVENT shop.e",
)


@dataclasses.dataclass
class Walked:
    """One file of the server as its own client fetched it."""

    path: Path
    facts: LogFacts
    groups: list[Group]


def sql(server: ThrowawayServer, *statements: str) -> tuple[tuple[object, ...], ...]:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


def value(server: ThrowawayServer, statement: str) -> str:
    return str(sql(server, statement)[0][0])


def sizes(server: ThrowawayServer) -> dict[str, int]:
    return {str(row[0]): int(str(row[1])) for row in sql(server, "SHOW BINARY LOGS")}


def client(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mariadb-binlog", "--no-defaults", *map(str, arguments)], capture_output=True, text=True)


def fetch(server: ThrowawayServer, name: str, directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    login = ("--user=root", f"--socket={server.socket}")
    done = client(*login, "--read-from-remote-server", "--raw", f"--result-file={directory}/", name)
    assert done.returncode == 0, done.stderr
    return directory / name


def feed(walker: Walker, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            walker.feed(block)


def walk(path: Path) -> Walked:
    groups: list[Group] = []
    walker = Walker("mariadb", on_group=groups.append)
    feed(walker, path)
    return Walked(path, walker.close(), groups)


def gtid_lines(path: Path) -> list[tuple[int, str]]:
    """Where the server's own client finds transactions."""
    shown = subprocess.run(["mariadb-binlog", "--no-defaults", path], capture_output=True, check=True).stdout
    found = re.findall(rb"^# at (\d+)\n#[^\n]*\tGTID (\d+-\d+-\d+)", shown, re.MULTILINE)
    return [(int(at), gtid.decode()) for at, gtid in found]


def agree(server: ThrowawayServer, directory: Path) -> list[Walked]:
    """Walk through all files of *server*, and compare with what it and its client say."""
    expected = sizes(server)
    files = [walk(fetch(server, name, directory)) for name in expected]
    for file in files:
        assert file.facts.size == file.facts.complete_to == expected[file.path.name]
        assert [(group.start, group.gtid) for group in file.groups] == gtid_lines(file.path)
        assert file.facts.groups == len(file.groups)
        assert not file.facts.went_back
    for file, following in zip(files, files[1:], strict=False):
        assert following.facts.before == file.facts.after
        assert file.facts.next_file in (None, following.path.name)
    assert str(files[0].facts.before) == ""
    last = sorted(value(server, "SELECT @@gtid_binlog_pos").split(","), key=lambda gtid: int(gtid.split("-")[0]))
    assert str(files[-1].facts.after) == ",".join(last)
    return files


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path / "server") as running:
        yield running


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("checksum", ["CRC32", "NONE"])
def test_every_kind_of_transaction(server: ThrowawayServer, tmp_path: Path, checksum: str, compressed: bool) -> None:
    sql(server, f"SET GLOBAL log_bin_compress={int(compressed)}, GLOBAL log_bin_compress_min_len=10")
    sql(server, f"SET GLOBAL binlog_checksum={checksum}")
    sql(server, *EVERYTHING)
    sql(server, "FLUSH BINARY LOGS", *EVENTS)
    files = agree(server, tmp_path / "fetched")
    assert sum(file.facts.groups for file in files) > 30
    assert {file.facts.end for file in files[:-1]} == {"rotate"}
    assert not any(file.facts.has_statements for file in files)
    assert files[-1].facts.definitions == len(EVENTS)
    assert [text.split()[0] for _database, text in files[-1].facts.event_statements] == ["CREATE", "ALTER", "DROP"]
    assert {group.server_id for file in files for group in file.groups} == {1, 9}
    assert [file.facts.after_start for file in files] == [True] + [False] * (len(files) - 1)
    assert abs(files[-1].groups[-1].at - time.time()) < 60


@pytest.mark.parametrize("form", ["STATEMENT", "MIXED"])
def test_changes_logged_as_text_are_told(server: ThrowawayServer, tmp_path: Path, form: str) -> None:
    sql(server, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT)", "FLUSH BINARY LOGS")
    sql(server, f"SET binlog_format={form}", "SET @n=7", "INSERT INTO shop.t VALUES (@n)")
    assert [file.facts.has_statements for file in agree(server, tmp_path / "fetched")] == [False, True]


def test_a_stop_and_a_restart(server: ThrowawayServer, tmp_path: Path) -> None:
    sql(server, "CREATE DATABASE shop")
    server.stop()
    server.start()
    sql(server, "CREATE DATABASE shop2")
    first, second = agree(server, tmp_path / "fetched")
    assert (first.facts.end, first.facts.next_file) == ("stop", None)
    assert (second.facts.end, second.facts.after_start) == ("open", True)


def test_a_server_that_was_killed(server: ThrowawayServer, tmp_path: Path) -> None:
    sql(server, "CREATE DATABASE shop")
    server.kill()
    server.start()
    first, second = agree(server, tmp_path / "fetched")
    assert (first.facts.end, first.facts.groups, second.facts.after_start) == ("open", 1, True)
    # The server's own copy still says that it is in use.
    own = walk(server.datadir / first.path.name)
    assert own.path.read_bytes() != first.path.read_bytes()
    assert own.facts == first.facts


def test_a_server_killed_in_the_middle_of_an_event(server: ThrowawayServer, tmp_path: Path) -> None:
    sql(server, "CREATE DATABASE shop", "CREATE TABLE shop.t (b LONGBLOB)", "INSERT INTO shop.t VALUES ('small')")
    log = server.datadir / "mysql-bin.000001"
    before = log.stat().st_size

    def write() -> None:
        with pytest.raises(pymysql.err.OperationalError, match="Lost connection"):
            sql(server, "INSERT INTO shop.t VALUES (REPEAT('x', 200 << 20))")

    writer = threading.Thread(target=write)
    writer.start()
    while log.stat().st_size < before + (1 << 20):
        assert writer.is_alive()
    server.kill()
    writer.join()
    server.start()
    torn = server.datadir / "mysql-bin.000001"
    assert before < torn.stat().st_size < before + (200 << 20)
    walker = Walker("mariadb")
    feed(walker, torn)
    with pytest.raises(BinlogError, match="cut off"):
        walker.close()
    facts = walker.facts()
    assert (facts.complete_to, facts.groups, facts.end) == (before, 3, "open")
    following = walk(fetch(server, "mysql-bin.000002", tmp_path / "fetched"))
    assert following.facts.before == facts.after
    assert value(server, "SELECT COUNT(*) FROM shop.t") == "1"


def test_logs_encrypted_on_disk_come_in_clear_through_the_server(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1;770A8A65DA156D24EE2A093277530142\n")
    options = ("--plugin-load-add=file_key_management", f"--file-key-management-filename={keys}", "--encrypt-binlog")
    with ThrowawayServer(tmp_path / "server", extra_args=options) as server:
        sql(server, *EVERYTHING)
        sql(server, "FLUSH BINARY LOGS")
        own = Walker("mariadb")
        with pytest.raises(BinlogError, match="encrypted; read it through the server"):
            feed(own, server.datadir / "mysql-bin.000001")
        agree(server, tmp_path / "fetched")


def test_a_transaction_cut_off_between_two_events(server: ThrowawayServer, tmp_path: Path) -> None:
    """The replay client ends well with half of it, and commits that half with the next file."""
    sql(server, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT)", "BEGIN", "INSERT INTO shop.t VALUES (1)")
    sql(server, "BEGIN", "INSERT INTO shop.t VALUES (2)", "INSERT INTO shop.t VALUES (3)", "COMMIT")
    whole = walk(fetch(server, "mysql-bin.000001", tmp_path / "fetched"))
    half = tmp_path / "mysql-bin.000001"
    # An Xid event is 31 bytes long.
    half.write_bytes(whole.path.read_bytes()[: whole.groups[-1].end - 31])
    assert client("--verify-binlog-checksum", half).returncode == 0
    facts = walk(half).facts
    assert facts.complete_to == whole.groups[-2].end < facts.size
    assert facts.groups == whole.facts.groups - 1


def test_it_is_faster_than_a_disk_is_filled(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    fast = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--max-binlog-size=1G")
    with ThrowawayServer(tmp_path / "server", extra_args=fast) as server:
        sql(
            server,
            "CREATE DATABASE shop",
            "USE shop",
            "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, k INT, note VARCHAR(400), price DECIMAL(12,2))",
            "CREATE TABLE l (id INT PRIMARY KEY AUTO_INCREMENT, t INT, note VARCHAR(400), price DECIMAL(12,2))",
            "CREATE PROCEDURE fill(n INT) BEGIN DECLARE i INT DEFAULT 0; DECLARE j INT; WHILE i < n DO"
            " START TRANSACTION; INSERT INTO t (k, note, price) VALUES (i, REPEAT('x', 150), i); SET j = 0;"
            " WHILE j < 5 DO INSERT INTO l (t, note, price) VALUES (i, REPEAT('y', 200), j); SET j = j + 1; END WHILE;"
            " UPDATE t SET price = price + 1 WHERE id = LAST_INSERT_ID(); COMMIT; SET i = i + 1; END WHILE; END",
            "CALL fill(40000)",
            "FLUSH BINARY LOGS",
        )
        path = server.datadir / "mysql-bin.000001"
        began = time.process_time()
        walked = walk(path)
        spent = time.process_time() - began
    speed = walked.facts.size / spent / 1e6
    record_property("megabytes_per_processor_second", round(speed))
    assert walked.facts.groups == 40004
    assert speed > 40, f"{walked.facts.size} bytes: {speed:.0f} MB a second of processor time"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _process
from ansible_collections.larapee.backup.plugins.module_utils._digest import Ends
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _dump_client
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server
from ansible_collections.larapee.backup.plugins.module_utils._mysql._dump_client import Coordinates, DumpClient
from ansible_collections.larapee.backup.plugins.module_utils._pipeline import StageResult

# From `--version` of mariadb-dump 10.11.19-MariaDB-0+deb12u1, recorded 2026-11-22; MySQL's from its documentation.
MARIADB_VERSION = "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)"
MYSQL_VERSION = "mysqldump  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)"
MARIADB = DumpClient(path="/usr/bin/mariadb-dump", engine="mariadb", version=MARIADB_VERSION)
MYSQL = DumpClient(path="/usr/bin/mysqldump", engine="mysql", version=MYSQL_VERSION)
RECORDED = Path(__file__).with_name("recorded").joinpath("mariadb-dump-10.11.19.sql").read_bytes()


def server(engine: str, *, log_bin: bool = True) -> Server:
    return Server(engine=engine, version="10.11.19-MariaDB", server_id=1, log_bin=log_bin)


def arguments(client: DumpClient, *, log_bin: bool = True, database: str = "larapos") -> tuple[str, ...]:
    command = _dump_client.dump_command(
        client,
        server(client.engine, log_bin=log_bin),
        option_file="/etc/operator.cnf",
        options={"socket": "/run/db.sock"},
        database=database,
    )
    return command.argv


def test_the_option_file_comes_first_and_the_database_last() -> None:
    argv = arguments(MARIADB)
    assert argv[:2] == ("/usr/bin/mariadb-dump", "--defaults-file=/etc/operator.cnf")
    assert argv[2:4] == ("--protocol=SOCKET", "--socket=/run/db.sock")
    assert argv[-2:] == ("--", "larapos")


def test_a_database_that_looks_like_an_option_is_none() -> None:
    assert arguments(MARIADB, database="--all-databases")[-2:] == ("--", "--all-databases")


@pytest.mark.parametrize("client", [MARIADB, MYSQL])
def test_a_dump_is_consistent_and_whole(client: DumpClient) -> None:
    wanted = {"--single-transaction", "--routines", "--events", "--triggers", "--hex-blob", "--tz-utc"}
    assert wanted <= set(arguments(client))


@pytest.mark.parametrize(
    ("client", "option"), [(MARIADB, "--master-data=2"), (MYSQL, "--source-data=2"), (MARIADB, "--gtid")]
)
def test_coordinates_are_asked_for_only_where_there_is_a_binary_log(client: DumpClient, option: str) -> None:
    assert option in arguments(client)
    assert option not in arguments(client, log_bin=False)


def test_no_argument_holds_a_password() -> None:
    assert not [each for each in arguments(MARIADB) if "password" in each]


@pytest.mark.parametrize(
    ("tail", "whole"),
    [
        (b"*/;\n\n-- Dump completed on 2026-11-22 17:34:34\n", True),
        (b"-- Dump completed\n", True),
        (b"-- Dump completed on 2026-11-22 17:34:34", True),
        (b"\r\n-- Dump completed on 2026-11-22 17:34:34\r\n\n", True),
        (b"", False),
        (b"INSERT INTO `t` VALUES (1);\n", False),
        (b"-- Dump compl", False),
        (b"(1,'-- Dump completed on 2026-11-22');\n", False),
        (b"BEGIN\n-- Dump completed\nSELECT 1;\n", False),
    ],
)
def test_a_dump_is_whole_only_with_its_mark_at_the_very_end(tail: bytes, whole: bool) -> None:
    if whole:
        _dump_client.check_trailer(tail)
        return
    with pytest.raises(BackupError, match="cut short") as caught:
        _dump_client.check_trailer(tail)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("missing", range(1, 60))
def test_a_recorded_dump_is_not_whole_without_its_last_bytes(missing: int) -> None:
    _dump_client.check_trailer(RECORDED[-4096:])
    kept = RECORDED[: -missing - len(b" on 2026-11-22 17:34:34\n")]
    with pytest.raises(BackupError):
        _dump_client.check_trailer(kept[-4096:])


def ends(text: bytes) -> Ends:
    seen = Ends()
    for start in range(0, len(text), 1000):
        seen.feed(memoryview(text[start : start + 1000]))
    return seen


def test_the_coordinates_of_a_recorded_dump_are_read() -> None:
    seen = ends(RECORDED.replace(b"INSERT INTO `orders`", b"-- " + b"x" * 200_000 + b"\nINSERT INTO `orders`"))
    found = _dump_client.read_coordinates(MARIADB, head=seen.head, tail=seen.tail)
    assert found is not None
    assert found.file == "mysql-bin.000001"
    assert found.position > 4
    assert found.gtid is not None
    assert found.gtid.startswith("1-1-")


@pytest.mark.parametrize(
    ("log_bin", "gtid", "option"),
    [(True, True, "COMMENTED"), (True, False, "OFF"), (False, True, "OFF"), (False, False, "OFF")],
)
def test_gtids_are_asked_for_only_where_mysql_numbers_transactions(log_bin: bool, gtid: bool, option: str) -> None:
    """With gtid_mode=OFF, the default of 8.0, the client calls COMMENTED an error; seen on 9.7."""
    there = Server(engine="mysql", version="8.0.40", server_id=1, log_bin=log_bin, gtid=gtid)
    argv = _dump_client.dump_command(MYSQL, there, option_file="/f", options={}, database="larapos").argv
    assert [part for part in argv if "gtid" in part] == [f"--set-gtid-purged={option}"]


# Lines as the documentation of mysqldump 8.4 describes them (--source-data, --set-gtid-purged=COMMENTED).
MYSQL_HEAD = b"""-- MySQL dump 10.13  Distrib 8.4.3, for Linux (x86_64)
--
-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='binlog.000042', SOURCE_LOG_POS=157;

/* SET @@GLOBAL.GTID_PURGED='+3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,
4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7';*/
"""


@pytest.mark.parametrize(
    ("client", "head", "tail", "found"),
    [
        (MYSQL, b"", b"", None),
        (MARIADB, b"-- CHANGE MASTER TO MASTER_LOG_FILE='b.7', MASTER_LOG_POS=4;\n", b"", Coordinates("b.7", 4, None)),
        (MARIADB, b"(1,'-- CHANGE MASTER TO MASTER_LOG_FILE=\\'b.7\\', MASTER_LOG_POS=4;');\n", b"", None),
        (
            MARIADB,
            b"-- CHANGE MASTER TO MASTER_LOG_FILE='b.7', MASTER_LOG_POS=4;\n",
            b"-- SET GLOBAL gtid_slave_pos='0-1-7,1-1-9';\n",
            Coordinates("b.7", 4, "0-1-7,1-1-9"),
        ),
        (
            MYSQL,
            MYSQL_HEAD,
            b"",
            Coordinates(
                "binlog.000042",
                157,
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7",
            ),
        ),
        (
            MYSQL,
            MYSQL_HEAD.replace(b"/* SET @@GLOBAL.GTID_PURGED='+", b"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '"),
            b"",
            Coordinates(
                "binlog.000042",
                157,
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7",
            ),
        ),
    ],
)
def test_coordinates_are_read_from_comments_only(
    client: DumpClient, head: bytes, tail: bytes, found: Coordinates | None
) -> None:
    assert _dump_client.read_coordinates(client, head=head, tail=tail) == found


PARTIAL = "Warning: A partial dump from a server that has GTIDs will by default include the GTIDs of all transactions."


@pytest.mark.parametrize(
    ("client", "stderr", "harmless"),
    [
        (MARIADB, "", True),
        (MARIADB, "\n  \n", True),
        (MYSQL, PARTIAL, True),
        (MARIADB, PARTIAL, False),
        (MYSQL, f'{PARTIAL}\nmysqldump: Couldn\'t find table: "orders"', False),
        (MARIADB, "mariadb-dump: Error: 'Access denied' when trying to dump tablespaces", False),
        (MARIADB, "-- Warning: column statistics", False),
    ],
)
def test_what_the_client_says_fails_the_dump_unless_it_is_known(
    client: DumpClient, stderr: str, harmless: bool
) -> None:
    result = StageResult("the dump client", 0, stderr)
    if harmless:
        _dump_client.check_messages(client, result)
        return
    with pytest.raises(BackupError) as caught:
        _dump_client.check_messages(client, result)
    assert caught.value.reason == "dump_message"
    assert stderr.splitlines()[-1] in str(caught.value)


def fake_tool(directory: Path, name: str, version: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_process, "_STANDARD_DIRECTORIES", ())
    return tmp_path


def test_the_client_of_the_servers_own_vendor_is_chosen(tools: Path) -> None:
    fake_tool(tools, "mariadb-dump", MARIADB_VERSION)
    fake_tool(tools, "mysqldump", MYSQL_VERSION)
    assert _dump_client.find_client(server("mariadb")).version == MARIADB_VERSION
    assert _dump_client.find_client(server("mysql")).path == str(tools / "mysqldump")


@pytest.mark.parametrize(("engine", "version"), [("mysql", MARIADB_VERSION), ("mariadb", MYSQL_VERSION)])
def test_the_other_vendors_client_under_the_old_name_is_refused(tools: Path, engine: str, version: str) -> None:
    fake_tool(tools, "mysqldump", version)
    with pytest.raises(BackupError, match=f"Install the client of {engine}") as caught:
        _dump_client.find_client(server(engine))
    assert caught.value.reason == "wrong_client"


def test_a_missing_client_names_its_package(tools: Path) -> None:
    with pytest.raises(BackupError, match="Install the package mariadb-client") as caught:
        _dump_client.find_client(server("mariadb"))
    assert caught.value.reason == "tool_missing"


def test_a_client_that_cannot_start_is_of_no_vendor(tools: Path) -> None:
    (tools / "mysql").write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    (tools / "mysql").chmod(0o755)
    with pytest.raises(BackupError, match="mysql: error while loading shared libraries. Install its package anew"):
        _dump_client.require_vendor(str(tools / "mysql"), server("mysql"))


@pytest.mark.parametrize("line", ["-- Table structure for table `t`", "-- Dumping events for database 'larapos'"])
def test_the_snapshot_is_there_when_the_content_begins(line: str) -> None:
    head, _content, _rest = RECORDED.partition(b"-- Sequence structure")
    assert _dump_client.has_snapshot(RECORDED)
    assert not _dump_client.has_snapshot(head)
    assert _dump_client.has_snapshot(head + line.encode())

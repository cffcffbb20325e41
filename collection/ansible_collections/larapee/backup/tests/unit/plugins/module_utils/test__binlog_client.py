# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _process
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _binlog_client
from ansible_collections.larapee.backup.plugins.module_utils._mysql._binlog_client import BinlogClient
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server

MARIADB = Server(engine="mariadb", version="10.11.19-MariaDB", server_id=1, log_bin=True)
MYSQL = Server(engine="mysql", version="8.4.3", server_id=1, log_bin=True)
# From `--version` of 10.11.19-MariaDB-0+deb12u1 by both names, recorded 2026-11-22; MySQL's from its documentation.
OF_MARIADB = (
    "mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64",
    "mysqlbinlog Ver 3.5 for debian-linux-gnu at x86_64",
)
OF_MYSQL = "mysqlbinlog  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)"
# What servers and clients said when it was tried on 10.11.19.
FROM_SERVER = "ERROR: Got error reading packet from server: "
TRUNCATED = f"{FROM_SERVER}binlog truncated in the middle of event; consider out of disk space on master"
BOGUS = f"{FROM_SERVER}bogus data in log event; the first event 'mysql-bin.1000004' at 4"
GONE = f"{FROM_SERVER}Could not find first log file name in binary log index file"


def say(monkeypatch: pytest.MonkeyPatch, *, status: int = 0, out: str = "", err: str = "") -> None:
    def run(argv: list[str], **_more: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(argv, status, out.encode(), err.encode())

    monkeypatch.setattr(_process, "run", run)
    monkeypatch.setattr(_process, "find_tool", lambda *names: f"/usr/bin/{names[-1]}")


def fetch(server: Server = MARIADB) -> str | None:
    return _binlog_client.fetch(
        BinlogClient("/usr/bin/mariadb-binlog", OF_MARIADB[0]),
        server,
        option_file="/etc/binlog.cnf",
        options={"socket": "/run/db.sock"},
        names=["mysql-bin.000001"],
        directory="/",
    )


@pytest.mark.parametrize(
    ("server", "version", "right"),
    [
        *((MARIADB, version, True) for version in OF_MARIADB),
        (MYSQL, OF_MYSQL, True),
        (MARIADB, OF_MYSQL, False),
        (MYSQL, OF_MARIADB[1], False),
    ],
)
def test_the_client_is_that_of_the_servers_vendor(
    monkeypatch: pytest.MonkeyPatch, server: Server, version: str, right: bool
) -> None:
    say(monkeypatch, out=version)
    if right:
        assert _binlog_client.find_client(server).version == version
    else:
        with pytest.raises(BackupError, match="Install the client of") as caught:
            _binlog_client.find_client(server)
        assert caught.value.reason == "wrong_client"


@pytest.mark.parametrize(
    ("server", "option"), [(MARIADB, "--stop-never-slave-server-id="), (MYSQL, "--connection-server-id=")]
)
def test_arguments(server: Server, option: str) -> None:
    shown = set()
    for _run in range(20):
        command = _binlog_client.fetch_command(
            BinlogClient("/usr/bin/mariadb-binlog", ""),
            server,
            option_file="/etc/binlog.cnf",
            options={"host": "127.0.0.1", "port": "3307"},
            names=["mysql-bin.000001", "mysql-bin.000002"],
            directory="/spool/branch-001",
        )
        assert command[:2] == ["/usr/bin/mariadb-binlog", "--defaults-file=/etc/binlog.cnf"]
        assert command[2:5] == ["--protocol=TCP", "--host=127.0.0.1", "--port=3307"]
        assert command[-4:] == ["--result-file=/spool/branch-001/", "--", "mysql-bin.000001", "mysql-bin.000002"]
        (shown_id,) = [int(each[len(option) :]) for each in command if each.startswith(option)]
        assert 4_200_000_000 <= shown_id < 2**32 - 1
        shown.add(shown_id)
    assert len(shown) > 15


def test_all_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch)
    assert fetch() is None


@pytest.mark.parametrize("said", [TRUNCATED, BOGUS, f"{FROM_SERVER}event read from binlog did not pass crc check"])
def test_a_torn_end_is_told(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    say(monkeypatch, status=1, err=said)
    assert fetch() == said


def test_a_file_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, status=1, err=GONE)
    with pytest.raises(_binlog_client.LogGoneError):
        fetch()


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (1, "ERROR: Lost connection to server during query", "stage_failed"),
        (1, f"{FROM_SERVER}I/O error reading log event", "stage_failed"),
        (1, "", "stage_failed"),
        (-9, "", "stage_failed"),
        (1, "ERROR: Could not write into log file '/spool/mysql-bin.000001'", "disk_full"),
        # It ended well, and said something that nobody knows.
        (0, "WARNING: The --stop-position option is ignored in raw mode", "stage_failed"),
        (0, TRUNCATED, "stage_failed"),
    ],
)
def test_anything_else_fails(monkeypatch: pytest.MonkeyPatch, status: int, said: str, reason: str) -> None:
    say(monkeypatch, status=status, err=said)
    with pytest.raises(BackupError, match="Failed to read the binary logs") as caught:
        fetch()
    assert caught.value.reason == reason

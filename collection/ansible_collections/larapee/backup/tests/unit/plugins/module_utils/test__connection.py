# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _connection


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", (10, 11, 19)),
        ("11.4.5-MariaDB", (11, 4, 5)),
        ("8.4.3", (8, 4, 3)),
        ("8.0.36-0ubuntu0.22.04.1", (8, 0, 36)),
        ("9.7", (9, 7, 0)),
        ("unknown", (0, 0, 0)),
    ],
)
def test_a_release_is_read_from_a_version(version: str, release: tuple[int, int, int]) -> None:
    assert _connection.parse_release(version) == release


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"socket": "/s"}, {"unix_socket": "/s"}),
        ({"socket": "/s", "host": "localhost"}, {"unix_socket": "/s"}),
        ({"socket": "/s", "host": "db"}, {"host": "db", "port": 3306}),
        ({"host": "db", "port": "3307"}, {"host": "db", "port": 3307}),
    ],
)
def test_the_driver_reaches_the_server_that_the_clients_reach(options: dict[str, str], wanted: dict[str, Any]) -> None:
    arguments = _connection._arguments({"user": "u", **options})
    assert {name: arguments.get(name) for name in wanted} == wanted
    assert ("unix_socket" in arguments) != ("host" in arguments)


def test_a_server_that_is_not_there_is_said_with_its_socket_and_account(tmp_path: Path) -> None:
    options = {"user": "larapee-backup", "password": "s3cret", "socket": str(tmp_path / "gone.sock")}
    with pytest.raises(BackupError, match=r"gone\.sock as larapee-backup: ") as caught, _connection.connect(options):
        pass
    assert caught.value.reason == "database_unreachable"
    assert "s3cret" not in str(caught.value)


def test_a_missing_driver_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connection, "PYMYSQL_ERROR", "ImportError")
    with pytest.raises(BackupError, match="python3-pymysql"), _connection.connect({"user": "u"}):
        pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (pymysql.err.OperationalError(1045, "Access denied for user 'a'."), "1045 Access denied for user 'a'"),
        (pymysql.err.OperationalError(2003, "one\ntwo"), "2003 one"),
        (OSError(), "OSError"),
        (pymysql.err.InterfaceError(0, ""), "0"),
    ],
)
def test_an_error_of_the_driver_is_one_line(error: Exception, line: str) -> None:
    assert _connection.first_line(error) == line


@pytest.mark.parametrize(("name", "quoted"), [("larapos", "`larapos`"), ("od`d; --", "`od``d; --`"), ("", "``")])
def test_identifiers_are_quoted(name: str, quoted: str) -> None:
    assert _connection.quote_identifier(name) == quoted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"socket": "/s"}, ("--protocol=SOCKET", "--socket=/s")),
        ({"socket": "/s", "host": "localhost"}, ("--protocol=SOCKET", "--socket=/s")),
        ({"socket": "/s", "host": "db"}, ("--protocol=TCP", "--host=db", "--port=3306")),
        ({"host": "db", "port": "3307"}, ("--protocol=TCP", "--host=db", "--port=3307")),
    ],
)
def test_the_clients_are_told_where_the_driver_connects(options: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert _connection.client_arguments(options) == wanted


def test_a_password_is_sent_as_it_is_in_the_option_file() -> None:
    assert _connection._arguments({"user": "u", "socket": "/s", "password": "€ñ"})["password"] == "€ñ".encode()

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to the server, and which server it is.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import traceback
import typing as t

from .._errors import BackupError
from ._option_file import describe_server
from ._tls import tls_context, wants_tls

try:
    import pymysql

    PYMYSQL_ERROR = None
except ImportError:  # the target may lack it; modules say which package to install
    PYMYSQL_ERROR = traceback.format_exc()

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

_CONNECT_TIMEOUT = 10
# Longest wait for one answer: reading information_schema of a busy server with thousands of tables.
_READ_TIMEOUT = 600


@dataclasses.dataclass(frozen=True)
class Server:
    """``engine`` is ``mariadb`` or ``mysql``; ``version`` as the server writes it; ``gtid``: MySQL's gtid_mode."""

    engine: str
    version: str
    server_id: int
    log_bin: bool
    gtid: bool = False

    @property
    def release(self) -> tuple[int, int, int]:
        return parse_release(self.version)


def parse_release(version: str) -> tuple[int, int, int]:
    """``10.11.19-MariaDB-0+deb12u1`` -> (10, 11, 19); zeros for what is missing."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


@contextlib.contextmanager
def connect(options: t.Mapping[str, str], *, read_timeout: float = _READ_TIMEOUT) -> t.Iterator[Connection]:
    """Give a connection in autocommit mode; raise BackupError that names server and account.

    *read_timeout*: for how many seconds an answer is waited for.
    """
    if PYMYSQL_ERROR is not None:
        raise BackupError(
            "Failed to import PyMySQL: it is not installed. Install the package python3-pymysql.", reason="tool_missing"
        )
    try:
        connection = pymysql.connect(**_arguments(options), read_timeout=read_timeout)
    except (pymysql.MySQLError, OSError) as exc:
        raise BackupError(
            f"Failed to connect to {describe_server(options)} as {options['user']}: {first_line(exc)}. "
            "Check that the server runs and that the option file names the right account.",
            reason="database_unreachable",
        ) from exc
    try:
        _require_tls(connection, options)
        yield connection
    except (pymysql.MySQLError, OSError) as exc:
        if isinstance(exc, pymysql.MySQLError):
            raise BackupError(
                f"Failed to query {describe_server(options)} as {options['user']}: {first_line(exc)}.",
                reason="query_failed",
            ) from exc
        raise
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def _require_tls(connection: Connection, options: t.Mapping[str, str]) -> None:
    """PyMySQL before 1.1 (Debian 12 has 1.0) goes on in plain text when the server offers no TLS."""
    if wants_tls(options) and not rows(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]:
        raise BackupError(
            f"Failed to connect to {describe_server(options)} as {options['user']}: the option file asks for TLS, the "
            "server has none. Switch it on there.",
            reason="database_unreachable",
        )


def _arguments(options: t.Mapping[str, str]) -> dict[str, t.Any]:
    arguments: dict[str, t.Any] = {
        "user": options["user"],
        # As bytes, because PyMySQL writes text as latin-1.
        "password": options.get("password", "").encode(),
        "charset": "utf8mb4",
        # Under a server's ANSI_QUOTES, SHOW GRANTS and definitions would come in other quotes.
        "sql_mode": "",
        "autocommit": True,
        "connect_timeout": _CONNECT_TIMEOUT,
    }
    if _by_socket(options):
        arguments["unix_socket"] = options["socket"]
    else:
        arguments["host"] = options.get("host", "localhost")
        arguments["port"] = int(options.get("port", "3306"))
    if wants_tls(options):
        arguments["ssl"] = tls_context(options)
    elif _by_socket(options):
        # Else newer PyMySQL prepares TLS just in case, and loads all of the system's certificates each time.
        arguments["ssl_disabled"] = True
    return arguments


def _by_socket(options: t.Mapping[str, str]) -> bool:
    return bool(options.get("socket")) and options.get("host", "localhost") == "localhost"


def client_arguments(options: t.Mapping[str, str]) -> tuple[str, ...]:
    """Where the command-line clients connect, to follow ``--defaults-file``: the server that connect() reaches.

    Left to themselves they may reach another one: by the socket beside an empty host, by a port of the environment.
    """
    if _by_socket(options):
        return ("--protocol=SOCKET", f"--socket={options['socket']}")
    return ("--protocol=TCP", f"--host={options.get('host', 'localhost')}", f"--port={options.get('port', '3306')}")


def first_line(error: BaseException) -> str:
    """The first line of an error of the driver, without its number-and-tuple form."""
    parts = [str(part) for part in getattr(error, "args", ()) if part not in (None, "")]
    return " ".join(parts).splitlines()[0].rstrip(".") if parts else error.__class__.__name__


def rows(connection: Connection, query: str, arguments: t.Sequence[t.Any] = ()) -> list[tuple[t.Any, ...]]:
    """All rows of *query*; values are passed as arguments, never written into it.

    With arguments, a ``%`` of the query itself must be doubled; without, it stands for itself.
    """
    with connection.cursor() as cursor:
        cursor.execute(query, tuple(arguments) or None)
        return list(cursor.fetchall())


def identify(connection: Connection) -> Server:
    ((version, server_id, log_bin),) = rows(connection, "SELECT VERSION(), @@server_id, @@log_bin")
    engine = "mariadb" if "mariadb" in str(version).lower() else "mysql"
    gtid = engine == "mysql" and rows(connection, "SELECT @@gtid_mode") == [("ON",)]
    return Server(engine=engine, version=str(version), server_id=int(server_id), log_bin=bool(log_bin), gtid=gtid)


def quote_identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


__all__ = (
    "Server",
    "client_arguments",
    "connect",
    "first_line",
    "identify",
    "parse_release",
    "quote_identifier",
    "rows",
)

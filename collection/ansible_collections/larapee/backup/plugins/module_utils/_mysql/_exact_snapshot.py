# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A consistent snapshot whose exact position in the binary log is known.

MariaDB tells it in status variables, not always the truth (_commits.py). MySQL does not: there commits are held for
the moment in which the snapshot is opened and the position is read (``FLUSH TABLES WITH READ LOCK``), as its own dump
client does. A statement that runs long makes that lock wait, and everything that writes waits behind it, so it is
given up after seconds.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from .._binlog import _gtid
from .._errors import BackupError
from . import _commits
from ._connection import Server, first_line, rows
from ._dialect import dialect

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

_SNAPSHOT_POSITION: t.Final = "SHOW STATUS LIKE 'binlog_snapshot_%'"
_SNAPSHOT: t.Final = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_TRIES: t.Final = 10
_TRY_AGAIN_SECONDS: t.Final = 0.1
_LOCK_TRIES: t.Final = 3
_LOCK_SECONDS: t.Final = 2
_PAUSE_SECONDS: t.Final = 1.0
_LOCK_WAIT_TIMEOUT: t.Final = 1205


@dataclasses.dataclass(frozen=True)
class Position:
    """Where the binary log stood: all that ended there or before is in the snapshot, and nothing else."""

    file: str
    position: int
    gtid: str


def open_snapshot(connection: Connection) -> None:
    """Open a snapshot, for reading only, of which no position is needed."""
    rows(connection, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    rows(connection, _SNAPSHOT)


@contextlib.contextmanager
def released(connection: Connection) -> t.Iterator[None]:
    """Give back afterwards what is read meanwhile, but not the snapshot: an ALTER TABLE of it would wait.

    MariaDB with its binary log on keeps it nevertheless, to the end of the transaction.
    """
    rows(connection, "SAVEPOINT larapee_backup")
    try:
        yield
    finally:
        rows(connection, "ROLLBACK TO SAVEPOINT larapee_backup")


def open_exact_snapshot(
    connection: Connection, server: Server, *, settle: t.Callable[[], str | None], settled: str | None = None
) -> Position:
    """Open a snapshot on *connection*, for reading only; raise BackupError when its position cannot be known.

    *settle* (MariaDB): what holds commits still for a moment. *settled*: what it returned the last time.
    """
    if not server.log_bin:
        raise BackupError(
            "Failed to take a fingerprint: the server writes no binary log, so there is no position to take it at. "
            "Switch log_bin on.",
            reason="no_fingerprint",
        )
    if server.engine == "mariadb":
        position = _open_on_mariadb(connection, settle, settled)
    else:
        position = _open_on_mysql(connection, server)
    return dataclasses.replace(position, gtid=str(_gtid.parse(server.engine, position.gtid)))


def _open_on_mariadb(connection: Connection, settle: t.Callable[[], str | None], settled: str | None) -> Position:
    for _try in range(_TRIES):
        open_snapshot(connection)
        told = {str(each).lower(): str(value) for each, value in rows(connection, _SNAPSHOT_POSITION)}
        file, position = told.get("binlog_snapshot_file", ""), told.get("binlog_snapshot_position", "")
        if not file or not position.isdigit():
            raise BackupError(
                "Failed to take a fingerprint: the server does not say where the binary log stood.",
                reason="no_fingerprint",
            )
        gtid = _commits.state_at(connection, file, int(position), settled_state=settled)
        if gtid is not None:
            return Position(file=file, position=int(position), gtid=gtid)
        connection.rollback()
        settled = settle()
        if settled is None:
            time.sleep(_TRY_AGAIN_SECONDS)
    raise BackupError(
        f"Failed to take a fingerprint: the binary log began {file}, and the server does not say which transactions "
        "before it a snapshot holds. Grant RELOAD to the account, or run it again when no other backup of the server "
        "runs.",
        reason="no_fingerprint",
    )


def _open_on_mysql(connection: Connection, server: Server) -> Position:
    ((before,),) = rows(connection, "SELECT @@SESSION.lock_wait_timeout")
    rows(connection, "SET SESSION lock_wait_timeout = %s", [_LOCK_SECONDS])
    _hold_commits(connection)
    try:
        open_snapshot(connection)
        status = _log_status(connection, server)
        gtid = str(rows(connection, "SELECT @@GLOBAL.gtid_executed")[0][0]) if server.gtid else ""
    finally:
        # When it fails, the lock goes with the connection.
        with contextlib.suppress(Exception):
            rows(connection, "UNLOCK TABLES")
    rows(connection, "SET SESSION lock_wait_timeout = %s", [before])
    return Position(file=str(status[0]), position=int(status[1]), gtid=gtid)


def _hold_commits(connection: Connection) -> None:
    import pymysql

    for left in reversed(range(_LOCK_TRIES)):
        try:
            rows(connection, "FLUSH TABLES WITH READ LOCK")
        except pymysql.MySQLError as exc:
            busy = exc.args and exc.args[0] == _LOCK_WAIT_TIMEOUT
            if busy and left:
                time.sleep(_PAUSE_SECONDS)
                continue
            advice = "A long statement runs; run it again" if busy else "Grant FLUSH_TABLES (or RELOAD) to the account"
            raise BackupError(
                f"Failed to take a fingerprint: commits could not be held for its moment ({first_line(exc)}). "
                f"{advice}.",
                reason="no_fingerprint",
            ) from exc
        return


def _log_status(connection: Connection, server: Server) -> tuple[t.Any, ...]:
    import pymysql

    try:
        found = rows(connection, dialect(server).log_status)
    except pymysql.MySQLError as exc:
        raise BackupError(
            f"Failed to take a fingerprint: the account may not ask where the binary log stands ({first_line(exc)}). "
            "Grant REPLICATION CLIENT to it.",
            reason="no_fingerprint",
        ) from exc
    if not found:
        raise BackupError(
            "Failed to take a fingerprint: the server does not say where the binary log stands.",
            reason="no_fingerprint",
        )
    return found[0]


__all__ = ("Position", "open_exact_snapshot", "open_snapshot", "released")

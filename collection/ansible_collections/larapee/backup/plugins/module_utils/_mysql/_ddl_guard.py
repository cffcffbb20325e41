# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding DDL off while a dump runs.

DDL during ``--single-transaction`` does not always fail the dump: instant ADD COLUMN, CREATE TRIGGER, CREATE VIEW leave
it with status 0 and unusable for a later replay. MariaDB's ``BACKUP STAGE BLOCK_DDL`` holds it off, and writes to
tables without transactions too, while sales go on. MySQL's ``LOCK INSTANCE FOR BACKUP`` holds DDL off only.

MySQL's dump client takes its snapshot under a global read lock, and DDL that waits for the backup lock already holds
the other half of that: taken before the snapshot, the two wait for each other for ever and every sale with them (seen
on 9.7). So there the lock comes right after the snapshot, and DDL that slips in before it is detected.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._errors import BackupError
from . import _commits
from ._connection import Server, connect, first_line, rows

_LOCK_WAIT_SECONDS = 30
_IDLE_SECONDS = 24 * 3600
_LOCK_WAIT_TIMEOUT = 1205
# Access denied; command denied; lock wait timeout; unknown command or syntax error on an older server.
_UNAVAILABLE = {1227, 1142, 1045, _LOCK_WAIT_TIMEOUT, 1064, 1295}
_MYSQL_LOCK = "LOCK INSTANCE FOR BACKUP"
_STAGES = tuple(f"BACKUP STAGE {stage}" for stage in _commits.STAGES)

BLOCKED: t.Final = "block_ddl"
DETECTED: t.Final = "fingerprint"


class DdlGuard:
    """``mode`` says how DDL is dealt with: ``block_ddl`` (held off) or ``fingerprint`` (detected afterwards).

    ``frozen`` names the table because of which it was given up. ``holds_writes``: tables without
    transactions stand still too; where not, ``why`` says what is in the way.
    """

    def __init__(self, connection: t.Any, mode: str, *, why: str = "", lock_at_snapshot: bool = False) -> None:
        self._connection = connection
        self._lock_at_snapshot = lock_at_snapshot
        self.mode = mode
        self.holds_writes = mode == BLOCKED
        self.why = why
        self.frozen: str | None = None

    def give_up(self, table: str) -> None:
        """Let DDL through, because it keeps *table* from everybody; the dump is of no use any more."""
        self.frozen = table
        with contextlib.suppress(Exception):
            self._connection.close()

    def settle(self) -> str | None:
        """MariaDB: hold commits still for a moment and return the GTIDs of all that is visible; None where it cannot.

        DDL gets in between: a snapshot is opened, and definitions are read, after it.
        """
        if not self.holds_writes:
            return None
        state = _commits.settled(self._connection)
        problem = _try(self._connection, *_STAGES)
        if problem is not None:
            raise BackupError(
                f"Failed to hold DDL off: {first_line(problem)}. A definition began to change; nothing was kept of the "
                "dump. Run it when no migration runs.",
                reason="schema_changed",
            )
        return state

    def snapshot_taken(self) -> None:
        """To be called once the dump client has its snapshot; raises BackupError when DDL runs just then."""
        if not self._lock_at_snapshot:
            return
        self._lock_at_snapshot = False
        try:
            rows(self._connection, _MYSQL_LOCK)
        except Exception as exc:
            raise BackupError(
                f"Failed to hold DDL off: {first_line(exc)}. A definition began to change as the dump began; nothing "
                "was kept of it. Run it when no migration runs.",
                reason="schema_changed",
            ) from exc
        self.mode = BLOCKED

    def require_alive(self) -> None:
        """Raise BackupError when the lock was lost while the dump ran."""
        if self.mode != BLOCKED:
            return
        try:
            rows(self._connection, "SELECT 1")
        except Exception as exc:
            raise BackupError(
                "Failed to hold DDL off until the end of the dump: the guarding connection was lost "
                f"({first_line(exc)}).",
                reason="guard_lost",
            ) from exc


@contextlib.contextmanager
def hold_ddl_off(options: t.Mapping[str, str], server: Server) -> t.Iterator[DdlGuard]:
    """Hold DDL off for the duration where the account may (RELOAD, BACKUP_ADMIN); else say why it will be detected."""
    with connect(options) as connection:
        # wait_timeout: a shop that ends idle connections early must not end this one in the middle of a long dump.
        rows(connection, "SET SESSION lock_wait_timeout = %s, wait_timeout = %s", [_LOCK_WAIT_SECONDS, _IDLE_SECONDS])
        # The locks go with the connection.
        yield (_hold_on_mariadb if server.engine == "mariadb" else _hold_on_mysql)(connection)


def _hold_on_mariadb(connection: t.Any) -> DdlGuard:
    problem = _try(connection, *_STAGES)
    if problem is None:
        return DdlGuard(connection, BLOCKED)
    _try(connection, "BACKUP STAGE END")
    return DdlGuard(connection, DETECTED, why=f"{first_line(problem)}; grant RELOAD to the account")


def _hold_on_mysql(connection: t.Any) -> DdlGuard:
    """Tries the lock: whether the account may, and that no DDL runs, behind which the global read lock would wait."""
    problem = _try(connection, _MYSQL_LOCK, "UNLOCK INSTANCE")
    if problem is not None and problem.args[0] == _LOCK_WAIT_TIMEOUT:
        raise BackupError(
            f"Failed to hold DDL off: a definition has been changing for {_LOCK_WAIT_SECONDS} s, and the dump would "
            "stop all writes until that ends. Run it when no migration runs.",
            reason="schema_changed",
        ) from problem
    return DdlGuard(connection, DETECTED, why="MySQL's backup lock is not for them", lock_at_snapshot=problem is None)


def _try(connection: t.Any, *statements: str) -> Exception | None:
    """Run the statements; return the error when the account may not or cannot now, raise any other."""
    import pymysql

    try:
        for statement in statements:
            rows(connection, statement)
    except pymysql.MySQLError as exc:
        if not exc.args or exc.args[0] not in _UNAVAILABLE:
            raise
        return exc
    return None


__all__ = ("BLOCKED", "DETECTED", "DdlGuard", "hold_ddl_off")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding DDL off while a dump runs.

DDL during ``--single-transaction`` does not always fail the dump: instant ADD COLUMN, CREATE TRIGGER, CREATE VIEW leave
it with status 0 and unusable for a later replay. MariaDB's ``BACKUP STAGE BLOCK_DDL`` and MySQL's ``LOCK INSTANCE FOR
BACKUP`` hold it off, and writes to tables without transactions too, while sales go on.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._errors import BackupError
from ._connection import Server, connect, first_line, rows

_LOCK_WAIT_SECONDS = 30
_IDLE_SECONDS = 24 * 3600
# Access denied; command denied; lock wait timeout; unknown command or syntax error on an older server.
_UNAVAILABLE = {1227, 1142, 1045, 1205, 1064, 1295}

BLOCKED: t.Final = "block_ddl"
DETECTED: t.Final = "fingerprint"


class DdlGuard:
    """``mode`` says how DDL is dealt with: ``block_ddl`` (held off) or ``fingerprint`` (detected afterwards)."""

    def __init__(self, connection: t.Any, mode: str, why: str) -> None:
        self._connection = connection
        self.mode = mode
        self.why = why

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
    import pymysql

    if server.engine == "mariadb":
        statements = ["BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL"]
    else:
        statements = ["LOCK INSTANCE FOR BACKUP"]
    with connect(options) as connection:
        mode, why = BLOCKED, ""
        try:
            # wait_timeout: a shop that ends idle connections early must not end this one in the middle of a long dump.
            rows(
                connection, "SET SESSION lock_wait_timeout = %s, wait_timeout = %s", [_LOCK_WAIT_SECONDS, _IDLE_SECONDS]
            )
            for statement in statements:
                rows(connection, statement)
        except pymysql.MySQLError as exc:
            if not exc.args or exc.args[0] not in _UNAVAILABLE:
                raise
            mode, why = DETECTED, first_line(exc)
            with contextlib.suppress(pymysql.MySQLError):
                rows(connection, "BACKUP STAGE END")
        # The locks go with the connection.
        yield DdlGuard(connection, mode, why)


__all__ = ("BLOCKED", "DETECTED", "DdlGuard", "hold_ddl_off")

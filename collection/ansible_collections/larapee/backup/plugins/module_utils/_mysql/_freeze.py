# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Noticing that a change of a definition, and every sale with it, waits for our own hold on definitions.

An ALTER that ran already when MariaDB's ``BACKUP STAGE BLOCK_DDL`` came waits for it at its end, with its table locked
by then: nobody sells until the dump ends, and a dump that needs the table never ends (seen on 10.11).

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import threading
import typing as t

from .._errors import BackupError
from ._connection import Server, connect, quote_identifier, rows

_PAUSE_S: t.Final = 2.0
# How long a sale waits for a table before the dump counts as what it waits for.
_PATIENCE_S: t.Final = 3
_LOCK_WAIT_TIMEOUT: t.Final = 1205
_TABLES: t.Final = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'BASE TABLE'"
)


class FreezeWatch:
    """Asks for each table of *database*, as a sale would, and calls *on_freeze* once when one cannot be had."""

    def __init__(
        self, options: t.Mapping[str, str], server: Server, database: str, on_freeze: t.Callable[[str], None]
    ) -> None:
        self._options = options
        # MySQL lets nobody lock rows who may not change them; MariaDB asks for the right to read only.
        self._lock = " FOR UPDATE" if server.engine == "mariadb" else ""
        self._database = database
        self._on_freeze = on_freeze
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Only once no process is to be started any more."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="freeze-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        try:
            with connect(self._options) as connection:
                rows(connection, "SET SESSION lock_wait_timeout = %s", [_PATIENCE_S])
                tables = [str(row[0]) for row in rows(connection, _TABLES, [self._database])]
                while not self._over.wait(_PAUSE_S):
                    for table in tables:
                        if self._is_frozen(connection, table):
                            self._on_freeze(table)
                            return
        except BackupError:
            # Without it the dump is what it was before: right, and perhaps in the way.
            return

    def _is_frozen(self, connection: t.Any, table: str) -> bool:
        import pymysql

        name = f"{quote_identifier(self._database)}.{quote_identifier(table)}"
        try:
            rows(connection, f"SELECT 1 FROM {name} LIMIT 0{self._lock}")  # noqa: S608 - quoted names
        except pymysql.err.MySQLError as exc:
            return bool(exc.args) and exc.args[0] == _LOCK_WAIT_TIMEOUT
        return False


__all__ = ("FreezeWatch",)

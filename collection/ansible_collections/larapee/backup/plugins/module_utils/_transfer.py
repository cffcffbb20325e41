# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the scratch server to the target: what a replay leaves behind is put right, then dumped by the stock client.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _pipeline
from ._binlog._event_status import DISABLED, ELSEWHERE, ENABLED
from ._errors import BackupError
from ._mysql import _dump_client, _inspect
from ._mysql._connection import Server, connect, quote_identifier, rows
from ._mysql._scan import DumpScanner
from ._pipeline import Command, Tap

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

    from ._scratch import Scratch

_DEFINERS: t.Final = (
    "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s",
    "SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s",
    "SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s",
    "SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s",
)
_REPLICA_SIDE: t.Final = (ELSEWHERE, "REPLICA_SIDE_DISABLED")
_CLAUSES: t.Final = {ENABLED: "ENABLE", DISABLED: "DISABLE"}


def make_definers(connection: Connection, database: str) -> None:
    """Make the accounts that objects of *database* name: without them a server shows and runs its views otherwise.

    They cannot log in, and live as long as the scratch server.
    """
    found = {str(row[0]) for query in _DEFINERS for row in rows(connection, query, [database])}
    known = {(str(user), str(host)) for user, host in rows(connection, "SELECT User, Host FROM mysql.user")}
    for user, host in sorted(_split(definer) for definer in found):
        if (user, host) in known:
            continue
        if not host:
            name = quote_identifier(user)
            rows(connection, f"CREATE ROLE {name}")
        else:
            name = f"{quote_identifier(user)}@{quote_identifier(host)}"
            rows(connection, f"CREATE USER {name} ACCOUNT LOCK")
        rows(connection, f"GRANT ALL PRIVILEGES ON *.* TO {name}")


def _split(definer: str) -> tuple[str, str]:
    user, _at, host = definer.rpartition("@")
    return (user, host) if _at else (definer, "")


def read_statuses(connection: Connection, database: str) -> dict[str, str]:
    """The status of each event of *database* by name."""
    query = "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s"
    return {str(name): str(status) for name, status in rows(connection, query, [database])}


def restore_statuses(connection: Connection, database: str, wanted: t.Mapping[str, str], *, server: Server) -> None:
    """Give the events that the replay disabled the status in *wanted*."""
    # Names of events have no case, and an ALTER EVENT may have written another one.
    by_name = {name.casefold(): status for name, status in wanted.items()}
    for name, status in read_statuses(connection, database).items():
        right = by_name.get(name.casefold(), status)
        if status not in _REPLICA_SIDE or right not in _CLAUSES:
            continue
        if server.engine == "mariadb":
            # ALTER EVENT would change its definer and its SQL mode too.
            query = "UPDATE mysql.event SET status = %s WHERE db = %s AND name = %s"
            rows(connection, query, [right, database, name])
            continue
        query = "SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s AND EVENT_NAME = %s"
        user, host = _split(str(rows(connection, query, [database, name])[0][0]))
        definer = f"{quote_identifier(user)}@{quote_identifier(host)}"
        event = f"{quote_identifier(database)}.{quote_identifier(name)}"
        rows(connection, f"ALTER DEFINER={definer} EVENT {event} {_CLAUSES[right]}")


class ScratchContent:
    """The database of a scratch server as what fills another one. Reading it twice gives the same."""

    def __init__(self, scratch: Scratch, *, name: str) -> None:
        if scratch.server is None:
            raise ValueError("the scratch server has not started")
        self.name = name
        self._scratch = scratch
        self._database = scratch.wanted.database
        self._client = _dump_client.find_client(scratch.server)
        with connect(scratch.options) as connection:
            schema = _inspect.read_schema(connection, self._database)
        if schema is None:
            raise BackupError(
                f"Failed to restore {name}: the database {self._database} was dropped before the point of the restore. "
                "The target was not changed. Restore to a point before that.",
                reason="no_database",
            )
        self.character_set = schema.character_set
        self.collation = schema.collation
        self.objects: t.Mapping[str, int] = schema.objects
        self._command = _dump_client.dump_command(
            self._client,
            scratch.server,
            option_file=scratch.option_file,
            options=scratch.options,
            database=self._database,
            history=bool(schema.versioned) and self._client.history and not schema.by_transaction,
        )

    def pour(self, following: t.Sequence[Command | Tap]) -> None:
        try:
            results = _pipeline.run_pipeline([self._command, *following])
        except OSError as exc:
            raise BackupError(f"Failed to load {self.name}: {exc.strerror}.", reason="stage_failed") from exc
        _pipeline.require_success(results, what=f"load {self.name}")
        _dump_client.check_messages(self._client, results[0])

    def prove(self) -> DumpScanner:
        """Dump once to nowhere, before the target changes; what passed says what the target has to take."""
        scanner = DumpScanner()
        self.pour([scanner])
        scanner.close()
        return scanner


__all__ = ("ScratchContent", "make_definers", "read_statuses", "restore_statuses")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tables of a database hold, in numbers: rows, checksums, the next values of sequences.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

from .._errors import BackupError
from . import _marker
from ._checksum import NoDigestError, Table, edge_query, newest_query, read_sum, read_tables, whole_query
from ._connection import Server, quote_identifier, rows
from ._exact_snapshot import released

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

    # Of a table: ``rows``, ``checksum`` (None: not asked for, or not possible); ``newest`` where it is only that of so
    # many rows, with the ``range`` of all keys; ``value`` of a sequence; ``exact`` false where nothing can be compared.
    Facts = dict[str, t.Any]

_NEWEST_ROWS: t.Final = 10_000
_NEWEST_BYTES: t.Final = 64 * 1024 * 1024
# MariaDB: max_statement_time; MySQL: max_execution_time.
_TIMED_OUT: t.Final = (1969, 3024)
_STATEMENT_SECONDS: t.Final = 60
# All that is summed up whole takes at most so long, whatever the sizes were said to be.
_SUMS_SECONDS: t.Final = 120
# A restored server has nothing better to do; just below the longest wait for an answer.
_COMPARE_SECONDS: t.Final = 540


def prepare_session(connection: Connection, server: Server) -> None:
    """Make values come as the same texts everywhere, and let nothing wait or hide rows."""
    rows(
        connection,
        "SET SESSION time_zone = '+00:00', sql_mode = '', lock_wait_timeout = 30",
    )
    if server.engine == "mysql":
        # Else the sizes of tables may be a day old.
        rows(connection, "SET SESSION information_schema_stats_expiry = 0")


def limit_statements(connection: Connection, server: Server, seconds: int) -> None:
    """Let the server end each statement after so long (MySQL: each SELECT)."""
    if server.engine == "mariadb":
        rows(connection, "SET SESSION max_statement_time = %s", [seconds])
    else:
        rows(connection, "SET SESSION max_execution_time = %s", [seconds * 1000])


def read_sequences(connection: Connection, database: str) -> dict[str, int]:
    """The next value that each sequence has not reserved yet; no snapshot holds it still."""
    names = rows(
        connection,
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'SEQUENCE'"
        " ORDER BY TABLE_NAME",
        [database],
    )
    return {str(name): _next_value(connection, database, str(name)) for (name,) in names}


def _next_value(connection: Connection, database: str, name: str) -> int:
    source = f"{quote_identifier(database)}.{quote_identifier(name)}"
    ((value,),) = rows(connection, f"SELECT next_not_cached_value FROM {source}")  # noqa: S608 - quoted names
    return int(value)


def sequence_facts(before: t.Mapping[str, int], after: t.Mapping[str, int]) -> dict[str, Facts]:
    """Facts of sequences as read before and after a snapshot; one that moved meanwhile is not exact."""
    return {
        name: {"rows": 1, "checksum": None, "value": value, **({} if before.get(name) == value else {"exact": False})}
        for name, value in after.items()
    }


class Reader:
    """Reads tables inside the snapshot that *connection* holds."""

    def __init__(self, connection: Connection, server: Server, database: str) -> None:
        self._connection = connection
        self._server = server
        self._database = database
        self.tables = {each.name: each for each in read_tables(connection, database) if each.name != _marker.TABLE}
        limit_statements(connection, server, _COMPARE_SECONDS)

    def all_facts(self, *, checksums: bool, limit_bytes: int) -> dict[str, Facts]:
        """Facts of every table; the smallest are summed up whole, as long as they are *limit_bytes* together."""
        found = {}
        left = limit_bytes
        end = time.monotonic() + _SUMS_SECONDS
        for table in sorted(self.tables.values(), key=lambda each: (each.data_bytes, each.name)):
            limit_statements(self._connection, self._server, _STATEMENT_SECONDS)
            if not checksums or not table.exact:
                found[table.name] = self._count(table)
                continue
            left -= table.data_bytes
            seconds = int(end - time.monotonic())
            found[table.name] = self._whole_in_time(table, seconds if left >= 0 else 0) or self._newest(table)
        return dict(sorted(found.items()))

    def _whole_in_time(self, table: Table, seconds: int) -> Facts | None:
        """Its facts with the sum of all rows; None when that takes longer than *seconds*."""
        if seconds < 1:
            return None
        limit_statements(self._connection, self._server, seconds)
        try:
            return self.facts_like({"checksum": ""}, table)
        except TimedOutError:
            return None
        finally:
            limit_statements(self._connection, self._server, _STATEMENT_SECONDS)

    def facts_like(self, expected: t.Mapping[str, t.Any], table: Table) -> Facts:
        """The facts of *table* that *expected* has."""
        if expected.get("checksum") is None:
            return self._count(table)
        if "newest" in expected:
            return self._newest(table, limit=int(expected["newest"]))
        (row,) = self._ask(table, whole_query(self._database, table))
        count, checksum = read_sum(row)
        return {"rows": count, "checksum": checksum}

    def _count(self, table: Table) -> Facts:
        source = f"{quote_identifier(self._database)}.{quote_identifier(table.name)}"
        ((count,),) = self._ask(table, f"SELECT COUNT(*) FROM {source}")  # noqa: S608 - quoted names
        return {"rows": int(count), "checksum": None, **({} if table.exact else {"exact": False})}

    def _newest(self, table: Table, *, limit: int | None = None) -> Facts:
        """The count, and where there is a key the checksum of the newest rows."""
        facts = self._count(table)
        if not table.key:
            return facts
        if limit is None:
            limit = min(_NEWEST_ROWS, max(1, _NEWEST_BYTES // max(table.row_bytes, 1)))
        try:
            (row,) = self._ask(table, newest_query(self._database, table, limit=limit))
            edges = [self._ask(table, edge_query(self._database, table, last=last)) for last in (False, True)]
        except TimedOutError:
            return facts
        shown = [[str(value) for value in edge[0]] if edge else [] for edge in edges]
        return {**facts, "checksum": read_sum(row)[1], "newest": limit, "range": shown}

    def _ask(self, table: Table, query: str) -> list[tuple[t.Any, ...]]:
        import pymysql

        try:
            with released(self._connection):
                return rows(self._connection, query)
        except pymysql.MySQLError as exc:
            if exc.args and exc.args[0] in _TIMED_OUT:
                raise TimedOutError(table.name) from exc
            raise


class TimedOutError(BackupError):
    """The server ended a statement after the time that it was given."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"Failed to take a fingerprint: reading {table} takes too long. Run it when the server has less to do.",
            reason="no_fingerprint",
        )


__all__ = (
    "NoDigestError",
    "Reader",
    "TimedOutError",
    "limit_statements",
    "prepare_session",
    "read_sequences",
    "sequence_facts",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server says about a schema: object counts, a fingerprint of its definitions, character set.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ._connection import Server, quote_identifier, rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

OBJECT_KINDS: t.Final = ("tables", "views", "sequences", "triggers", "routines", "events")

_UNLIMITED = 2**64 - 1
# More names would bury the warning.
_NAMED_COLUMNS = 5

_TABLE_KINDS = {"BASE TABLE": "tables", "SYSTEM VERSIONED": "tables", "VIEW": "views", "SEQUENCE": "sequences"}

# Definitions only: no row counts, no AUTO_INCREMENT, nothing that selling changes.
_DEFINITIONS = (
    "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, CREATE_OPTIONS FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = %s",
    "SELECT TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, IS_NULLABLE, COLUMN_TYPE, COLLATION_NAME, EXTRA"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s",
    "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART, NON_UNIQUE FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA = %s",
    "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE"
    " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s",
    "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, CREATED"
    " FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s",
    "SELECT TABLE_NAME, VIEW_DEFINITION, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s",
    "SELECT ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_DEFINITION, LAST_ALTERED FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = %s",
    "SELECT EVENT_NAME, EVENT_DEFINITION, STATUS, LAST_ALTERED FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s",
)


@dataclasses.dataclass(frozen=True)
class Schema:
    """One schema: ``data_bytes`` is what its tables and indexes take on the server's disk (an estimate).

    ``versioned`` tables keep the old versions of their rows, those ``by_transaction`` in a form that cannot be dumped.
    """

    character_set: str
    collation: str
    objects: dict[str, int]
    fingerprint: str
    not_transactional: tuple[str, ...]
    versioned: tuple[str, ...]
    by_transaction: tuple[str, ...]
    data_bytes: int


def session_limit(connection: Connection, server: Server) -> str | None:
    """What hides rows from every SELECT of a session that changed nothing, such as a dump client's; None when nothing.

    *connection* must be as the server gave it: it has what init_connect and global settings make of it.
    """
    ((most,),) = rows(connection, "SELECT @@SESSION.sql_select_limit")
    if int(most) != _UNLIMITED:
        return f"sql_select_limit is {most}"
    if server.engine == "mariadb" and server.release >= (10, 3, 0):
        ((as_of,),) = rows(connection, "SELECT @@SESSION.system_versioning_asof")
        if as_of != "DEFAULT":
            return f"system_versioning_asof is {as_of}"
    return None


def read_schema(connection: Connection, database: str) -> Schema | None:
    """Return what the server says about *database*, None when there is no such schema (or no right to see it)."""
    found = rows(
        connection,
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        " WHERE SCHEMA_NAME = %s",
        [database],
    )
    if not found:
        return None
    tables = rows(
        connection,
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
        " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME",
        [database],
    )
    by_transaction = rows(
        connection,
        "SELECT TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND DATA_TYPE = 'bigint'"
        " AND GENERATION_EXPRESSION = 'ROW START' ORDER BY TABLE_NAME",
        [database],
    )
    ((data_bytes,),) = rows(
        connection,
        "SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
        [database],
    )
    return Schema(
        character_set=str(found[0][0]),
        collation=str(found[0][1]),
        objects=count_objects(connection, database),
        fingerprint=fingerprint(connection, database),
        not_transactional=tuple(str(name) for name, _kind, engine in tables if engine not in (None, "InnoDB")),
        versioned=tuple(str(name) for name, kind, _engine in tables if kind == "SYSTEM VERSIONED"),
        by_transaction=tuple(str(row[0]) for row in by_transaction),
        data_bytes=int(data_bytes),
    )


def describe_inexact(connection: Connection, database: str) -> list[str]:
    """What no logical dump of *database* gives back exactly, a warning each."""
    columns = rows(
        connection,
        "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.NUMERIC_SCALE, c.EXTRA, c.GENERATION_EXPRESSION"
        " FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)"
        " WHERE TABLE_SCHEMA = %s AND t.TABLE_TYPE <> 'VIEW' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
        [database],
    )
    times = [(table, quote_identifier(str(name))) for table, name, of_type, *_rest in columns if of_type == "timestamp"]
    rounded, recomputed = [], []
    for table, name, of_type, scale, extra, expression in columns:
        # FLOAT(M,D) is dumped with its D decimals.
        if of_type == "float" and scale is None:
            rounded.append(f"{table}.{name}")
        if str(extra).startswith("STORED") and any(
            table == of_table and time in str(expression) for of_table, time in times
        ):
            recomputed.append(f"{table}.{name}")
    found = (
        (rounded, "FLOAT columns are dumped with 6 digits only; use DOUBLE or DECIMAL for what must come back exactly"),
        (recomputed, "stored columns generated from a TIMESTAMP are computed anew in UTC by a restore"),
    )
    return [f"{_name(names)}: {consequence}." for names, consequence in found if names]


def _name(columns: list[str]) -> str:
    more = len(columns) - _NAMED_COLUMNS
    return ", ".join(columns[:_NAMED_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def count_objects(connection: Connection, database: str) -> dict[str, int]:
    """Number of objects of each kind of OBJECT_KINDS in *database*."""
    counts = dict.fromkeys(OBJECT_KINDS, 0)
    for table_type, count in rows(
        connection,
        "SELECT TABLE_TYPE, COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s GROUP BY 1",
        [database],
    ):
        counts[_TABLE_KINDS.get(str(table_type), "tables")] += int(count)
    for kind, query in (
        ("triggers", "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s"),
        ("routines", "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s"),
        ("events", "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s"),
    ):
        ((count,),) = rows(connection, query, [database])
        counts[kind] = int(count)
    return counts


def fingerprint(connection: Connection, database: str) -> str:
    """SHA-256 over all definitions of *database*; two equal ones mean that no DDL came between."""
    digest = hashlib.sha256()
    for query in _DEFINITIONS:
        for line in sorted(repr(row) for row in rows(connection, query, [database])):
            digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


__all__ = ("OBJECT_KINDS", "Schema", "count_objects", "describe_inexact", "fingerprint", "read_schema", "session_limit")

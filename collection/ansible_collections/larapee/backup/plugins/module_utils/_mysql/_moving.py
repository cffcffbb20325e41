# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables on their way from one schema into another, by their names alone.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._errors import BackupError
from . import _marker
from ._connection import first_line, quote_identifier, rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

# An application that still has a transaction open is told of, not waited for all day.
_LOCK_WAIT_SECONDS: t.Final = 30
_LOCK_WAIT_TIMEOUT: t.Final = 1205
_NAMED: t.Final = 5


def prepare_session(connection: Connection) -> None:
    rows(connection, f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_SECONDS}")


def names_of_tables(connection: Connection, database: str) -> list[str]:
    """Tables and sequences of *database*, without the mark of a restore."""
    found = rows(
        connection,
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
        " AND TABLE_TYPE NOT IN ('VIEW', 'TEMPORARY', 'TEMPORARY SEQUENCE') ORDER BY TABLE_NAME",
        [database],
    )
    return [str(row[0]) for row in found if row[0] != _marker.TABLE]


def names_of_views(connection: Connection, database: str) -> list[str]:
    query = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME"
    return [str(row[0]) for row in rows(connection, query, [database])]


def refuse_references(connection: Connection, database: str) -> None:
    """Raise BackupError when another schema's foreign key points into *database*: it follows what is renamed."""
    found = rows(
        connection,
        "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE"
        " WHERE REFERENCED_TABLE_SCHEMA = %s AND TABLE_SCHEMA <> %s ORDER BY 1, 2",
        [database, database],
    )
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        named = ", ".join(f"{schema}.{table}" for schema, table in found[:_NAMED])
        raise BackupError(
            f"Failed to put {database} aside: foreign keys of {named}{more} point into it, and would follow the old "
            "tables. Nothing was changed. Drop them for the restore, and make them again after it.",
            reason="foreign_references",
        )


def creation(connection: Connection, database: str) -> str:
    """The statement that makes the schema *database* as it is, where there is none."""
    return str(rows(connection, f"SHOW CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")[0][1])


def drop_triggers(connection: Connection, database: str) -> None:
    """A table with triggers does not go to another schema."""
    query = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s"
    for (name,) in rows(connection, query, [database]):
        _change(connection, database, f"DROP TRIGGER {quote_identifier(database)}.{quote_identifier(str(name))}")


def move(connection: Connection, names: t.Sequence[str], *, source: str, target: str) -> None:
    """Rename all *names* in one statement: the server does it whole or not at all."""
    old, new = quote_identifier(source), quote_identifier(target)
    pairs = [f"{old}.{name} TO {new}.{name}" for name in map(quote_identifier, names)]
    if pairs:
        _change(connection, source, f"RENAME TABLE {', '.join(pairs)}")


def make_anew(connection: Connection, database: str, *, statement: str) -> None:
    """Drop the schema and make it again by *statement*, as :func:`creation` gave it.

    Not one object after the other: DROP PROCEDURE takes the grants on it away, and nobody would know them again.
    """
    rows(connection, f"DROP DATABASE IF EXISTS {quote_identifier(database)}")
    rows(connection, statement)


def _change(connection: Connection, database: str, statement: str) -> None:
    import pymysql

    try:
        rows(connection, statement)
    except pymysql.MySQLError as exc:
        if exc.args and exc.args[0] == _LOCK_WAIT_TIMEOUT:
            raise BackupError(
                f"Failed to move the tables of {database}: somebody uses one of them ({first_line(exc)}). Stop what "
                "uses the database, and run it again: it goes on from here.",
                reason="table_in_use",
            ) from exc
        raise


__all__ = (
    "creation",
    "drop_triggers",
    "make_anew",
    "move",
    "names_of_tables",
    "names_of_views",
    "prepare_session",
    "refuse_references",
)

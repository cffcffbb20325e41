# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table that marks a schema as unusable while a restore fills it, and after one that failed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._errors import BackupError
from ._connection import quote_identifier, rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

TABLE: t.Final = "larapee_backup_unfinished_restore"


def place(connection: Connection, database: str, *, artifact: str, run_id: str, started_at: str) -> None:
    """Create the mark, with what is being restored; an earlier one is replaced."""
    table = f"{quote_identifier(database)}.{quote_identifier(TABLE)}"
    rows(connection, f"DROP TABLE IF EXISTS {table}")
    rows(connection, f"CREATE TABLE {table} (artifact VARCHAR(255), run_id VARCHAR(36), started_at VARCHAR(32))")
    # A percent sign in the name would be read as a place for an argument.
    target = table.replace("%", "%%")
    rows(connection, f"INSERT INTO {target} VALUES (%s, %s, %s)", [artifact, run_id, started_at])  # noqa: S608


def remove(connection: Connection, database: str) -> None:
    rows(connection, f"DROP TABLE {quote_identifier(database)}.{quote_identifier(TABLE)}")


def is_present(connection: Connection, database: str) -> bool:
    found = rows(
        connection,
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
        [database, TABLE],
    )
    return bool(found)


def read_run_id(connection: Connection, database: str) -> str | None:
    """The run whose mark *database* bears; None without a mark."""
    if not is_present(connection, database):
        return None
    table = f"{quote_identifier(database)}.{quote_identifier(TABLE)}"
    found = rows(connection, f"SELECT run_id FROM {table}")  # noqa: S608 - quoted name
    return str(found[0][0]) if found else ""


def refuse_unfinished(connection: Connection, database: str) -> None:
    """Raise BackupError when *database* bears the mark: a backup of it would be of an incomplete database."""
    if is_present(connection, database):
        raise BackupError(
            f"Failed to dump {database}: a restore into it did not finish (table {TABLE}), so it is incomplete. "
            "Restore it again, with confirmation; the older fulls stay.",
            reason="unfinished_restore",
        )


__all__ = ("TABLE", "is_present", "place", "read_run_id", "refuse_unfinished", "remove")

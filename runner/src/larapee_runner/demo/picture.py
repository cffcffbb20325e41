# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, asked of the server with plain SQL: nothing here knows how our backups are made."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .names import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .server import ThrowawayServer

NUMBER_AND_TIME_TYPES = frozenset(
    ["tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"]
    + ["date", "datetime", "timestamp", "time", "year"]
)
LARGE_TYPES = frozenset(["tinyblob", "blob", "mediumblob", "longblob", "tinytext", "text", "mediumtext", "longtext"])


@dataclass(frozen=True)
class Contents:
    rows: int
    checksum: str


@dataclass(frozen=True)
class Picture:
    """One moment of a database; two of them are equal or `differences` says where they are not."""

    contents: Mapping[str, Contents]
    definitions: Mapping[str, str]
    counts: Mapping[str, int]
    highest_receipts: Mapping[int, str]

    @property
    def rows(self) -> int:
        return sum(contents.rows for contents in self.contents.values())

    @property
    def facts(self) -> dict[str, str]:
        """All that is compared, each fact by its name."""
        found = {f"number of {kind.lower()}s": str(count) for kind, count in self.counts.items()}
        found |= {f"definition of {name}": definition for name, definition in self.definitions.items()}
        for table, contents in self.contents.items():
            found[f"rows of {table}"] = str(contents.rows)
            found[f"contents of {table}"] = contents.checksum
        found |= {f"last receipt of till {till}": number for till, number in self.highest_receipts.items()}
        return found


def _value_expression(column: str, data_type: str) -> str:
    name = quote_identifier(column)
    if data_type in NUMBER_AND_TIME_TYPES:
        # HEX() of a number would round it first.
        text = f"CAST({name} AS CHAR)"
    elif data_type in LARGE_TYPES:
        text = f"MD5({name})"
    else:
        text = f"HEX({name})"
    return f"COALESCE({text}, 'NULL')"


def _contents(cursor: Any, table: str) -> Contents:
    """CHECKSUM TABLE will not do: with generated columns MariaDB 10.11 gives the same rows another sum at each load."""
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    values = ", ".join(_value_expression(column, data_type) for column, data_type in cursor.fetchall())
    # Sums of both halves of the digest do not depend on the order of the rows; twice the same row does not cancel out.
    cursor.execute(
        "SELECT COUNT(*), CONCAT(COALESCE(SUM(CAST(CONV(LEFT(digest, 16), 16, 10) AS DECIMAL(20))), 0), '-',"  # noqa: S608
        " COALESCE(SUM(CAST(CONV(RIGHT(digest, 16), 16, 10) AS DECIMAL(20))), 0)) FROM"
        f" (SELECT MD5(CONCAT_WS(',', {values})) AS digest FROM {quote_identifier(table)}) AS digests"
    )
    rows, checksum = cursor.fetchone()
    return Contents(rows=int(rows), checksum=str(checksum))


def _show_create(cursor: Any, kind: str, name: str) -> str:
    cursor.execute(f"SHOW CREATE {kind} {quote_identifier(name)}")
    row = cursor.fetchone()
    # When a trigger was created is no part of what it does.
    kept = [
        f"{column[0]}={value}" for column, value in zip(cursor.description, row, strict=True) if column[0] != "Created"
    ]
    # The counter goes on between the dump's snapshot and the moment in which the dump reads it.
    return re.sub(r" AUTO_INCREMENT=\d+", "", "\n".join(kept))


def _objects(cursor: Any) -> dict[str, list[str]]:
    queries = {
        "TABLE": "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY 1",
        "SEQUENCE": "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE' ORDER BY 1",
        "VIEW": "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY 1",
        "TRIGGER": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1",
        "PROCEDURE": "SELECT routine_name FROM information_schema.routines"
        " WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE' ORDER BY 1",
        "FUNCTION": "SELECT routine_name FROM information_schema.routines"
        " WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION' ORDER BY 1",
        "EVENT": "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY 1",
    }
    found = {}
    for kind, query in queries.items():
        cursor.execute(query)
        found[kind] = [str(row[0]) for row in cursor.fetchall()]
    return found


class Shutter:
    """Opens a snapshot at once and reads it at leisure: writers need to be held only while this is made."""

    def __init__(self, server: ThrowawayServer, *, database: str) -> None:
        self._database = database
        self._connection = server.connect(database=database)
        with self._connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")

    def picture(self) -> Picture:
        with self._connection.cursor() as cursor:
            objects = _objects(cursor)
            definitions = {"DATABASE": _show_create(cursor, "DATABASE", self._database)}
            for kind, names in objects.items():
                for name in names:
                    definitions[f"{kind} {name}"] = _show_create(cursor, kind, name)
            contents = {table: _contents(cursor, table) for table in (*objects["TABLE"], *objects["SEQUENCE"])}
            highest = _highest_receipts(cursor) if "orders" in objects["TABLE"] else {}
        return Picture(
            contents=contents,
            definitions=definitions,
            counts={kind: len(names) for kind, names in objects.items()},
            highest_receipts=highest,
        )

    def close(self) -> None:
        self._connection.close()


def _highest_receipts(cursor: Any) -> dict[int, str]:
    cursor.execute(
        "SELECT till, invoice_number FROM orders WHERE id IN (SELECT MAX(id) FROM orders GROUP BY till) ORDER BY till"
    )
    return {int(till): str(number) for till, number in cursor.fetchall()}


def take_picture(server: ThrowawayServer, *, database: str) -> Picture:
    """Everything that can be compared, as it is now."""
    with closing(Shutter(server, database=database)) as shutter:
        return shutter.picture()


def differences(before: Picture, after: Picture) -> list[str]:
    """Empty means equal; a comparison of nothing is a difference of its own."""
    if before.rows == 0:
        return ["nothing was compared: the first picture holds no rows"]
    old, new = before.facts, after.facts
    found = []
    for fact in sorted({*old, *new}):
        if fact not in new:
            found.append(f"{fact}: missing")
        elif fact not in old:
            found.append(f"{fact}: was not there before")
        elif old[fact] != new[fact]:
            told = not fact.startswith(("definition of", "contents of"))
            found.append(f"{fact}: {old[fact]} before, {new[fact]} after" if told else f"{fact}: differs")
    return found


__all__ = ("Contents", "Picture", "Shutter", "differences", "take_picture")

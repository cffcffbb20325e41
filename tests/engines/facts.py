# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of a schema by two witnesses that are not ours: the stock dump client's text, and sums over hashes in SQL."""

from __future__ import annotations

import difflib
import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.engines.servers import Server

# What a rolled back insert leaves behind on the source only.
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_AS_TEXT = "HEX(CAST({} AS CHAR))"
_AS_HEX = {
    **dict.fromkeys(("bit",), "HEX({} + 0)"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "HEX({})"),
    **dict.fromkeys(("char", "varchar", "text", "longtext", "point", "geometry"), "HEX({})"),
}


def facts(server: Server, database: str) -> dict[str, str]:
    """By name of what it is about; two schemas are the same when these are."""
    about = f"WHERE SCHEMA_NAME = '{database}'"
    found = {
        "schema": server.sql(
            f"SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA {about}"
        ),
        "dump": _in_order(_COUNTER.sub("", server.stock_dump(database))),
    }
    columns: dict[str, list[tuple[str, str]]] = {}
    # Sequences are tables too, with rows that the dump's text shows.
    for line in server.sql(
        "SELECT HEX(TABLE_NAME), HEX(COLUMN_NAME), DATA_TYPE FROM information_schema.COLUMNS"
        " JOIN information_schema.TABLES"
        f" USING (TABLE_SCHEMA, TABLE_NAME) WHERE TABLE_SCHEMA = '{database}' AND TABLE_TYPE = 'BASE TABLE'"
        " ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ).splitlines():
        table, column, kind = line.split("\t")
        columns.setdefault(_name(table), []).append((_name(column), kind))
    assert columns, f"{database} holds no table: an empty comparison proves nothing"
    texts = ["SET time_zone = '+00:00'"]
    texts += [_sums(database, table, members) for table, members in columns.items()]
    for line in server.sql(";".join(texts)).splitlines():
        table, sums = line.split("\t", 1)
        found[f"table {_name(table)}"] = sums
    return found


def _in_order(dump: str) -> str:
    """Rows of a table without a key come as they lie on the disk."""
    runs = itertools.groupby(dump.splitlines(), key=lambda line: line.startswith("INSERT INTO"))
    return "\n".join(line for rows, lines in runs for line in (sorted(lines) if rows else lines))


def _name(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode()


def _sums(database: str, table: str, columns: list[tuple[str, str]]) -> str:
    """SQL of a line with the table's name, its rows and three sums that do not depend on their order."""
    parts = [f"COALESCE({_AS_HEX.get(kind, _AS_TEXT).format(_quoted(name))}, '~')" for name, kind in columns]
    return (
        f"SELECT HEX('{table.replace(chr(39), chr(39) * 2)}'), COUNT(*),"
        " BIT_XOR(CAST(CONV(LEFT(h, 16), 16, 10) AS UNSIGNED)), SUM(CAST(CONV(LEFT(h, 8), 16, 10) AS UNSIGNED)),"
        " SUM(CAST(CONV(RIGHT(h, 8), 16, 10) AS UNSIGNED))"
        f" FROM (SELECT SHA2(CONCAT_WS('|', {', '.join(parts)}), 256) AS h"
        f" FROM {_quoted(database)}.{_quoted(table)}) AS hashes"
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is not the same, with the first lines of the dumps that differ."""
    found = [name for name in sorted({*before, *after}) if name != "dump" and before.get(name) != after.get(name)]
    lines = difflib.unified_diff(before["dump"].splitlines(), after["dump"].splitlines(), lineterm="", n=0)
    return found + [line[:300] for line in itertools.islice(lines, 12)]


__all__ = ("differences", "facts")

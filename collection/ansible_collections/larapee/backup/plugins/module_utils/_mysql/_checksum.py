# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A checksum over the rows of a table that does not depend on their order, and the columns that it covers.

CHECKSUM TABLE will not do: with generated columns MariaDB gives the same rows another sum at each load, and it sums up
32 bits. Here each row's columns become one text (numbers and times as they are, characters and bytes in hex or, where
they may be large, as their SHA-256; a mark for NULL; commas between them), and the first 64 bits of each text's SHA-256
are added up. So the same row twice does not cancel out, and a value that moves to the next column is another text.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._connection import quote_identifier, rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

_AS_TEXT: t.Final = frozenset(
    ["tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "date", "datetime", "timestamp", "time", "year"]
    + ["inet4", "inet6", "uuid"]
)
_FLOATS: t.Final = ("float", "double")
_LARGE: t.Final = frozenset(
    ["tinyblob", "blob", "mediumblob", "longblob", "tinytext", "text", "mediumtext", "longtext", "vector"]
)
_SHAPES: t.Final = frozenset(
    ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"]
    + ["geometrycollection", "geomcollection"]
)
# Larger than any sum of 64 bits over all the rows that a table can have.
_NO_DIGEST: t.Final = 10**30


class NoDigestError(Exception):
    """The server could not digest a row: its text is longer than max_allowed_packet."""


@dataclasses.dataclass(frozen=True)
class Table:
    """``columns``: (name, type) of those that are covered; ``key``: the columns of its primary key, or none.

    Sizes are the server's estimates in bytes; without ``exact`` its rows lie outside every snapshot.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    data_bytes: int
    row_bytes: int
    exact: bool


def read_tables(connection: Connection, database: str) -> list[Table]:
    """The tables of *database* by name, without views and sequences."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for name, column, data_type in _covered_columns(connection, database):
        columns.setdefault(name, []).append((column, data_type))
    keys: dict[str, list[str]] = {}
    partial = set()
    for name, column, prefix in rows(
        connection,
        "SELECT TABLE_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s"
        " AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX",
        [database],
    ):
        keys.setdefault(str(name), []).append(str(column))
        if prefix is not None:
            # The rows are not in the order of the whole column.
            partial.add(str(name))
    return [
        Table(
            name=str(name),
            columns=tuple(columns.get(str(name), ())),
            key=() if str(name) in partial else tuple(keys.get(str(name), ())),
            data_bytes=int(data_bytes or 0),
            row_bytes=int(row_bytes or 0),
            exact=engine == "InnoDB",
        )
        for name, engine, data_bytes, row_bytes in rows(
            connection,
            "SELECT TABLE_NAME, ENGINE, DATA_LENGTH, AVG_ROW_LENGTH FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME",
            [database],
        )
    ]


def _covered_columns(connection: Connection, database: str) -> t.Iterator[tuple[str, str, str]]:
    """Table, name and type of each column whose values a restore gives back.

    Left out: what is computed at each reading, the times of row versions, and stored columns computed from a TIMESTAMP
    or a FLOAT, which a restore computes anew in UTC or from the six digits of a dump.
    """
    found = rows(
        connection,
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME, ORDINAL_POSITION",
        [database],
    )
    inexact: dict[str, list[str]] = {}
    for table, name, data_type, *_rest in found:
        if str(data_type).lower() in ("timestamp", "float"):
            inexact.setdefault(str(table), []).append(quote_identifier(str(name)))
    for table, name, data_type, extra, expression in found:
        computed = str(expression or "")
        if "VIRTUAL" in str(extra).upper() or computed.upper() in ("ROW START", "ROW END"):
            continue
        if not any(column in computed for column in inexact.get(str(table), ())):
            yield str(table), str(name), str(data_type).lower()


def whole_query(database: str, table: Table) -> str:
    """Asks for the number of rows and the checksum of all of them."""
    return f"SELECT COUNT(*), {_sum(_digest(table))} FROM {_qualified(database, table.name)}"  # noqa: S608


def newest_query(database: str, table: Table, *, limit: int) -> str:
    """The same of the last *limit* rows by primary key."""
    order = ", ".join(f"{quote_identifier(name)} DESC" for name in table.key)
    source = f"{_qualified(database, table.name)} ORDER BY {order} LIMIT {limit:d}"
    newest = f"SELECT {_digest(table)} AS digest FROM {source}"  # noqa: S608
    return f"SELECT COUNT(*), {_sum('digest')} FROM ({newest}) AS newest"  # noqa: S608


def edge_query(database: str, table: Table, *, last: bool) -> str:
    """Asks for the primary key of the first or last row, as texts."""
    types = dict(table.columns)
    shown = ", ".join(_text(name, types.get(name, "")) for name in table.key)
    order = ", ".join(f"{quote_identifier(name)}{' DESC' if last else ''}" for name in table.key)
    return f"SELECT {shown} FROM {_qualified(database, table.name)} ORDER BY {order} LIMIT 1"  # noqa: S608


def read_sum(row: t.Sequence[t.Any]) -> tuple[int, str]:
    """Number of rows and checksum from the answer of the queries above; raises NoDigestError."""
    total = int(row[1] or 0)
    if total >= _NO_DIGEST:
        raise NoDigestError
    return int(row[0]), f"{total:x}"


def _sum(digest: str) -> str:
    return f"SUM(IFNULL(CAST(CONV(LEFT({digest}, 16), 16, 10) AS UNSIGNED), {_NO_DIGEST}))"


def _digest(table: Table) -> str:
    values = [
        f"IF({quote_identifier(name)} IS NULL, 'N', {_text(name, data_type)})" for name, data_type in table.columns
    ]
    separated = ", ',', ".join(values) or "''"
    return _sha256(f"CONCAT({separated})")


def _sha256(expression: str) -> str:
    """As fast as MD5 here; MySQL has no MD5 any more since 9.6."""
    return f"SHA2({expression}, 256)"


def _text(name: str, data_type: str) -> str:
    """An expression that gives a column's value as text without commas; NULL for a value means that it is too long."""
    column = quote_identifier(name)
    if data_type in _AS_TEXT:
        # HEX() of a number would round it first.
        return f"CAST({column} AS CHAR)"
    if data_type in _FLOATS:
        # MySQL keeps -0, which its own dump gives back as 0. A dump writes a FLOAT with the same six digits as here.
        return f"IF({column} = 0, '0', CAST({column} AS CHAR))"
    if data_type in _LARGE:
        return _sha256(column)
    if data_type == "json":
        return _sha256(f"CAST({column} AS CHAR)")
    if data_type in _SHAPES:
        return f"CONCAT(ST_SRID({column}), ':', {_sha256(f'ST_AsWKB({column})')})"
    if data_type == "bit":
        return f"CAST(CAST({column} AS UNSIGNED) AS CHAR)"
    return f"HEX({column})"


def _qualified(database: str, table: str) -> str:
    return f"{quote_identifier(database)}.{quote_identifier(table)}"


__all__ = ("NoDigestError", "Table", "edge_query", "newest_query", "read_sum", "read_tables", "whole_query")

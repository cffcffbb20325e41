# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fingerprint of a database: what it held at one exact position of its binary log, to compare a restore with.

Rows of every table, checksums where asked for, and the answers to the shop's own questions. It is not the snapshot of
a dump: a restore replays the binary log to exactly its position, and compares there.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _clock
from ._errors import BackupError
from ._fingerprint_file import (
    Fingerprint,
    from_bytes,
    manifest_fields,
    read_companion,
    to_bytes,
    write_companion,
)
from ._mysql import _business, _commits, _contents, _exact_snapshot, _inspect
from ._mysql._connection import Server, connect, identify, rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

# Definitions that changed under it are read again.
_ATTEMPTS: t.Final = 3
# Table definition has changed; no such table; unknown column; no such view or sequence any more.
_CHANGED: t.Final = (1412, 1146, 1054, 1932)
_QUERY_SECONDS: t.Final = 60


class _SchemaChangedError(Exception):
    """A definition changed between the snapshot and the reading."""


def take(
    options: t.Mapping[str, str],
    server: Server,
    database: str,
    *,
    queries: t.Mapping[str, str],
    receipt_query: str,
    checksums: bool,
    limit_bytes: int,
    settle: t.Callable[[], str | None] | None = None,
) -> Fingerprint:
    """Read *database* in one consistent snapshot; raise BackupError when that cannot be done exactly.

    A query that has no answer does not prevent it. *limit_bytes* bounds what is summed up whole. *settle*: see
    ``open_exact_snapshot``.
    """
    for _attempt in range(_ATTEMPTS):
        try:
            with connect(options) as connection:
                _prepare(connection, server, database)
                return _Taking(connection, server, database, settle).take(
                    queries, receipt_query=receipt_query, checksums=checksums, limit_bytes=limit_bytes
                )
        except _SchemaChangedError:
            continue
    raise BackupError(
        f"Failed to take a fingerprint of {database}: definitions changed during each of {_ATTEMPTS} attempts. Run it "
        "when no migration runs.",
        reason="schema_changed",
    )


class _Taking:
    def __init__(
        self, connection: Connection, server: Server, database: str, settle: t.Callable[[], str | None] | None
    ) -> None:
        self._settle = settle or (lambda: _commits.settled(connection, *_commits.STAGES))
        self._connection = connection
        self._server = server
        self._database = database

    def take(
        self, queries: t.Mapping[str, str], *, receipt_query: str, checksums: bool, limit_bytes: int
    ) -> Fingerprint:
        connection, database = self._connection, self._database
        definitions = _inspect.fingerprint(connection, database)
        sequences = _contents.read_sequences(connection, database)
        taken_at = _clock.now()
        # A sequence shows its next value before the binary log has it.
        settled = self._settle() if sequences else None
        where = _exact_snapshot.open_exact_snapshot(connection, self._server, settle=self._settle, settled=settled)
        with _exact_snapshot.released(connection):
            later = _contents.read_sequences(connection, database)
            facts = _contents.sequence_facts({} if settled is None else sequences, later)
        facts.update(self._read(checksums=checksums, limit_bytes=limit_bytes))
        _contents.limit_statements(connection, self._server, _QUERY_SECONDS)
        answers, receipt, problems = _ask_all(connection, queries, receipt_query)
        # Inside the snapshot, MySQL shows the definitions of then.
        connection.rollback()
        if _inspect.fingerprint(connection, database) != definitions:
            raise _SchemaChangedError
        return Fingerprint(
            file=where.file,
            position=where.position,
            gtid=where.gtid,
            taken_at=taken_at,
            tables=dict(sorted(facts.items())),
            queries=answers,
            receipt=receipt,
            checksums=checksums,
            statements={name: queries[name] for name in answers},
            receipt_query=receipt_query,
            problems=tuple(problems),
        )

    def _read(self, *, checksums: bool, limit_bytes: int) -> dict[str, _contents.Facts]:
        import pymysql

        try:
            reader = _contents.Reader(self._connection, self._server, self._database)
            return reader.all_facts(checksums=checksums, limit_bytes=limit_bytes)
        except pymysql.MySQLError as exc:
            if exc.args and exc.args[0] in _CHANGED:
                raise _SchemaChangedError from exc
            raise
        except _contents.NoDigestError as exc:
            raise _no_digest() from exc


def _prepare(connection: Connection, server: Server, database: str) -> None:
    limit = _inspect.session_limit(connection, server)
    if limit is not None:
        raise BackupError(
            f"Failed to read {database}: {limit} in every session of the account, so rows would be missing without an "
            "error. Set it back to its default, globally and in init_connect.",
            reason="limited_session",
        )
    if not rows(connection, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", [database]):
        raise BackupError(f"Failed to read {database}: the server has no such database.", reason="no_database")
    _contents.prepare_session(connection, server)
    # The shop's queries name tables without a database, so that they can be asked of a copy of any name.
    connection.select_db(database)


def _no_digest() -> BackupError:
    return BackupError(
        "Failed to sum up the rows of a table: the server gives no hash of some. Raise max_allowed_packet, or take "
        "fingerprints without checksums.",
        reason="no_fingerprint",
    )


def _ask_all(
    connection: Connection, queries: t.Mapping[str, str], receipt_query: str
) -> tuple[dict[str, _business.Answer], str | None, list[str]]:
    """Answers by name, the receipt, and what gave none."""
    answers: dict[str, _business.Answer] = {}
    receipt = None
    problems = []
    for name, query in sorted(queries.items()):
        try:
            with _exact_snapshot.released(connection):
                answers[name] = _business.ask(connection, query)
        except _business.QueryError as exc:
            problems.append(f"query {name}: {exc}")
    if receipt_query:
        try:
            with _exact_snapshot.released(connection):
                receipt = _business.ask_receipt(connection, receipt_query)
        except _business.QueryError as exc:
            problems.append(f"receipt query: {exc}")
    return answers, receipt, problems


def compare(expected: Fingerprint, connection: Connection, database: str) -> list[str]:
    """How *database*, of any name, differs from *expected*, in words; empty means equal.

    *connection* is left in another state: give it one of its own. Raises BackupError when there is nothing to compare.
    """
    comparable = [name for name, facts in expected.tables.items() if facts.get("exact", True)]
    if not comparable and not expected.queries:
        raise BackupError(
            "Failed to compare with the fingerprint: it holds nothing that can be compared. Name an artifact whose "
            "fingerprint covers a table.",
            reason="nothing_to_compare",
        )
    server = identify(connection)
    _prepare(connection, server, database)
    _exact_snapshot.open_snapshot(connection)
    try:
        found = list(_compare_tables(expected, connection, server, database))
        return [*found, *_compare_queries(expected, connection)]
    except _contents.NoDigestError as exc:
        raise _no_digest() from exc
    finally:
        connection.rollback()


def _compare_tables(expected: Fingerprint, connection: Connection, server: Server, database: str) -> t.Iterator[str]:
    reader = _contents.Reader(connection, server, database)
    sequences = _contents.read_sequences(connection, database)
    found = {**reader.tables, **sequences}
    for name, facts in sorted(expected.tables.items()):
        if name not in found:
            yield f"{name}: missing"
        elif not facts.get("exact", True):
            continue
        elif "value" in facts:
            if sequences.get(name) != facts["value"]:
                yield f"{name}: next value {sequences.get(name)} instead of {facts['value']}"
        elif name in sequences:
            yield f"{name}: a sequence instead of a table"
        else:
            try:
                yield from _differences(name, facts, reader.facts_like(facts, reader.tables[name]))
            except _contents.TimedOutError:
                yield f"{name}: could not be compared in time"
    for name in sorted(found.keys() - expected.tables.keys()):
        yield f"{name}: was not there when the fingerprint was taken"


def _differences(name: str, expected: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if found["rows"] != expected["rows"]:
        yield f"{name}: {found['rows']} rows instead of {expected['rows']}"
    elif found.get("range") != expected.get("range"):
        yield f"{name}: other first or last key"
    elif found["checksum"] != expected["checksum"]:
        of = f" of the newest {expected['newest']} rows" if "newest" in expected else ""
        yield f"{name}: checksum{of} differs"


def _compare_queries(expected: Fingerprint, connection: Connection) -> t.Iterator[str]:
    receipt_query = expected.receipt_query if expected.receipt is not None else ""
    answers, receipt, problems = _ask_all(connection, expected.statements, receipt_query)
    yield from problems
    for name, answer in sorted(expected.queries.items()):
        if name in answers and _sorted(answers[name]) != _sorted(answer):
            yield f"query {name}: {_how(answers[name], answer)}"
    if receipt_query and receipt != expected.receipt and not any(each.startswith("receipt") for each in problems):
        yield f"receipt: {receipt} instead of {expected.receipt}"


def _sorted(answer: _business.Answer) -> list[list[tuple[bool, str]]]:
    """Rows in an order of our own: without ORDER BY, the server's may differ after a restore."""
    return sorted([(value is not None, value or "") for value in row] for row in answer)


def _how(found: _business.Answer, expected: _business.Answer) -> str:
    if len(found) != len(expected):
        return f"{len(found)} rows instead of {len(expected)}"
    missing = [row for row in expected if row not in found]
    other = [row for row in found if row not in expected]
    if not missing or not other:
        return "rows differ in number"
    return f"{_shown(other[0])} instead of {_shown(missing[0])}"


def _shown(row: t.Sequence[str | None]) -> str:
    return ", ".join("NULL" if value is None else value for value in row)[:200]


__all__ = (
    "Fingerprint",
    "compare",
    "from_bytes",
    "manifest_fields",
    "read_companion",
    "take",
    "to_bytes",
    "write_companion",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shop's own questions to its database: bounded, and reading only.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import decimal
import re
import typing as t

from ._connection import first_line

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

    Answer = list[list[str | None]]

MOST_ROWS: t.Final = 1000
MOST_CHARACTERS: t.Final = 1024 * 1024
LONGEST_RECEIPT: t.Final = 100
MOST_TILLS: t.Final = 64

_NOT_CODE = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`|--[ \t][^\n]*|#[^\n]*|/\*(?!M?!).*?\*/", re.DOTALL
)
_READING = re.compile(r"[\s(]*(SELECT|WITH)\b", re.IGNORECASE)
_MORE_THAN_READING = re.compile(r"\bINTO\b|\bFOR\s+(?:UPDATE|SHARE)\b|\bLOCK\s+IN\b", re.IGNORECASE)
# The driver's own errors: the connection is gone, nothing more can be asked.
_CLIENT_ERRORS = range(2000, 3000)


class QueryError(Exception):
    """The query gives no answer; the text says why."""


def refusal(query: str) -> str | None:
    """Why *query* is not asked; None when it only reads. The transaction is read only beside this."""
    code = _NOT_CODE.sub(" ", query)
    if not _READING.match(code):
        return "it is not a SELECT"
    if "/*" in code:
        return "it has a comment that is executed"
    if ";" in code.rstrip().rstrip(";"):
        return "it is more than one statement"
    if _MORE_THAN_READING.search(code):
        return "it does more than read (INTO, or a lock)"
    return None


def ask(connection: Connection, query: str) -> Answer:
    """The answer to *query* as rows of texts, in the server's order; raises QueryError."""
    import pymysql
    import pymysql.cursors

    why = refusal(query)
    if why is not None:
        raise QueryError(why)
    try:
        with connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(query)
            return _bounded(cursor)
    except pymysql.MySQLError as exc:
        if not exc.args or exc.args[0] in _CLIENT_ERRORS:
            raise
        raise QueryError(first_line(exc)) from exc


def _bounded(answers: t.Iterable[t.Sequence[object]]) -> Answer:
    found: Answer = []
    size = 0
    for row in answers:
        texts = [_text(value) for value in row]
        size += sum(len(text or "") for text in texts)
        if len(found) == MOST_ROWS:
            raise QueryError(f"it gives more than {MOST_ROWS} rows")
        if size > MOST_CHARACTERS:
            raise QueryError(f"it gives more than {MOST_CHARACTERS} characters")
        found.append(texts)
    return found


def ask_receipt(connection: Connection, query: str) -> str | None:
    """The one value that *query* gives, or one for each till, in a line; None when there is none yet.

    For tills it gives rows of two columns, the till first. Raises QueryError.
    """
    answer = ask(connection, query)
    if not answer:
        return None
    columns = len(answer[0])
    if columns > 2 or len(answer) > (1 if columns == 1 else MOST_TILLS):
        raise QueryError(f"it gives more than one value, and not two columns for at most {MOST_TILLS} tills")
    for text in (value for row in answer for value in row if value is not None):
        if len(text) > LONGEST_RECEIPT or not text.isprintable():
            raise QueryError(f"it gives no line of at most {LONGEST_RECEIPT} characters")
    if columns == 1:
        return answer[0][0]
    return ", ".join(f"{till}: {receipt or 'none'}" for till, receipt in sorted(answer, key=str))


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


__all__ = (
    "LONGEST_RECEIPT",
    "MOST_CHARACTERS",
    "MOST_ROWS",
    "MOST_TILLS",
    "QueryError",
    "ask",
    "ask_receipt",
    "refusal",
)

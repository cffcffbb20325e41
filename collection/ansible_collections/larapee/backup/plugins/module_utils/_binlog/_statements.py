# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a statement in a binary log is, by its first words.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import itertools
import re
import typing as t

# Spaces, comments, and the frame of a comment that the server executes.
_IGNORED: t.Final = r"(?:\s|/\*M?![0-9]*|\*/|/\*(?!M?!).*?\*/|--(?=\s)[^\n]*|\#[^\n]*)"
_TOKEN: t.Final = re.compile(
    _IGNORED
    + r"""*(?:
    `(?P<quoted>(?:[^`]|``)*)`
    | "(?P<double>(?:[^"\\]|""|\\.)*)"
    | (?P<string>'(?:[^'\\]|''|\\.)*')
    | (?P<word>[\w$]+)
    | (?P<sign>.)
    )""",
    re.DOTALL | re.VERBOSE,
)
_STATEMENT_SETTINGS: t.Final = ("SET", "STATEMENT")

_DEFINITIONS: t.Final = frozenset({"CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"})
_CONTROL: t.Final = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA"})
# Accounts and care of tables: as text in every format of the log.
_CARE: t.Final = frozenset(
    {"GRANT", "REVOKE", "SET", "FLUSH", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "INSTALL", "UNINSTALL", "RESET"}
)


class Token(t.NamedTuple):
    """``kind`` is word, name (in back quotes), double (in double quotes: a name or a string), string or sign."""

    kind: str
    text: str

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


def tokens(text: str) -> t.Iterator[Token]:
    """The tokens of *text*, up to where it is cut off; of ``SET STATEMENT ... FOR`` what follows."""
    every = _tokens(text)
    first = list(itertools.islice(every, 2))
    if tuple(token.keyword for token in first) == _STATEMENT_SETTINGS:
        for token in every:
            if token.keyword == "FOR":
                break
    else:
        yield from first
    yield from every


def _tokens(text: str) -> t.Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "quoted":
            yield Token("name", match[kind].replace("``", "`"))
        elif kind == "double":
            yield Token("double", match[kind].replace('""', '"'))
        elif kind is not None:
            yield Token(kind, match[kind])


def kind(text: str) -> t.Literal["definition", "control", "care", "rows"]:
    """What a statement is: rows are changed by all that is nothing else."""
    word = next((token.keyword for token in tokens(text)), "")
    if word in _DEFINITIONS:
        return "definition"
    if word in _CONTROL:
        return "control"
    return "care" if word in _CARE else "rows"


__all__ = ("Token", "kind", "tokens")

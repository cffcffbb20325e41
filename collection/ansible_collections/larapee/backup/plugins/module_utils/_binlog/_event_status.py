# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which events of a schema run, according to the statements in the binary log.

A server that applies a log as a replica disables each event that it creates or alters; this says what the server that
wrote the log had.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from . import _statements
from ._statements import Token

ENABLED: t.Final = "ENABLED"
DISABLED: t.Final = "DISABLED"
ELSEWHERE: t.Final = "SLAVESIDE_DISABLED"

_END: t.Final = Token("sign", "")
_ON_REPLICA: t.Final = (("ON", "SLAVE"), ("ON", "REPLICA"))
# As newer releases of MySQL show it.
_ELSEWHERE_TOO: t.Final = "REPLICA_SIDE_DISABLED"
_SCHEMA: t.Final = ("DATABASE", "SCHEMA")


_DROP_SCHEMA: t.Final = "DROP SCHEMA"
_ALTERS_SEQUENCE: t.Final = re.compile(r"(?:\s|/\*.*?\*/)*ALTER\s+SEQUENCE\b", re.IGNORECASE | re.DOTALL)


def concerns_events(text: str) -> bool:
    """Whether a statement creates, alters, renames or drops events, be it with their schema."""
    return _Reader(text).action() is not None


def alters_sequence(text: str) -> bool:
    """Whether a statement alters a sequence: a server's replication thread skips it under a filter (MariaDB 10.11)."""
    return _ALTERS_SEQUENCE.match(text) is not None


class EventStatuses:
    """Statuses of the events of *schema* by name, as information_schema shows them; *initial* are those of the full."""

    def __init__(self, schema: str, initial: t.Mapping[str, str]) -> None:
        self._schema = schema
        # Names are compared without case, and shown as they were given.
        self._events = {
            name.casefold(): (name, ELSEWHERE if status == _ELSEWHERE_TOO else status)
            for name, status in initial.items()
        }

    def apply(self, database: str, text: str) -> None:
        """Follow one statement, issued with *database* as default; others than those of events change nothing."""
        reader = _Reader(text)
        action = reader.action()
        if action == _DROP_SCHEMA:
            self._drop_schema(reader)
        elif action == "DROP":
            self._drop(reader, database)
        elif action == "CREATE":
            self._create(reader, database)
        elif action == "ALTER":
            self._alter(reader, database)

    def result(self) -> dict[str, str]:
        return dict(self._events.values())

    def _create(self, reader: _Reader, database: str) -> None:
        unless_there = reader.accept("IF", "NOT", "EXISTS")
        schema, name = reader.name(database)
        key = name.casefold()
        if schema == self._schema and not (unless_there and key in self._events):
            self._events[key] = (name, reader.clauses().status or ENABLED)

    def _alter(self, reader: _Reader, database: str) -> None:
        reader.accept("IF", "EXISTS")
        schema, name = reader.name(database)
        clauses = reader.clauses()
        new_schema, new_name = clauses.renamed or (schema, name)
        if clauses.renamed and not new_schema:
            new_schema = database
        status = clauses.status
        if schema == self._schema:
            known = self._events.pop(name.casefold(), None)
            status = status or (known[1] if known else ENABLED)
            shown = new_name if clauses.renamed or known is None else known[0]
        else:
            shown = new_name
        if new_schema == self._schema:
            self._events[new_name.casefold()] = (shown, status or ENABLED)

    def _drop(self, reader: _Reader, database: str) -> None:
        reader.accept("IF", "EXISTS")
        schema, name = reader.name(database)
        if schema == self._schema:
            self._events.pop(name.casefold(), None)

    def _drop_schema(self, reader: _Reader) -> None:
        reader.accept("IF", "EXISTS")
        if reader.take().text == self._schema:
            self._events.clear()


class _Clauses(t.NamedTuple):
    status: str | None
    renamed: tuple[str, str] | None


class _Reader:
    """Reads one statement, token by token."""

    def __init__(self, text: str) -> None:
        self._tokens = _statements.tokens(text)
        self._ahead: list[Token] = []

    def take(self) -> Token:
        return self._ahead.pop(0) if self._ahead else next(self._tokens, _END)

    def peek(self, distance: int = 0) -> Token:
        while len(self._ahead) <= distance:
            self._ahead.append(next(self._tokens, _END))
        return self._ahead[distance]

    def accept(self, *keywords: str) -> bool:
        """Take *keywords* when they come next, all or none."""
        if any(self.peek(index).keyword != keyword for index, keyword in enumerate(keywords)):
            return False
        for _keyword in keywords:
            self.take()
        return True

    def action(self) -> str | None:
        """Read up to the object's name: CREATE, ALTER or DROP of an event, or the end of a whole schema."""
        verb = self.take().keyword
        replaces = self.accept("OR", "REPLACE")
        if (verb == "DROP" or (verb == "CREATE" and replaces)) and self.peek().keyword in _SCHEMA:
            self.take()
            return _DROP_SCHEMA
        if self.accept("DEFINER"):
            self.take()
            self._skip_account()
        return verb if verb in ("CREATE", "ALTER", "DROP") and self.accept("EVENT") else None

    def _skip_account(self) -> None:
        self.take()
        if self.peek().text == "(":
            self.take()
            self.take()
        elif self.peek().text == "@":
            self.take()
            self.take()
            # A host without quotes may have dots and hyphens.
            while self.peek().text in (".", "-"):
                self.take()
                self.take()

    def name(self, database: str) -> tuple[str, str]:
        """Schema and name of an event; without a schema it lies in *database*."""
        first = self.take().text
        if self.peek().text != "." or self.peek().kind != "sign":
            return database, first
        self.take()
        return first, self.take().text

    def clauses(self) -> _Clauses:
        """Read up to DO: its statement may hold any words."""
        status: str | None = None
        renamed: tuple[str, str] | None = None
        depth = 0
        while True:
            token = self.take()
            if token == _END or (token.keyword == "DO" and depth == 0):
                return _Clauses(status, renamed)
            if token.kind == "sign":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
            elif depth > 0:
                continue
            elif token.keyword == "RENAME" and self.accept("TO"):
                renamed = self.name("")
            elif token.keyword == "ENABLE":
                status = ENABLED
            elif token.keyword == "DISABLE":
                status = ELSEWHERE if any(self.accept(*words) for words in _ON_REPLICA) else DISABLED


__all__ = ("DISABLED", "ELSEWHERE", "ENABLED", "EventStatuses", "alters_sequence", "concerns_events")

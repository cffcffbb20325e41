# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups the events of a binary log file into transactions.

The walker has checked that an event arrived whole; here is what it means.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import functools
import typing as t

from . import _event_status, _events, _gtid, _statements
from ._errors import BinlogError
from ._events import GroupStart
from ._facts import Group

_BEGIN: t.Final = b"BEGIN"
_ENDS: t.Final = frozenset({b"COMMIT", b"ROLLBACK"})
_XA_BEGIN: t.Final = b"XA START"
_XA_ENDS: t.Final = (b"XA COMMIT", b"XA ROLLBACK")
_QUERIES: t.Final = frozenset({_events.QUERY, _events.COMPRESSED_QUERY})
_GTIDS: t.Final = frozenset({_events.GTID, _events.ANONYMOUS_GTID, _events.TAGGED_GTID, _events.MARIADB_GTID})
_LISTS: t.Final = frozenset({_events.GTID_LIST, _events.PREVIOUS_GTIDS})
# Between transactions, and nothing more to say about.
_APART: t.Final = frozenset({_events.BINLOG_CHECKPOINT, _events.START_ENCRYPTION})
_ENGINE_OF: t.Final = {
    _events.MARIADB_GTID: "mariadb",
    _events.GTID_LIST: "mariadb",
    _events.GTID: "mysql",
    _events.ANONYMOUS_GTID: "mysql",
    _events.TAGGED_GTID: "mysql",
    _events.PREVIOUS_GTIDS: "mysql",
}

# Neither begins nor ends a transaction, once one with several statements is under way.
PASSING: t.Final = _events.ROWS | _events.OTHERS


class Event(t.NamedTuple):
    """One whole event: *body* is its head where it is long."""

    kind: int
    at: int
    server_id: int
    flags: int
    start: int
    end: int
    body: bytes


class Groups:
    """Follows the events of one file.

    ``inside`` says that a transaction is under way of which only the end matters: events in PASSING need not be shown.
    """

    def __init__(self, engine: str, on_group: t.Callable[[Group], None] | None) -> None:
        self._engine = engine
        self._on_group = on_group
        self._open: GroupStart | None = None
        self._first: Event | None = None
        self._listed = False
        self._last_domains: dict[int, tuple[int, int]] = {}
        self._intervals: _gtid.Intervals = {}
        self._before: _gtid.State = _gtid.State.empty(engine)
        self._alone = False
        self._defines = False
        self.inside = False
        self.end: t.Literal["rotate", "stop", "open"] = "open"
        self.next_file: str | None = None
        self.complete_to = 0
        self.first_at: int | None = None
        self.last_at: int | None = None
        self.count = 0
        self.definitions = 0
        self.went_back = False
        self.has_statements = False
        self.event_statements: list[tuple[str, str]] = []

    @property
    def under_way(self) -> bool:
        return self._open is not None

    @property
    def before(self) -> _gtid.State:
        if not self._listed:
            raise BinlogError("it ends before its list of GTIDs")
        return self._before

    @property
    def after(self) -> _gtid.State:
        if self._engine == "mariadb":
            return _gtid.MariadbState(self._last_domains)
        return _gtid.MysqlState(self._intervals)

    def follow(self, event: Event) -> None:
        """Take the next event. Raises BinlogError where it cannot stand."""
        if self.end != "open":
            raise BinlogError(f"an event follows the end of the file at {event.start}", offset=event.start)
        kind = event.kind
        if _ENGINE_OF.get(kind, self._engine) != self._engine:
            raise BinlogError(f"the event at {event.start} is not one of {self._engine}", offset=event.start)
        if kind in _GTIDS:
            self._begin(event)
        elif self._open is not None:
            self._within(event)
        else:
            self._between(event)

    def _between(self, event: Event) -> None:
        kind = event.kind
        if kind in _LISTS and not self._listed:
            self._list(event)
        elif kind == _events.ROTATE:
            self.next_file = _events.read("Rotate event", event.start, functools.partial(_events.next_file, event.body))
            self.end = "rotate"
        elif kind == _events.STOP:
            self.end = "stop"
        elif kind == _events.INCIDENT:
            raise BinlogError(
                f"the server noted at {event.start} that it lost transactions (an incident)", offset=event.start
            )
        elif kind not in _APART and not event.flags & _events.IGNORABLE_FLAG:
            raise BinlogError(
                f"the event at {event.start} (type {kind}) stands outside of any transaction", offset=event.start
            )
        self.complete_to = event.end

    def _list(self, event: Event) -> None:
        if self._engine == "mariadb":
            reader = functools.partial(_events.mariadb_list, event.body)
            self._last_domains = _events.read("list of GTIDs", event.start, reader)
        else:
            sets = functools.partial(_events.mysql_list, event.body)
            self._intervals = _events.read("list of GTIDs", event.start, sets)
        self._before = self.after
        self._listed = True

    def _begin(self, event: Event) -> None:
        if self._first is not None:
            raise BinlogError(
                f"the transaction at {self._first.start} does not end before the next one at {event.start}",
                offset=event.start,
            )
        if not self._listed:
            raise BinlogError(
                f"a transaction stands before any list of GTIDs at {event.start}; the server that wrote it is too old",
                offset=event.start,
            )
        self._open = _events.read("GTID", event.start, functools.partial(_read_gtid, event))
        self._first = event
        self._alone = self._open.alone
        self._defines = self._open.definition
        self.inside = not self._alone

    def _within(self, event: Event) -> None:
        kind = event.kind
        if kind in _QUERIES:
            self._query(event)
        elif kind in (_events.XID, _events.XA_PREPARE):
            self._finish(event)
        elif kind == _events.TRANSACTION_PAYLOAD:
            # Compressed with an algorithm that Python does not have; rows alone are written so, unless this says more.
            self.has_statements |= self._open is not None and self._open.statements
            self._finish(event)
        elif kind in _events.ROWS:
            if self._alone and _events.read(
                "rows event", event.start, functools.partial(_events.ends_statement, event.body)
            ):
                self._finish(event)
        elif kind in _events.LOADS:
            self.has_statements = True
            if self._alone and kind == _events.EXECUTE_LOAD_QUERY:
                self._finish(event)
        elif kind not in _events.OTHERS and not event.flags & _events.IGNORABLE_FLAG:
            raise BinlogError(
                f"the event at {event.start} (type {kind}) stands inside a transaction", offset=event.start
            )

    def _query(self, event: Event) -> None:
        compressed = event.kind == _events.COMPRESSED_QUERY
        reader = functools.partial(_events.query, event.body, compressed=compressed)
        database, text = _events.read("statement", event.start, reader)
        if text in _ENDS or text.startswith(_XA_ENDS):
            self._finish(event)
        elif self._engine == "mysql" and self._alone and (text == _BEGIN or text.startswith(_XA_BEGIN)):
            self._alone = False
            self.inside = True
        else:
            self._statement(database.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
            if self._alone:
                self._finish(event)

    def _statement(self, database: str, text: str) -> None:
        kind = _statements.kind(text)
        if kind == "definition":
            self._defines = True
            if _event_status.concerns_events(text) or _event_status.alters_sequence(text):
                self.event_statements.append((database, text))
        elif kind == "rows":
            self.has_statements = True

    def _finish(self, event: Event) -> None:
        group, first = self._open, self._first
        self._open = self._first = None
        self.inside = False
        if group is None or first is None:
            return
        at = first.at if group.at is None else group.at
        if self.first_at is None:
            self.first_at = at
        self.went_back |= self.last_at is not None and at < self.last_at
        self.last_at = at
        self.count += 1
        self.definitions += self._defines
        self.complete_to = event.end
        if self._engine == "mariadb":
            self._last_domains[group.key] = group.number
        elif group.key is not None:
            _gtid.include(self._intervals, group.key, group.number)
        if self._on_group is not None:
            self._on_group(Group(_text(group), first.start, event.end, at, self._defines, first.server_id))


def _read_gtid(event: Event) -> GroupStart:
    if event.kind == _events.MARIADB_GTID:
        return _events.mariadb_gtid(event.body, event.server_id)
    if event.kind == _events.TAGGED_GTID:
        return _events.tagged_gtid(event.body)
    return _events.mysql_gtid(event.body, anonymous=event.kind == _events.ANONYMOUS_GTID)


def _text(group: GroupStart) -> str | None:
    if group.key is None:
        return None
    if isinstance(group.key, int):
        server, sequence = group.number
        return f"{group.key}-{server}-{sequence}"
    uuid, tag = group.key
    return f"{uuid}:{tag}:{group.number}" if tag else f"{uuid}:{group.number}"


__all__ = ("PASSING", "Event", "Groups")

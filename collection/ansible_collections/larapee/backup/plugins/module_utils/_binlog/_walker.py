# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walks through one binary log file as it passes: every byte is checked, and what the file holds is told.

The replay client skips a file that is missing and commits half a transaction without a word, so nothing is replayed or
stored that did not pass here.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t
import zlib

from . import _events, _groups
from ._errors import BinlogError
from ._facts import Group, LogFacts

_MAGIC: t.Final = b"\xfebin"
_ENCRYPTED_MAGIC: t.Final = b"\xfdbin"
# No server sends a longer one to a replica: its own limit of a packet, and room for the frame.
_LONGEST_EVENT: t.Final = (1 << 30) + (1 << 16)
# Held whole until its end has come; of a longer one only the head is kept.
_LONG: t.Final = 1 << 20
_HEAD: t.Final = 256 * 1024
# These are read to their end.
_WHOLE: t.Final = frozenset({_events.FORMAT_DESCRIPTION, _events.GTID_LIST, _events.PREVIOUS_GTIDS})
_LONGEST_WHOLE: t.Final = 64 << 20
# Offsets in the header, and of positions the part that it has room for.
_FLAGS: t.Final = 17
_POSITIONS: t.Final = (1 << 32) - 1

_FRAME: t.Final = struct.Struct("<4xB4xII2x")
_HEADER: t.Final = struct.Struct("<IBIIIH")
_WORD: t.Final = struct.Struct("<I")

Block = t.Union[bytes, bytearray, memoryview]


class _Long:
    """An event too long to be held: its checksum grows with it, its head is kept."""

    def __init__(self, length: int, *, kept: int, checksums: bool) -> None:
        self.missing = length
        self._checked = length - _events.CHECKSUM_SIZE if checksums else length
        self._kept = kept
        self._sum = 0
        self._stored = b""
        self.head = bytearray()

    def take(self, block: memoryview) -> memoryview:
        """Take what belongs to the event; returns the rest."""
        own, rest = block[: self.missing], block[self.missing :]
        self.missing -= len(own)
        self.head += own[: self._kept - len(self.head)]
        covered = own[: self._checked]
        self._sum = zlib.crc32(covered, self._sum)
        self._checked -= len(covered)
        self._stored += bytes(own[len(covered) :])
        return rest

    @property
    def whole(self) -> bool:
        return not self._stored or _WORD.unpack(self._stored)[0] == self._sum


class Walker:
    """Tap over one file of *engine*, in blocks of any size; *on_group* is called for each whole transaction.

    Raises BinlogError where the file cannot be what a server wrote, from then on each time; what was found before is in
    ``facts``. A file that ends within a transaction, but between two events, is not refused: ``complete_to`` tells.
    """

    def __init__(self, engine: str, *, on_group: t.Callable[[Group], None] | None = None) -> None:
        self._groups = _groups.Groups(engine, on_group)
        self._engine = engine
        self._size = 0
        # How far events were walked; what follows of the next one is in one of these.
        self._offset = 0
        self._carry = bytearray()
        self._long: _Long | None = None
        self._description: _events.Description | None = None
        self._described: tuple[int, int] = (0, 0)
        self._identity = ""
        self._sums = False
        self._largest = 0
        self._may_be_encrypted = False
        self._failure: BinlogError | None = None

    def feed(self, block: Block) -> None:
        """Take the next bytes of the file."""
        self._refuse_again()
        self._size += len(block)
        try:
            self._feed(memoryview(block))
        except BinlogError as exc:
            self._failure = exc
            raise

    def _feed(self, view: memoryview) -> None:
        while view:
            if self._long is not None:
                view = self._continue_long(self._long, view)
            elif self._carry or not self._offset:
                view = self._complete_carry(view)
            else:
                view = view[self._walk(view) :]
                if not self._begin_long(view):
                    self._carry += view
                return

    def close(self) -> LogFacts:
        """The facts of the whole file. Raises BinlogError when it is cut off within an event or before the first."""
        self._refuse_again()
        if self._carry or self._long is not None or not self._offset:
            raise BinlogError(f"it is cut off at {self._size}, within an event", offset=self._offset)
        return self.facts()

    def facts(self) -> LogFacts:
        """The facts of what has passed, also of a file that is cut off. Raises BinlogError when it has not begun."""
        if self._description is None:
            raise BinlogError("it is cut off before its first event ends", offset=self._offset)
        groups = self._groups
        server_id, created_at = self._described
        return LogFacts(
            size=self._size,
            version=self._description.version,
            server_id=server_id,
            created_at=created_at,
            after_start=self._description.created != 0,
            identity=self._identity,
            before=groups.before,
            after=groups.after,
            end=groups.end,
            next_file=groups.next_file,
            complete_to=groups.complete_to,
            first_at=groups.first_at,
            last_at=groups.last_at,
            groups=groups.count,
            definitions=groups.definitions,
            largest_event=self._largest,
            went_back=groups.went_back,
            has_statements=groups.has_statements,
            event_statements=tuple(groups.event_statements),
        )

    def _refuse_again(self) -> None:
        # What follows damage cannot be told apart from it.
        if self._failure is not None:
            raise self._failure

    def _complete_carry(self, view: memoryview) -> memoryview:
        """Add to the carry what it needs to be one whole event; returns the rest."""
        needed = self._needed()
        taken = view[: needed - len(self._carry)]
        self._carry += taken
        if len(self._carry) == needed:
            if not self._offset:
                self._check_magic()
            elif needed > _events.HEADER_SIZE:
                self._walk(memoryview(bytes(self._carry)))
                self._carry.clear()
            elif self._begin_long(memoryview(bytes(self._carry))):
                self._carry.clear()
        return view[len(taken) :]

    def _needed(self) -> int:
        if not self._offset:
            return len(_MAGIC)
        if len(self._carry) < _events.HEADER_SIZE:
            return _events.HEADER_SIZE
        return _FRAME.unpack_from(self._carry)[1]  # type: ignore[no-any-return]

    def _check_magic(self) -> None:
        if self._carry == _ENCRYPTED_MAGIC:
            raise BinlogError("it is encrypted; read it through the server")
        if self._carry != _MAGIC:
            raise BinlogError("it does not begin as a binary log file does")
        self._offset = len(_MAGIC)
        self._carry.clear()

    def _begin_long(self, view: memoryview) -> bool:
        """Look at the event that *view* begins: its frame is checked, a long one is taken; True when it was."""
        if len(view) < _events.HEADER_SIZE:
            return False
        kind, length, end = _FRAME.unpack_from(view)
        self._check_frame(length, end)
        if length <= _LONG:
            return False
        if kind in _WHOLE and length > _LONGEST_WHOLE:
            raise BinlogError(f"the event at {self._offset} is {length} bytes long", offset=self._offset)
        self._long = _Long(length, kept=length if kind in _WHOLE else _HEAD, checksums=self._sums)
        self._long.take(view)
        return True

    def _continue_long(self, event: _Long, view: memoryview) -> memoryview:
        rest = event.take(view)
        if not event.missing:
            self._long = None
            if not event.whole:
                self._refuse_checksum()
            self._event(bytes(event.head), _FRAME.unpack_from(event.head)[1])
        return rest

    def _walk(self, view: memoryview) -> int:
        """Walk through the whole events in *view*; returns where the first stands that is not whole."""
        at = 0
        size = len(view)
        last_header = size - _events.HEADER_SIZE
        unpack, word, crc32 = _FRAME.unpack_from, _WORD.unpack_from, zlib.crc32
        passing, groups = _groups.PASSING, self._groups
        while at <= last_header:
            kind, length, end = unpack(view, at)
            stop = at + length
            if (self._offset + length) & _POSITIONS != end or not _events.HEADER_SIZE < length < _LONGEST_EVENT:
                self._check_frame(length, end)
            if stop > size:
                break
            if self._sums and crc32(view[at : stop - 4]) != word(view, stop - 4)[0]:
                self._refuse_checksum()
            if kind in passing and groups.inside:
                self._offset += length
                if length > self._largest:
                    self._largest = length
            else:
                self._event(bytes(view[at:stop]), length)
            at = stop
        return at

    def _check_frame(self, length: int, end: int) -> None:
        shortest = _events.HEADER_SIZE + (_events.CHECKSUM_SIZE if self._sums else 0)
        # Newer releases of MariaDB leave positions within a transaction out: they write it before they know where.
        placed = end == (self._offset + length) & _POSITIONS or (end == 0 and self._groups.under_way)
        if placed and shortest <= length <= _LONGEST_EVENT:
            return
        self._refuse_encrypted()
        raise BinlogError(
            f"the event at {self._offset} says that it is {length} bytes long and ends at {end}", offset=self._offset
        )

    def _refuse_checksum(self) -> t.NoReturn:
        self._refuse_encrypted()
        raise BinlogError(f"the checksum of the event at {self._offset} is wrong", offset=self._offset)

    def _refuse_encrypted(self) -> None:
        # The server shows the events in clear, and leaves the note that they are encrypted on its disk.
        if self._may_be_encrypted:
            raise BinlogError("it is encrypted; read it through the server", offset=self._offset)

    def _event(self, raw: bytes, length: int) -> None:
        """Take one whole event whose checksum is right; *raw* is its head where it is long."""
        at, kind, server_id, _length, _end, flags = _HEADER.unpack_from(raw)
        if self._description is None:
            self._describe(raw, kind)
            self._described = (server_id, at)
        elif kind == _events.FORMAT_DESCRIPTION:
            raise BinlogError(f"a second file begins at {self._offset}", offset=self._offset)
        else:
            body_end = length - (_events.CHECKSUM_SIZE if self._sums else 0)
            body = raw[_events.HEADER_SIZE : body_end]
            event = _groups.Event(kind, at, server_id, flags, self._offset, self._offset + length, body)
            self._groups.follow(event)
            self._may_be_encrypted = kind == _events.START_ENCRYPTION
        self._offset += length
        self._largest = max(self._largest, length)

    def _describe(self, raw: bytes, kind: int) -> None:
        """Read the first event, which is always checked: it says whether the others are."""
        if kind != _events.FORMAT_DESCRIPTION:
            raise BinlogError("its first event does not describe the others", offset=self._offset)
        masked = bytearray(raw)
        masked[_FLAGS] &= ~_events.IN_USE_FLAG
        covered = masked[: -_events.CHECKSUM_SIZE]
        if zlib.crc32(covered) != _WORD.unpack_from(masked, len(covered))[0]:
            self._refuse_checksum()
        body = bytes(covered[_events.HEADER_SIZE :])
        self._description = _events.read("first event", self._offset, lambda: _events.description(body))
        if self._engine == "mysql" and "mariadb" in self._description.version.lower():
            raise BinlogError("it is from MariaDB", offset=self._offset)
        self._sums = self._description.checksums
        self._identity = hashlib.sha256(masked).hexdigest()
        self._groups.complete_to = self._offset + len(raw)


__all__ = ("Group", "LogFacts", "Walker")

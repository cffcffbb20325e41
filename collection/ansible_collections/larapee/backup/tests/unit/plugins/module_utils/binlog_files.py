# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary log files made by hand, event by event, and some that real servers wrote."""

from __future__ import annotations

import struct
import typing as t
import zlib
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _facts
from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError
from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Group, LogFacts, Walker

BEGAN = 1_795_389_821
UUID = "17375958-e6cc-11f1-aec2-46169dd03dbf"
STANDALONE = 1
DDL = 32


def recorded(name: str) -> bytes:
    """A file as a real server wrote it."""
    lines = (Path(__file__).parent / "recorded" / f"{name}.hex").read_text(encoding="ascii").splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


class LogFile:
    """Grows with each event; ``ends`` are those of events, ``edges`` of transactions and of what lies between them."""

    def __init__(self, engine: str = "mariadb", *, checksums: bool = True, started: bool = False) -> None:
        self.engine = engine
        self.raw = bytearray(b"\xfebin")
        self.groups: list[_facts.Group] = []
        self.ends: list[int] = []
        self.edges: list[int] = []
        self._checksums = checksums
        self._sequence = 0
        version = b"10.11.19-MariaDB-log" if engine == "mariadb" else b"9.7.4"
        lengths = bytearray(163)
        lengths[1] = 13
        body = struct.pack("<H50sIB", 4, version, BEGAN if started else 0, 19) + bytes(lengths) + bytes([checksums])
        self.event(15, body, always_checked=True)
        self.edges.append(len(self.raw))
        self.header_end = 0

    def event(
        self,
        kind: int,
        body: bytes = b"",
        *,
        at: int = BEGAN,
        server_id: int = 1,
        flags: int = 0,
        placed: bool = True,
        always_checked: bool = False,
    ) -> LogFile:
        checked = self._checksums or always_checked
        length = 19 + len(body) + 4 * checked
        end = len(self.raw) + length if placed else 0
        event = struct.pack("<IBIIIH", at, kind, server_id, length, end, flags) + body
        self.raw += event + (struct.pack("<I", zlib.crc32(event)) if checked else b"")
        self.ends.append(len(self.raw))
        return self

    def between(self, kind: int, body: bytes = b"") -> LogFile:
        self.event(kind, body)
        self.edges.append(len(self.raw))
        return self

    def listed(self, gtids: t.Sequence[tuple[int, int, int]] = ()) -> LogFile:
        """The list of GTIDs at the file's beginning: (domain, server, sequence); empty on MySQL."""
        if self.engine == "mysql":
            self.between(35, bytes(8))
        else:
            body = struct.pack("<I", len(gtids)) + b"".join(struct.pack("<IIQ", *gtid) for gtid in gtids)
            self.between(163, body if gtids else body + bytes(2))
        self.header_end = len(self.raw)
        return self

    def gtid(
        self, *, flags: int = 0, at: int = BEGAN, server_id: int = 1, domain: int = 0, number: int | None = None
    ) -> LogFile:
        self._sequence = number or self._sequence + 1
        self._start, self._at, self._server_id = len(self.raw), at, server_id
        self._text = f"{domain}-{server_id}-{self._sequence}"
        if self.engine == "mariadb":
            return self.event(162, struct.pack("<QIB6x", self._sequence, domain, flags), at=at, server_id=server_id)
        self._text = f"{UUID}:{self._sequence}"
        micro = (at * 1_000_000 + 999_999).to_bytes(7, "little")
        body = struct.pack("<B16sqB16x", flags, bytes.fromhex(UUID.replace("-", "")), self._sequence, 2) + micro
        # A second later in the header: the commit time is not that of the event.
        return self.event(33, body, at=at + 1, server_id=server_id)

    def query(
        self, text: str, *, database: str = "", compressed: bool = False, status: bytes = b"", **more: t.Any
    ) -> LogFile:
        raw, name = text.encode(), database.encode()
        if compressed:
            raw = b"\x84" + len(raw).to_bytes(4, "big") + zlib.compress(raw)
        head = struct.pack("<IIBHH", 5, 0, len(name), 0, len(status)) + status + name + b"\0"
        return self.event(165 if compressed else 2, head + raw, **more)

    def rows(self, *, size: int = 20, kind: int = 30, last: bool = True, **more: t.Any) -> LogFile:
        if self.engine == "mariadb":
            self.event(160, b"INSERT INTO t VALUES (1)", **more)
        self.event(19, b"map of a table", **more)
        return self.event(kind, bytes(6) + bytes([last, 0]) + b"r" * size, **more)

    def ended(self, *, definition: bool = False) -> LogFile:
        """What was written last ends the group."""
        self.groups.append(_facts.Group(self._text, self._start, len(self.raw), self._at, definition, self._server_id))
        self.edges.append(len(self.raw))
        return self

    def transaction(self, *, sizes: t.Sequence[int] = (20,), placed: bool = True, **gtid: t.Any) -> LogFile:
        self.gtid(**gtid)
        if self.engine == "mysql":
            self.query("BEGIN")
        for size in sizes:
            self.rows(size=size, placed=placed)
        return self.event(16, bytes(8)).ended()

    def definition(self, text: str, *, database: str = "", compressed: bool = False, **gtid: t.Any) -> LogFile:
        self.gtid(flags=STANDALONE | DDL, **gtid).query(text, database=database, compressed=compressed)
        return self.ended(definition=True)

    def rotate(self, name: str = "mysql-bin.000002") -> LogFile:
        return self.between(4, struct.pack("<Q", 4) + name.encode())

    def stop(self) -> LogFile:
        return self.between(3)


def walk(raw: bytes, engine: str = "mariadb", *, cuts: t.Sequence[int] = ()) -> tuple[LogFacts, list[Group]]:
    groups: list[Group] = []
    walker = Walker(engine, on_group=groups.append)
    edges = [0, *sorted(cuts), len(raw)]
    for start, end in zip(edges, edges[1:]):
        walker.feed(memoryview(raw)[start:end])
    return walker.close(), groups


def refused(raw: bytes, match: str, engine: str = "mariadb") -> BinlogError:
    with pytest.raises(BinlogError, match=match) as caught:
        walk(raw, engine)
    return caught.value

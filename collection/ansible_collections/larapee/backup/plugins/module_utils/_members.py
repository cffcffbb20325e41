# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of a tar as its bytes pass: ustar, GNU and pax, sparse files, dumpdirs; what is not plain is refused by name.

Python's tarfile keeps every member that it has seen, and believes each of them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import array
import typing as t

from . import _pax
from ._member_names import MemberError, printable, split_dumpdir, split_path, split_target

BLOCK: t.Final = 512
# One directory of a million names has a dumpdir of some 20 MiB.
_LONGEST_RECORDS: t.Final = 64 * 1024 * 1024
_LONGEST_MAP: t.Final = 16 * 1024 * 1024
_LARGEST: t.Final = 2**63 - 1

_KINDS: t.Final = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
}
_NAMED_TYPES: t.Final = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"D": "a directory in GNU's own old format",
    b"S": "a sparse file in GNU's own old format",
    b"M": "a continued member",
    b"V": "a volume header",
}
_LONG_NAMES: t.Final = {b"L": "path", b"K": "linkpath"}
_XATTR: t.Final = "SCHILY.xattr."


class Member(t.NamedTuple):
    """One member, judged. ``parts`` is its path below the top, empty for the top itself; ``size`` that of the content.

    ``target`` is a symbolic link's text as it is, or the path of what a hard link is another name of; ``names`` those
    that a directory held when it was archived, each after its code, None where that was not recorded.
    """

    parts: tuple[bytes, ...]
    kind: str
    mode: int
    uid: int
    gid: int
    uname: str
    gname: str
    mtime_ns: int
    size: int
    target: bytes
    names: frozenset[bytes] | None
    xattrs: t.Mapping[str, bytes]

    @property
    def path(self) -> bytes:
        return b"/".join(self.parts) or b"."


class Sink(t.Protocol):
    """Takes the members in turn. ``write`` gets the bytes of a file with their offset, never those of its holes."""

    def begin(self, member: Member) -> None: ...

    def write(self, block: memoryview, offset: int) -> None: ...

    def end(self, member: Member) -> None: ...


class MemberReader:
    """A tap that takes a tar apart into *sink*; call :meth:`finish` when all bytes have passed."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._gathered = bytearray()
        self._wanted = BLOCK
        self._then: t.Callable[[bytes], None] = self._header
        self._content_left = 0
        self._padding_left = 0
        self._offset = 0
        self._member: Member | None = None
        self._records: dict[str, bytes] = {}
        self._segments: t.Iterator[tuple[int, int]] = iter(())
        self._map = bytearray()
        self._stored = 0
        self._end_padding = 0
        self._zero_blocks = 0

    def feed(self, block: memoryview) -> None:
        while block:
            if self._zero_blocks == 2:
                if bytes(block).count(0) != len(block):
                    raise MemberError("Failed to read the archive: there are bytes after its end.")
                return
            if self._content_left:
                taken = block[: self._content_left]
                self._content_left -= len(taken)
                self._sink.write(taken, self._offset)
                self._offset += len(taken)
                block = block[len(taken) :]
                if not self._content_left:
                    self._next_segment()
            elif self._padding_left:
                skipped = min(self._padding_left, len(block))
                self._padding_left -= skipped
                block = block[skipped:]
            else:
                missing = self._wanted - len(self._gathered)
                self._gathered += block[:missing]
                block = block[missing:]
                if len(self._gathered) == self._wanted:
                    piece = bytes(self._gathered)
                    self._gathered.clear()
                    self._then(piece)

    def finish(self) -> None:
        """Raise MemberError unless the archive came to its proper end."""
        if self._zero_blocks != 2:
            raise MemberError("Failed to read the archive: it ends before its end mark.")

    def _expect(self, size: int, then: t.Callable[[bytes], None]) -> None:
        self._wanted = size
        self._then = then

    def _header(self, block: bytes) -> None:
        if block.count(0) == BLOCK:
            self._zero_blocks += 1
            return
        if self._zero_blocks:
            raise MemberError("Failed to read the archive: there is a member after a block of zeros.")
        if sum(block) - sum(block[148:156]) + 8 * 32 != _pax.number(block[148:156]):
            raise MemberError("Failed to read the archive: the checksum of a header is wrong.")
        flag = block[156:157]
        size = _pax.number(block[124:136])
        if flag in (b"x", b"g") or flag in _LONG_NAMES:
            if not 0 < size <= _LONGEST_RECORDS:
                raise MemberError(f"Failed to read the archive: {size} bytes of extended header.")
            self._expect(size, lambda body: self._extended(flag, body))
            return
        self._begin(block, flag, size)

    def _extended(self, flag: bytes, body: bytes) -> None:
        self._padding_left = -len(body) % BLOCK
        self._expect(BLOCK, self._header)
        if flag in _LONG_NAMES:
            self._records.setdefault(_LONG_NAMES[flag], body.rstrip(b"\0"))
        elif flag == b"x":
            self._records.update(_pax.parse_records(body))
        elif set(_pax.parse_records(body)) - {"comment"}:
            raise MemberError(
                "Failed to read the archive: it has a header for all members. Such archives are not ours."
            )

    def _begin(self, block: bytes, flag: bytes, size: int) -> None:
        records, self._records = self._records, {}
        name = _pax.name_of(block, records)
        sparse = any(key.startswith("GNU.sparse.") for key in records)
        kind = _KINDS.get(flag)
        if kind is None:
            what = _NAMED_TYPES.get(flag, f"of the unknown type {flag!r}")
            raise MemberError(f"Failed to accept the member '{printable(name)}': it is {what}.")
        if flag == b"\0" and name.endswith(b"/"):
            kind = "directory"
        size = _pax.decimal(records, "size", size)
        if not 0 <= size <= _LARGEST or (size and kind != "file") or (sparse and kind != "file"):
            raise MemberError(f"Failed to accept the member '{printable(name)}': a {kind} of {size} bytes.")
        parts = split_path(name, directory=kind == "directory")
        target = records.get("linkpath", block[157:257].split(b"\0", 1)[0])
        member = Member(
            parts=parts,
            kind=kind,
            mode=_pax.number(block[100:108]) & 0o7777,
            uid=_pax.decimal(records, "uid", _pax.number(block[108:116])),
            gid=_pax.decimal(records, "gid", _pax.number(block[116:124])),
            uname=_pax.text(records.get("uname", block[265:297])),
            gname=_pax.text(records.get("gname", block[297:329])),
            mtime_ns=_pax.nanoseconds(records["mtime"]) if "mtime" in records else _pax.number(block[136:148]) * 10**9,
            size=_pax.sparse_size(records, name) if sparse else size,
            target=split_target(name, target, kind),
            names=split_dumpdir(name, records.pop("GNU.dumpdir")) if "GNU.dumpdir" in records else None,
            xattrs={_xattr_name(key): value for key, value in records.items() if key.startswith(_XATTR)},
        )
        self._member = member
        self._padding_left = 0
        self._sink.begin(member)
        self._stored = size
        self._end_padding = -size % BLOCK
        if sparse:
            self._map.clear()
            self._expect(BLOCK, self._sparse_map)
            if size < BLOCK:
                raise MemberError(f"Failed to accept the member '{printable(name)}': its map of holes is missing.")
        else:
            self._segments = iter(((0, size),) if size else ())
            self._next_segment()

    def _sparse_map(self, block: bytes) -> None:
        member = t.cast(Member, self._member)  # set by _begin, before it expects a map
        self._map += block
        self._stored -= BLOCK
        numbers = bytes(self._map).split(b"\n")
        count = _pax.parse_decimal(numbers[0])
        if count is None or len(numbers) - 1 < 1 + 2 * count:
            if self._stored < BLOCK or len(self._map) >= _LONGEST_MAP:
                raise MemberError(
                    f"Failed to accept the member '{printable(member.path)}': its map of holes has no end."
                )
            return
        self._segments = _segments(member, numbers[1 : 1 + 2 * count], self._stored)
        self._next_segment()

    def _next_segment(self) -> None:
        member = t.cast(Member, self._member)  # content belongs to a member
        for offset, size in self._segments:
            if size:
                self._offset, self._content_left = offset, size
                return
        self._padding_left = self._end_padding
        self._expect(BLOCK, self._header)
        self._member = None
        self._sink.end(member)


def _xattr_name(key: str) -> str:
    """As GNU tar writes them: a keyword cannot hold ``=``."""
    return key[len(_XATTR) :].replace("%3D", "=").replace("%25", "%")


def _segments(member: Member, numbers: t.Sequence[bytes], stored: int) -> t.Iterator[tuple[int, int]]:
    """What of a sparse file is no hole: rising, apart, inside the file, and as many bytes as are stored."""
    values = array.array("q")
    for raw in numbers:
        value = _pax.parse_decimal(raw)
        if value is None or value > _LARGEST:
            raise MemberError(f"Failed to accept the member '{printable(member.path)}': its map of holes is no map.")
        values.append(value)
    reached = total = 0
    for offset, size in zip(values[::2], values[1::2]):
        if offset < reached or offset + size > member.size:
            raise MemberError(
                f"Failed to accept the member '{printable(member.path)}': its map of holes contradicts it."
            )
        reached, total = offset + size, total + size
    if total != stored:
        raise MemberError(
            f"Failed to accept the member '{printable(member.path)}': its map of holes contradicts its size."
        )
    return zip(values[::2], values[1::2])


__all__ = ("BLOCK", "Member", "MemberReader", "Sink")

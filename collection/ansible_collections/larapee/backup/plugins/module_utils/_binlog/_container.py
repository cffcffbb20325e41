# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain bytes of an increment: a tar of whole binary log files, in the order in which the server wrote them.

Stock tar reads it. Nothing else may lie in one: what is read from it becomes files of a server.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .. import _tar
from . import _names
from ._errors import BinlogError

_PIECE: t.Final = 256 * 1024
_MODE: t.Final = 0o100600

# Fields of a header.
_NAME: t.Final = slice(0, 100)
_SIZE: t.Final = slice(124, 136)
_CHECKSUM: t.Final = slice(148, 156)
_TYPE: t.Final = slice(156, 157)
_LINK: t.Final = slice(157, 257)
_MAGIC: t.Final = slice(257, 262)
_PREFIX: t.Final = slice(345, 500)
_EMPTY_BLOCK: t.Final = bytes(_tar.BLOCK)
# More than any file system holds in one file.
_LARGEST: t.Final = 1 << 60

Write = t.Callable[[t.Union[bytes, memoryview]], object]


class _Status:
    """What a header tells of a member: owned by nobody in particular, closed to others."""

    st_mode = _MODE
    st_uid = 0
    st_gid = 0

    def __init__(self, status: os.stat_result) -> None:
        self.st_mtime_ns = int(status.st_mtime) * 10**9


def write_container(files: t.Sequence[tuple[str, str]], write: Write) -> None:
    """Give the container of *files*, (name, path) in order, to *write*, piece by piece.

    Raises BinlogError for names that cannot lie in one, and for a file that changes meanwhile.
    """
    order = _Order()
    total = 0
    for name, path in files:
        order.check(name)
        total += _write_member(name, path, write)
    write(_tar.ending(total))


def _write_member(name: str, path: str, write: Write) -> int:
    with open(path, "rb", buffering=0) as source:
        status = os.fstat(source.fileno())
        size = status.st_size
        header = _tar.header(name.encode(), _tar.REGULAR, t.cast(os.stat_result, _Status(status)), size=size)
        write(header)
        buffer = memoryview(bytearray(_PIECE))
        missing = size
        while missing:
            count = source.readinto(buffer[:missing])
            if not count:
                raise BinlogError(f"{name} became shorter while it was read", offset=size - missing)
            write(buffer[:count])
            missing -= count
        if source.read(1):
            raise BinlogError(f"{name} became longer while it was read", offset=size)
    padding = _tar.padding(size)
    write(padding)
    return len(header) + size + len(padding)


class ContainerWriter:
    """First in a pipeline: makes the container of *files*, (name, path) in order."""

    def __init__(self, files: t.Sequence[tuple[str, str]]) -> None:
        self._files = files

    def write_to(self, descriptor: int) -> None:
        def write(block: bytes | memoryview) -> None:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(descriptor, rest) :]

        write_container(self._files, write)


class _Order:
    """Names follow each other without a gap."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def check(self, name: str) -> None:
        if not _names.is_log_name(name) or len(name.encode("utf-8", "surrogateescape")) > 100 or not name.isascii():
            raise BinlogError(f"{name!r} is not a name of a binary log file")
        if self.names and name != _names.next_name(self.names[-1]):
            raise BinlogError(f"{name} does not follow {self.names[-1]}")
        self.names.append(name)


class ContainerReader:
    """Tap over a container, in blocks of any size.

    Calls *begin* with name and size, *data* with its bytes as they come, *end* with the name. Raises BinlogError for
    all that ``write_container`` does not make, and, from ``close``, for one that is cut off.
    """

    def __init__(
        self,
        *,
        begin: t.Callable[[str, int], None],
        data: t.Callable[[memoryview], None],
        end: t.Callable[[str], None],
    ) -> None:
        self._begin = begin
        self._data = data
        self._end = end
        self._order = _Order()
        self._offset = 0
        self._header = bytearray()
        self._header_at = 0
        self._missing = 0
        self._padding = 0
        self._empty_blocks = 0

    def feed(self, block: bytes | memoryview) -> None:
        view = memoryview(block)
        while view:
            if self._missing:
                taken = view[: self._missing]
                self._data(taken)
                self._missing -= len(taken)
                if not self._missing:
                    self._end(self._order.names[-1])
            elif self._padding:
                taken = view[: self._padding]
                self._padding -= len(taken)
                self._refuse_unless_zeros(taken)
            else:
                taken = view[: _tar.BLOCK - len(self._header)]
                if not self._header:
                    self._header_at = self._offset
                self._header += taken
                if len(self._header) == _tar.BLOCK:
                    self._read_header(bytes(self._header))
                    self._header.clear()
            self._offset += len(taken)
            view = view[len(taken) :]

    def close(self) -> tuple[str, ...]:
        """The names, in order. Raises BinlogError when the container does not end as one."""
        if self._missing or self._padding or self._header or self._empty_blocks < 2:
            raise BinlogError(f"the container is cut off at {self._offset}", offset=self._offset)
        if not self._order.names:
            raise BinlogError("the container is empty")
        return tuple(self._order.names)

    def _read_header(self, raw: bytes) -> None:
        if raw == _EMPTY_BLOCK:
            self._empty_blocks += 1
            return
        if self._empty_blocks:
            raise self._refusal("something after its end")
        name, size = self._read_fields(raw)
        self._order.check(name)
        self._missing = size
        self._padding = -size % _tar.BLOCK
        self._begin(name, size)
        if not size:
            self._end(name)

    def _read_fields(self, raw: bytes) -> tuple[str, int]:
        expected = sum(raw) - sum(raw[_CHECKSUM]) + len(raw[_CHECKSUM]) * ord(" ")
        try:
            found = int(raw[_CHECKSUM].strip(b" \0"), 8)
            size = _number(raw[_SIZE])
            name = raw[_NAME].rstrip(b"\0").decode("ascii")
        except ValueError as exc:
            raise self._refusal("no member") from exc
        if found != expected or raw[_MAGIC] != b"ustar" or size > _LARGEST:
            raise self._refusal("no member")
        if raw[_TYPE] != _tar.REGULAR or raw[_LINK].strip(b"\0") or raw[_PREFIX].strip(b"\0"):
            raise self._refusal("something else than a plain file")
        return name, size

    def _refusal(self, text: str) -> BinlogError:
        return BinlogError(f"the container holds {text} at {self._header_at}", offset=self._header_at)

    def _refuse_unless_zeros(self, block: memoryview) -> None:
        if any(block):
            raise BinlogError(f"the container holds bytes of no member at {self._offset}", offset=self._offset)


def _number(field: bytes) -> int:
    # Beyond 8 GiB base 256.
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0"), 8)


__all__ = ("ContainerReader", "ContainerWriter", "write_container")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headers of a POSIX pax archive, as GNU tar and Python's tarfile read them.

Own code, because tarfile makes an object of each member (four times the time of a small file) and cannot write sparse
files.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
import struct
import typing as t

BLOCK: t.Final = 512
# GNU tar reads and writes records of 20 blocks.
RECORD: t.Final = 20 * BLOCK

REGULAR: t.Final = b"0"
HARD_LINK: t.Final = b"1"
SYMBOLIC_LINK: t.Final = b"2"
DIRECTORY: t.Final = b"5"
EXTENDED: t.Final = b"x"

DUMPDIR: t.Final = b"GNU.dumpdir"
XATTR: t.Final = b"SCHILY.xattr."
SPARSE_MAJOR: t.Final = b"GNU.sparse.major"
SPARSE_MINOR: t.Final = b"GNU.sparse.minor"
SPARSE_NAME: t.Final = b"GNU.sparse.name"
SPARSE_SIZE: t.Final = b"GNU.sparse.realsize"

# In a dumpdir, before each name.
IN_ARCHIVE: t.Final = b"Y"
NOT_IN_ARCHIVE: t.Final = b"N"
SUBDIRECTORY: t.Final = b"D"

Records = list[tuple[bytes, t.Union[bytes, bytearray]]]

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s16s155s12x")
_MAGIC = b"ustar\x0000"
_DEVICE = b"0000000\x000000000\x00"
_NAME_BYTES = 100
_OWNER_BYTES = 31
_OCTAL_8 = 0o7777777
_OCTAL_12 = 0o77777777777


def pax_record(keyword: bytes, value: bytes | bytearray) -> bytes:
    """One record ``<length> <keyword>=<value>\\n``; the length counts its own digits."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"".join((b"%d %b=" % (length, keyword), value, b"\n"))


def xattr_keyword(name: str) -> bytes:
    """As GNU tar writes it: a keyword ends with the first ``=``."""
    return XATTR + os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D")


def header(
    name: bytes,
    kind: bytes,
    status: os.stat_result,
    *,
    size: int = 0,
    target: bytes = b"",
    records: Records | None = None,
) -> bytes:
    """What stands before a member's bytes; *records* are added to those that its name, owner and time need."""
    extended: Records = []
    if len(name) > _NAME_BYTES or not name.isascii():
        extended.append((b"path", name))
    if len(target) > _NAME_BYTES or not target.isascii():
        extended.append((b"linkpath", target))
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    if nanoseconds or not 0 <= seconds <= _OCTAL_12:
        extended.append((b"mtime", _decimal_time(status.st_mtime_ns)))
    owners = []
    for keyword, number, owner in (
        (b"u", status.st_uid, _user(status.st_uid)),
        (b"g", status.st_gid, _group(status.st_gid)),
    ):
        if number > _OCTAL_8:
            extended.append((keyword + b"id", b"%d" % number))
        if len(owner) > _OWNER_BYTES or not owner.isascii():
            extended.append((keyword + b"name", owner))
        owners.append((min(number, _OCTAL_8), owner[:_OWNER_BYTES]))
    extended += records or []
    raw = _block(
        name,
        kind,
        mode=stat.S_IMODE(status.st_mode),
        owners=owners,
        size=size,
        seconds=min(max(seconds, 0), _OCTAL_12),
        target=target,
    )
    if not extended:
        return raw
    # Joined once: the dumpdir of a large directory is many megabytes.
    parts = [pax_record(keyword, value) for keyword, value in extended]
    size = sum(map(len, parts))
    return b"".join([_extended_block(size), *parts, padding(size), raw])


def padding(size: int) -> bytes:
    """The zeros that fill the last block of *size* bytes."""
    return bytes(-size % BLOCK)


def ending(size: int) -> bytes:
    """What ends an archive of *size* bytes: two empty blocks, and the rest of the record."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def sparse_map(extents: t.Sequence[tuple[int, int]]) -> bytes:
    """The list of (offset, length) that stands before the bytes of a sparse file, format 1.0."""
    text = b"%d\n" % len(extents) + b"".join([b"%d\n%d\n" % extent for extent in extents])
    return text + padding(len(text))


def sparse_records(name: bytes, size: int) -> Records:
    """The records of a sparse member that is *size* bytes when its holes are filled."""
    return [(SPARSE_MAJOR, b"1"), (SPARSE_MINOR, b"0"), (SPARSE_NAME, name), (SPARSE_SIZE, b"%d" % size)]


def _block(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    owners: list[tuple[int, bytes]],
    size: int,
    seconds: int,
    target: bytes = b"",
) -> bytes:
    (uid, user), (gid, group) = owners
    fields = [
        name,
        b"%07o" % mode,
        b"%07o" % uid,
        b"%07o" % gid,
        # Beyond 8 GiB base 256, which every tar reads, also where a record "size" would be that of the filled holes.
        b"%011o" % size if size <= _OCTAL_12 else b"\x80" + size.to_bytes(11, "big"),
        b"%011o" % seconds,
        b"        ",
        kind,
        target,
        _MAGIC,
        user,
        group,
        _DEVICE,
        b"",
    ]
    fields[6] = b"%06o\0 " % sum(_HEADER.pack(*fields))
    return _HEADER.pack(*fields)


@functools.lru_cache(maxsize=1024)
def _extended_block(size: int) -> bytes:
    return _block(b"././@PaxHeader", EXTENDED, mode=0o600, owners=[(0, b""), (0, b"")], size=size, seconds=0)


def _decimal_time(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    return b"%b%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, rest)


@functools.lru_cache(maxsize=1024)
def _user(number: int) -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(number).pw_name)
    except (KeyError, OSError):
        return b""


@functools.lru_cache(maxsize=1024)
def _group(number: int) -> bytes:
    try:
        return os.fsencode(grp.getgrgid(number).gr_name)
    except (KeyError, OSError):
        return b""


__all__ = (
    "BLOCK",
    "DIRECTORY",
    "DUMPDIR",
    "EXTENDED",
    "HARD_LINK",
    "IN_ARCHIVE",
    "NOT_IN_ARCHIVE",
    "RECORD",
    "REGULAR",
    "SPARSE_MAJOR",
    "SPARSE_MINOR",
    "SPARSE_NAME",
    "SPARSE_SIZE",
    "SUBDIRECTORY",
    "SYMBOLIC_LINK",
    "XATTR",
    "Records",
    "ending",
    "header",
    "padding",
    "pax_record",
    "sparse_map",
    "sparse_records",
    "xattr_keyword",
)

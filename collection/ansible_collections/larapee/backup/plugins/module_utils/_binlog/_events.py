# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events of binary logs: their numbers, and the bodies that matter here.

A body is what stands between an event's header and its checksum.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import struct
import typing as t
import zlib

from ._errors import BinlogError

HEADER_SIZE: t.Final = 19
CHECKSUM_SIZE: t.Final = 4

QUERY: t.Final = 2
STOP: t.Final = 3
ROTATE: t.Final = 4
FORMAT_DESCRIPTION: t.Final = 15
XID: t.Final = 16
EXECUTE_LOAD_QUERY: t.Final = 18
INCIDENT: t.Final = 26
GTID: t.Final = 33
ANONYMOUS_GTID: t.Final = 34
PREVIOUS_GTIDS: t.Final = 35
XA_PREPARE: t.Final = 38
TRANSACTION_PAYLOAD: t.Final = 40
TAGGED_GTID: t.Final = 42
BINLOG_CHECKPOINT: t.Final = 161
MARIADB_GTID: t.Final = 162
GTID_LIST: t.Final = 163
START_ENCRYPTION: t.Final = 164
COMPRESSED_QUERY: t.Final = 165

ROWS: t.Final = frozenset({20, 21, 22, 23, 24, 25, 30, 31, 32, 39, 166, 167, 168, 169, 170, 171})
# A file of rows for LOAD DATA, which only statements need.
LOADS: t.Final = frozenset({9, 11, 17, EXECUTE_LOAD_QUERY})
# Variables, maps of tables, texts of statements and what clusters add: neither begins nor ends anything.
OTHERS: t.Final = frozenset({5, 13, 14, 19, 28, 29, 36, 37, 160})

IGNORABLE_FLAG: t.Final = 0x80
# Of the Format_description event, while the server has the file open; its checksum is made without it.
IN_USE_FLAG: t.Final = 0x01
STATEMENT_END_FLAG: t.Final = 0x01

STANDALONE: t.Final = 1
_GROUP_DEFINES: t.Final = 32
_MAY_HAVE_STATEMENTS: t.Final = 1

# What a Query event holds of its text is cut here: the head says what the statement is.
_TEXT_LIMIT: t.Final = 64 * 1024

_DESCRIPTION = struct.Struct("<H50sIB")
_QUERY = struct.Struct("<IIBHH")
_MARIADB_GTID = struct.Struct("<QIB")
_MARIADB_GTID_OF_LIST = struct.Struct("<IIQ")
_GTID = struct.Struct("<B16sqB16x")
_CRC32: t.Final = 1


@dataclasses.dataclass(frozen=True)
class Description:
    """A Format_description event: what the rest of the file looks like."""

    version: str
    created: int
    checksums: bool


@dataclasses.dataclass(frozen=True)
class GroupStart:
    """What a GTID event says.

    ``key`` and ``number`` are domain and (server, sequence) on MariaDB, (uuid, tag) and the number on MySQL; both are
    None without GTIDs. ``alone``: the next statement is the whole group. ``at`` is None where the header tells it.
    """

    key: t.Any
    number: t.Any
    alone: bool
    definition: bool
    statements: bool
    at: int | None


def description(body: bytes) -> Description:
    """Read a Format_description event; *body* ends with the byte that names the algorithm of the checksums."""
    layout, version, created, header_size = _DESCRIPTION.unpack_from(body)
    lengths = body[_DESCRIPTION.size : -1]
    if layout != 4 or header_size != HEADER_SIZE or lengths[QUERY - 1] != _QUERY.size or body[-1] > _CRC32:
        raise ValueError("another layout")
    return Description(
        version=version.rstrip(b"\0").decode("ascii", "replace"), created=created, checksums=body[-1] == _CRC32
    )


def mariadb_gtid(body: bytes, server_id: int) -> GroupStart:
    sequence, domain, flags = _MARIADB_GTID.unpack_from(body)
    return GroupStart(
        key=domain,
        number=(server_id, sequence),
        alone=bool(flags & STANDALONE),
        definition=bool(flags & _GROUP_DEFINES),
        statements=False,
        at=None,
    )


def mariadb_list(body: bytes) -> dict[int, tuple[int, int]]:
    """Domain to (server, sequence); of the servers of one domain, the last one in the list wrote last."""
    count = int.from_bytes(body[:4], "little") & 0x0FFFFFFF
    end = 4 + count * _MARIADB_GTID_OF_LIST.size
    # An empty list is filled up with two bytes.
    if len(body) != (end if count else 6):
        raise ValueError("another length")
    return {domain: (server, sequence) for domain, server, sequence in _MARIADB_GTID_OF_LIST.iter_unpack(body[4:end])}


def mysql_gtid(body: bytes, *, anonymous: bool) -> GroupStart:
    flags, uuid, number, clock = _GTID.unpack_from(body)
    if clock != 2:
        raise ValueError("another layout")
    micro = int.from_bytes(body[_GTID.size : _GTID.size + 7], "little") if len(body) >= _GTID.size + 7 else 0
    # The topmost bit says that the time on the first server follows.
    return _mysql_group(None if anonymous else (uuid_text(uuid), ""), number, flags, micro & ~(1 << 55))


def tagged_gtid(body: bytes) -> GroupStart:
    """Read a GTID event with a tag: numbered fields, each as long as it needs to be."""
    version, at = _variable(body, 0)
    if version != 1:
        raise ValueError("another layout")
    size, at = _variable(body, at)
    if size != len(body):
        raise ValueError("another length")
    _last_needed, at = _variable(body, at)
    fields: dict[int, t.Any] = {}
    while at < len(body):
        number, at = _variable(body, at)
        if number == 1:
            octets = bytearray()
            for _position in range(16):
                octet, at = _variable(body, at)
                octets.append(octet)
            fields[number] = uuid_text(bytes(octets))
        elif number == 3:
            length, at = _variable(body, at)
            fields[number] = body[at : at + length].decode("ascii")
            at += length
        else:
            fields[number], at = _variable(body, at)
        if number >= 6:
            break
    # Signed numbers lie one bit higher.
    return _mysql_group((fields[1], fields[3]), fields[2] >> 1, fields[0], fields.get(6, 0))


def _mysql_group(key: tuple[str, str] | None, number: int, flags: int, micro: int) -> GroupStart:
    return GroupStart(
        key=key,
        number=number,
        alone=True,
        definition=False,
        statements=bool(flags & _MAY_HAVE_STATEMENTS),
        at=micro // 1_000_000 or None,
    )


def mysql_list(body: bytes) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Read a Previous_gtids event; with tags it names its format in the first and the last of eight bytes."""
    tagged = body[7] == 1
    count = int.from_bytes(body[1:7] if tagged else body[:8], "little")
    if tagged and body[0] != 1:
        raise ValueError("another layout")
    at = 8
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for _server in range(count):
        uuid = uuid_text(body[at : at + 16])
        at += 16
        tag = ""
        if tagged:
            length, at = _variable(body, at)
            tag = body[at : at + length].decode("ascii")
            at += length
        end = at + 8 + int.from_bytes(body[at : at + 8], "little") * 16
        found[uuid, tag] = list(struct.iter_unpack("<qq", body[at + 8 : end]))
        at = end
    if at != len(body):
        raise ValueError("another length")
    return found


def uuid_text(raw: bytes) -> str:
    text = raw.hex()
    if len(text) != 32:
        raise ValueError("another length")
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _variable(body: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends: as many more bytes follow the first as that one has ones at its lower end."""
    first = body[at]
    more = 8 if first == 0xFF else (~first & (first + 1)).bit_length() - 1
    end = at + 1 + more
    if end > len(body):
        raise ValueError("another length")
    # The first byte keeps what its ones and the zero after them leave of it.
    own = max(0, 7 - more)
    value = (first >> (8 - own)) | int.from_bytes(body[at + 1 : end], "little") << own
    return value, end


def query(body: bytes, *, compressed: bool) -> tuple[bytes, bytes]:
    """Default database and the head of the statement's text. *body* may be cut off in the text."""
    _thread, _seconds, database_length, _error, status_length = _QUERY.unpack_from(body)
    start = _QUERY.size + status_length
    database = body[start : start + database_length]
    text = body[start + database_length + 1 :]
    if body[start + database_length] != 0:
        raise ValueError("another layout")
    if compressed:
        # One byte names algorithm (zlib alone) and how many bytes tell the length.
        if text[0] & 0xF8 != 0x80:
            raise ValueError("another layout")
        text = zlib.decompressobj().decompress(text[1 + (text[0] & 7) :], _TEXT_LIMIT)
    return database, text[:_TEXT_LIMIT]


def next_file(body: bytes) -> str:
    return body[8:].decode("utf-8")


def ends_statement(body: bytes) -> bool:
    """Whether these rows are the last of their statement."""
    return bool(body[6] & STATEMENT_END_FLAG)


_T = t.TypeVar("_T")


def read(what: str, offset: int, reader: t.Callable[[], _T]) -> _T:
    """Call *reader*; whatever it stumbles over becomes a BinlogError for the event at *offset*."""
    try:
        return reader()
    except (ValueError, LookupError, OverflowError, struct.error, zlib.error) as exc:
        raise BinlogError(f"the {what} at {offset} has a layout that is not known", offset=offset) from exc


__all__ = (
    "ANONYMOUS_GTID",
    "BINLOG_CHECKPOINT",
    "CHECKSUM_SIZE",
    "COMPRESSED_QUERY",
    "EXECUTE_LOAD_QUERY",
    "FORMAT_DESCRIPTION",
    "GTID",
    "GTID_LIST",
    "HEADER_SIZE",
    "IGNORABLE_FLAG",
    "INCIDENT",
    "IN_USE_FLAG",
    "LOADS",
    "MARIADB_GTID",
    "OTHERS",
    "PREVIOUS_GTIDS",
    "QUERY",
    "ROTATE",
    "ROWS",
    "STANDALONE",
    "START_ENCRYPTION",
    "STOP",
    "TAGGED_GTID",
    "TRANSACTION_PAYLOAD",
    "XA_PREPARE",
    "XID",
    "Description",
    "GroupStart",
    "description",
    "ends_statement",
    "mariadb_gtid",
    "mariadb_list",
    "mysql_gtid",
    "mysql_list",
    "next_file",
    "query",
    "read",
    "tagged_gtid",
    "uuid_text",
)

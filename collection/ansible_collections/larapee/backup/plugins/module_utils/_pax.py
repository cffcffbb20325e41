# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of tar headers and the records of pax headers.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ._member_names import MemberError, printable

_DECIMAL = re.compile(rb"[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]*))?")
_VERSION_OF_SPARSE: t.Final = (b"1", b"0")


def number(field: bytes) -> int:
    """The number in a header's *field*: octal digits, or GNU's base 256 for what they cannot hold."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise MemberError(f"Failed to read the archive: {field!r} in a header is no number.") from None


def parse_decimal(raw: bytes) -> int | None:
    return int(raw) if _DECIMAL.fullmatch(raw) else None


def decimal(records: t.Mapping[str, bytes], key: str, otherwise: int) -> int:
    """The number of the record *key*, or *otherwise* when there is none."""
    if key not in records:
        return otherwise
    value = parse_decimal(records[key])
    if value is None:
        raise MemberError(f"Failed to read the archive: {records[key][:40]!r} as {key} is no number.")
    return value


def nanoseconds(raw: bytes) -> int:
    match = _TIME.fullmatch(raw)
    if match is None:
        raise MemberError(f"Failed to read the archive: {raw[:40]!r} is no time.")
    value = int(match[2]) * 10**9 + int((match[3] or b"")[:9].ljust(9, b"0"))
    return -value if match[1] else value


def text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def parse_records(body: bytes) -> dict[str, bytes]:
    """The records ``length key=value\\n`` of an extended header."""
    records = {}
    start = 0
    while start < len(body):
        space = body.find(b" ", start, start + 21)
        length = parse_decimal(body[start:space]) if space > 0 else None
        if length is None or start + length > len(body) or body[start + length - 1 : start + length] != b"\n":
            raise MemberError("Failed to read the archive: an extended header is damaged.")
        equals = body.find(b"=", space, start + length)
        if equals < 0:
            raise MemberError("Failed to read the archive: an extended header is damaged.")
        records[text(body[space + 1 : equals])] = body[equals + 1 : start + length - 1]
        start += length
    return records


def name_of(block: bytes, records: t.Mapping[str, bytes]) -> bytes:
    for key in ("GNU.sparse.name", "path"):
        if key in records:
            return records[key]
    name = block[:100].split(b"\0", 1)[0]
    # GNU's own format has other things where ustar has the prefix.
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def sparse_size(records: t.Mapping[str, bytes], name: bytes) -> int:
    """The size, with its holes, of a sparse file of the one version that is written nowadays."""
    version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"))
    if version != _VERSION_OF_SPARSE or "GNU.sparse.realsize" not in records:
        raise MemberError(f"Failed to accept the member '{printable(name)}': a sparse file of an unknown version.")
    return decimal(records, "GNU.sparse.realsize", 0)


__all__ = (
    "decimal",
    "name_of",
    "nanoseconds",
    "number",
    "parse_decimal",
    "parse_records",
    "sparse_size",
    "text",
)

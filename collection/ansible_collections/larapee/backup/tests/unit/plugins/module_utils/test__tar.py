# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers as Python's own tarfile reads them."""

from __future__ import annotations

import io
import os
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _tar

PLAIN = {"mode": 0o100644, "uid": 0, "gid": 0, "mtime_ns": 1_700_000_000 * 10**9}


class Status:
    """As much of os.stat_result as a header needs."""

    def __init__(self, **changes: int) -> None:
        facts = {**PLAIN, **changes}
        self.st_mode, self.st_uid, self.st_gid = facts["mode"], facts["uid"], facts["gid"]
        self.st_mtime_ns = facts["mtime_ns"]


def read_back(raw: bytes, **options: Any) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(raw + _tar.ending(len(raw))), **options) as archive:
        (member,) = archive.getmembers()
        return member


def header(name: bytes, kind: bytes = _tar.REGULAR, *, status: Status | None = None, **options: Any) -> bytes:
    return _tar.header(name, kind, status or Status(), **options)  # type: ignore[arg-type]


names = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and b"/" not in name)


@given(name=names, target=names)
def test_any_name_and_any_target_come_back(name: bytes, target: bytes) -> None:
    member = read_back(header(name, _tar.SYMBOLIC_LINK, target=target))
    assert (os.fsencode(member.name), os.fsencode(member.linkname)) == (name, target)


@given(nanoseconds=st.integers(-(2**60), 2**62), uid=st.integers(0, 2**32 - 2), gid=st.integers(0, 2**32 - 2))
def test_times_and_owners_come_back(nanoseconds: int, uid: int, gid: int) -> None:
    member = read_back(header(b"a", status=Status(mtime_ns=nanoseconds, uid=uid, gid=gid)))
    assert (member.uid, member.gid) == (uid, gid)
    assert member.mtime == pytest.approx(nanoseconds / 1e9, abs=1e-6)
    written = member.pax_headers.get("mtime", f"{int(member.mtime)}.0")
    sign = -1 if written.startswith("-") else 1
    seconds, _point, rest = written.lstrip("-").partition(".")
    assert sign * (int(seconds) * 10**9 + int(rest.ljust(9, "0"))) == nanoseconds


def test_a_plain_member_needs_no_extended_header() -> None:
    raw = header(b"photos/1.jpg", size=5)
    assert len(raw) == _tar.BLOCK
    assert read_back(raw + b"12345" + _tar.padding(5)).size == 5


@pytest.mark.parametrize("size", [8 * 1024**3 - 1, 8 * 1024**3, 3 * 1024**4])
def test_sizes_beyond_eight_gibibytes(size: int) -> None:
    info = tarfile.TarInfo.frombuf(header(b"a", size=size), "utf-8", "surrogateescape")
    assert info.size == size


@given(value=st.binary(max_size=120))
def test_the_length_of_a_record_counts_itself(value: bytes) -> None:
    record = _tar.pax_record(b"comment", value)
    assert int(record.split(b" ", maxsplit=1)[0]) == len(record)
    assert record.endswith(b" comment=%b\n" % value)


def test_attributes_and_dumpdirs_hold_any_byte() -> None:
    records = [(_tar.xattr_keyword("user.a=b%"), b"=\n\xff\x00"), (_tar.DUMPDIR, b"Yfile\0Dbelow\0\0")]
    member = read_back(header(b"d/", _tar.DIRECTORY, records=records))
    assert member.isdir()
    assert member.pax_headers["GNU.dumpdir"] == "Yfile\0Dbelow\0\0"
    assert os.fsencode(member.pax_headers["SCHILY.xattr.user.a%3Db%25"]) == b"=\n\xff\x00"


def test_the_holes_of_a_sparse_member_come_back() -> None:
    extents = [(512, 3), (2000, 4), (4096, 0)]
    listed = _tar.sparse_map(extents)
    raw = header(b"holes", size=len(listed) + 7, records=_tar.sparse_records(b"holes", 4096)) + listed + b"abcdefg"
    raw += _tar.padding(len(raw))
    with tarfile.open(fileobj=io.BytesIO(raw + _tar.ending(len(raw)))) as archive:
        handle = archive.extractfile("holes")
        assert handle is not None
        assert handle.read() == bytes(512) + b"abc" + bytes(2000 - 515) + b"defg" + bytes(4096 - 2004)


@pytest.mark.parametrize("size", [0, 512, 9216, 9728, 10240])
def test_an_archive_ends_with_two_empty_blocks_and_a_whole_record(size: int) -> None:
    ending = _tar.ending(size)
    assert len(ending) >= 2 * _tar.BLOCK
    assert (size + len(ending)) % _tar.RECORD == 0
    assert not any(ending)

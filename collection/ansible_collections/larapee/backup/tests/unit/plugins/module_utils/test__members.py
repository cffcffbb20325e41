# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._member_names import MemberError
from ansible_collections.larapee.backup.plugins.module_utils._members import Member, MemberReader

PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda part: part not in (".", "..")
)
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.contents: list[bytearray] = []
        self.ended = 0

    def begin(self, member: Member) -> None:
        self.members.append(member)
        self.contents.append(bytearray(member.size))

    def write(self, block: memoryview, offset: int) -> None:
        self.contents[-1][offset : offset + len(block)] = block

    def end(self, member: Member) -> None:
        assert member is self.members[-1]
        self.ended += 1


def read(archive: bytes, *, step: int = 1 << 20) -> Collected:
    collected = Collected()
    reader = MemberReader(collected)
    for start in range(0, len(archive), step):
        reader.feed(memoryview(archive)[start : start + step])
    reader.finish()
    assert collected.ended == len(collected.members)
    return collected


def archive_of(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=form, encoding="utf-8") as writer:
        for info in members:
            writer.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def info_of(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@given(
    path=PATHS,
    size=st.integers(0, 3000),
    mode=st.integers(0, 0o7777),
    owner=st.integers(0, 2**31),
    mtime=st.integers(-(2**33), 2**40),
    step=st.integers(1, 1500),
)
def test_a_file_is_read_as_python_wrote_it(
    form: int, path: str, size: int, mode: int, owner: int, mtime: int, step: int
) -> None:
    info = info_of(path, size=size, mode=mode, uid=owner, gid=owner, mtime=mtime, uname="us", gname="gr")
    [member] = (collected := read(archive_of(info, form=form), step=step)).members
    assert member.path == path.encode()
    assert member[1:7] == ("file", mode, owner, owner, "us", "gr")
    assert (member.mtime_ns, member.size) == (mtime * 10**9, size)
    assert collected.contents == [b"x" * size]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_each_kind(form: int) -> None:
    archive = archive_of(
        info_of(".", type=tarfile.DIRTYPE),
        info_of("./a", type=tarfile.DIRTYPE),
        info_of("./a/" + "n" * 90, size=1),
        info_of("./link", type=tarfile.SYMTYPE, linkname="../any where"),
        info_of("./same", type=tarfile.LNKTYPE, linkname="./a/" + "n" * 90),
        form=form,
    )
    found = [(member.path, member.kind, member.target) for member in read(archive).members]
    assert found == [
        (b".", "directory", b""),
        (b"a", "directory", b""),
        (b"a/" + b"n" * 90, "file", b""),
        (b"link", "symlink", b"../any where"),
        (b"same", "hardlink", b"a/" + b"n" * 90),
    ]


@pytest.mark.parametrize("mtime", ["0.000000001", "1700000000.123456789", "-1.5", "-0.25", "5", "7.", "8.1234567891"])
def test_nanoseconds(mtime: str) -> None:
    expected = {
        "0.000000001": 1,
        "1700000000.123456789": 1_700_000_000_123_456_789,
        "-1.5": -1_500_000_000,
        "-0.25": -250_000_000,
        "5": 5_000_000_000,
        "7.": 7_000_000_000,
        "8.1234567891": 8_123_456_789,
    }
    info = info_of("a")
    info.pax_headers["mtime"] = mtime
    assert read(archive_of(info)).members[0].mtime_ns == expected[mtime]


def test_extended_attributes_and_names_of_a_directory() -> None:
    info = info_of("a", type=tarfile.DIRTYPE)
    info.pax_headers.update({"SCHILY.xattr.user.a%3Db%25": "v\0\n", "GNU.dumpdir": "Yx\0Nx\nx\0Dé\0\0", "unknown": "1"})
    [member] = read(archive_of(info)).members
    assert member.xattrs == {"user.a=b%": b"v\0\n"}
    assert member.names == {b"Yx", b"Nx\nx", "Dé".encode()}


def test_names_of_an_empty_directory() -> None:
    info = info_of("a", type=tarfile.DIRTYPE)
    info.pax_headers["GNU.dumpdir"] = "\0"
    assert read(archive_of(info)).members[0].names == frozenset()


@pytest.mark.parametrize("step", [1, 7, 512, 100_000])
def test_holes_are_not_written(step: int) -> None:
    content = b"3\n0\n2\n1000\n3\n5000\n0\n".ljust(512, b"\0") + b"ab" + b"cde"
    info = info_of("GNUSparseFile.1/sparse", size=len(content))
    keys = {"major": "1", "minor": "0", "name": "sparse", "realsize": "5000"}
    info.pax_headers.update({f"GNU.sparse.{key}": value for key, value in keys.items()})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as writer:
        writer.addfile(info, io.BytesIO(content))
        writer.addfile(info_of("after", size=1), io.BytesIO(b"z"))
    collected = read(buffer.getvalue(), step=step)
    assert [(member.path, member.size) for member in collected.members] == [(b"sparse", 5000), (b"after", 1)]
    assert collected.contents == [b"ab".ljust(1000, b"\0") + b"cde".ljust(4000, b"\0"), b"z"]


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.realsize": "1"},
        {"GNU.sparse.size": "1"},
        {"size": "-5"},
        {"size": "1e3"},
        {"uid": "root"},
        {"mtime": "1e5"},
        {"mtime": "yesterday"},
    ],
    ids="-".join,
)
def test_records_that_make_no_sense_are_refused(records: dict[str, str]) -> None:
    info = info_of("a", size=512)
    info.pax_headers.update(records)
    archive = bytearray(archive_of(info))
    with pytest.raises(MemberError):
        read(bytes(archive))


@given(junk=st.binary(min_size=512, max_size=2048))
def test_junk_is_an_error_for_a_person(junk: bytes) -> None:
    with pytest.raises(MemberError):
        read(junk)


@given(body=st.binary(min_size=1, max_size=600), flag=st.sampled_from([b"x", b"g", b"L", b"K"]))
def test_junk_in_an_extended_header_is_an_error_for_a_person_or_harmless(body: bytes, flag: bytes) -> None:
    head = info_of("x", size=len(body), type=flag).tobuf(tarfile.USTAR_FORMAT)
    archive = head + body + bytes(-len(body) % 512) + archive_of(info_of("a"))
    try:
        read(archive)
    except MemberError:
        return


def test_a_header_for_all_members_may_hold_a_comment_only() -> None:
    def with_global(record: bytes) -> bytes:
        head = info_of("g", size=len(record), type=b"g").tobuf(tarfile.USTAR_FORMAT)
        return head + record + bytes(-len(record) % 512) + archive_of(info_of("a"))

    assert read(with_global(b"13 comment=x\n")).members[0].path == b"a"
    with pytest.raises(MemberError, match="a header for all members"):
        read(with_global(b"10 path=x\n"))

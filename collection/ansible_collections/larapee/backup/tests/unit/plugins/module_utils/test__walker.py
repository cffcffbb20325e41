# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary log files in blocks of any size, whole, cut off and damaged."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
import zlib
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _walker
from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError
from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Group, LogFacts, Walker
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.binlog_files import (
    BEGAN,
    LogFile,
    recorded,
    refused,
    walk,
)

IN_USE = (21, 1)


@st.composite
def log_files(draw: st.DrawFn) -> LogFile:
    engine = draw(st.sampled_from(["mariadb", "mysql"]))
    file = LogFile(engine, started=draw(st.booleans())).listed()
    for _number in range(draw(st.integers(0, 4))):
        at = BEGAN + draw(st.integers(-5, 5))
        if draw(st.booleans()):
            sizes = draw(st.lists(st.integers(0, 300), min_size=1, max_size=3))
            file.transaction(sizes=sizes, at=at, placed=engine == "mysql" or draw(st.booleans()))
        else:
            file.definition("ALTER TABLE t ADD x INT", at=at)
    if draw(st.booleans()):
        file.rotate()
    elif draw(st.booleans()):
        file.stop()
    return file


@given(file=log_files(), data=st.data(), long=st.sampled_from([60, 200, 1 << 20]))
def test_any_blocks_give_the_same_facts(file: LogFile, data: st.DataObject, long: int) -> None:
    raw = bytes(file.raw)
    whole, groups = walk(raw, file.engine)
    assert groups == file.groups
    assert whole.groups == len(groups)
    assert (whole.size, whole.complete_to) == (len(raw), len(raw))
    assert whole.went_back == any(later.at < one.at for one, later in zip(groups, groups[1:]))
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
    with mock.patch.object(_walker, "_LONG", long):
        assert walk(raw, file.engine, cuts=cuts) == (whole, groups)
        assert walk(raw, file.engine, cuts=range(len(raw))) == (whole, groups)


@given(file=log_files(), data=st.data(), long=st.sampled_from([60, 1 << 20]))
def test_a_flipped_byte_is_noticed(file: LogFile, data: st.DataObject, long: int) -> None:
    raw = bytearray(file.raw)
    position, bits = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(1, 255))
    raw[position] ^= bits
    with mock.patch.object(_walker, "_LONG", long):
        if (position, bits) == IN_USE:
            # The server clears this bit when it closes the file; the checksum leaves it out.
            assert walk(bytes(raw), file.engine) == walk(bytes(file.raw), file.engine)
        else:
            with pytest.raises(BinlogError):
                walk(bytes(raw), file.engine, cuts=data.draw(st.sampled_from([(), range(0, len(raw), 50)])))


def check_cut(file: LogFile, cut: int, long: int) -> None:
    groups: list[Group] = []
    walker = Walker(file.engine, on_group=groups.append)
    with mock.patch.object(_walker, "_LONG", long):
        walker.feed(bytes(file.raw[:cut]))
    if cut not in file.ends:
        with pytest.raises(BinlogError, match="cut off"):
            walker.close()
    if cut < file.header_end:
        with pytest.raises(BinlogError):
            walker.facts()
        return
    facts = walker.facts()
    assert facts.complete_to == max(edge for edge in file.edges if edge <= cut)
    assert (facts.end, facts.size, facts.groups) == ("open", cut, len(groups))
    assert groups == [group for group in file.groups if group.end <= cut]
    if cut in file.ends:
        # A transaction may still be cut off between two of its events.
        assert walker.close() == facts


@given(file=log_files(), data=st.data(), long=st.sampled_from([60, 1 << 20]))
def test_a_file_that_is_cut_off_is_complete_to_its_last_whole_transaction(
    file: LogFile, data: st.DataObject, long: int
) -> None:
    check_cut(file, data.draw(st.integers(0, len(file.raw) - 1)), long)


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_wherever_a_file_is_cut_off(engine: str) -> None:
    file = LogFile(engine).listed().transaction(sizes=(100, 20)).definition("DROP TABLE t").transaction().stop()
    for cut in range(len(file.raw)):
        for long in (60, 1 << 20):
            check_cut(file, cut, long)


def test_what_is_known_of_a_whole_file() -> None:
    file = LogFile(started=True).listed([(0, 2, 9), (0, 1, 7), (3, 1, 4)])
    file.transaction(number=8, at=BEGAN + 5).definition("CREATE TABLE t (i INT)", number=9, at=BEGAN + 6)
    file.transaction(number=1, domain=77, server_id=9, at=BEGAN + 7, sizes=(5000, 10)).rotate()
    facts, groups = walk(bytes(file.raw))
    description = bytes(file.raw[4 : file.edges[0]])
    assert facts == LogFacts(
        size=len(file.raw),
        version="10.11.19-MariaDB-log",
        server_id=1,
        created_at=BEGAN,
        after_start=True,
        identity=hashlib.sha256(description).hexdigest(),
        before=facts.before,
        after=facts.after,
        end="rotate",
        next_file="mysql-bin.000002",
        complete_to=len(file.raw),
        first_at=BEGAN + 5,
        last_at=BEGAN + 7,
        groups=3,
        definitions=1,
        largest_event=5000 + 8 + 19 + 4,
        went_back=False,
        has_statements=False,
        event_statements=(),
    )
    # Of two servers in one domain, the last in the list wrote last.
    assert (str(facts.before), str(facts.after)) == ("0-1-7,3-1-4", "0-1-9,3-1-4,77-9-1")
    assert [group.gtid for group in groups] == ["0-1-8", "0-1-9", "77-9-1"]


def test_the_open_files_identity_is_that_of_the_closed_one() -> None:
    file = LogFile().listed()
    opened = bytearray(file.raw)
    opened[IN_USE[0]] |= IN_USE[1]
    assert walk(bytes(opened)) == walk(bytes(file.raw))


def test_an_end_in_an_event_longer_than_is_kept() -> None:
    """Of a long statement the head is enough, of a list of GTIDs it is not."""
    gtids = [(0, server, server) for server in range(1, 100)] + [(0, 100, 500)]
    file = LogFile().listed(gtids).definition("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT '" + "x" * 900 + "'")
    with mock.patch.object(_walker, "_LONG", 64), mock.patch.object(_walker, "_HEAD", 128):
        facts = walk(bytes(file.raw), cuts=range(0, len(file.raw), 7))[0]
    assert str(facts.before) == "0-100-500"
    ((_database, text),) = facts.event_statements
    assert text.startswith("CREATE EVENT e")


def test_a_huge_event_is_checked_without_being_held() -> None:
    size = 48 << 20
    file = LogFile().listed().transaction(sizes=(size,)).rotate()
    raw = memoryview(bytes(file.raw))
    damaged = bytearray(raw)
    damaged[size // 2] ^= 1
    tracemalloc.start()
    walker = Walker("mariadb")
    for start in range(0, len(raw), 1 << 16):
        walker.feed(raw[start : start + (1 << 16)])
    assert walker.close().largest_event > size
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    with pytest.raises(BinlogError, match="checksum"):
        walk(bytes(damaged), cuts=[size])


def test_without_checksums_the_frames_are_checked() -> None:
    file = LogFile(checksums=False).listed().transaction().definition("TRUNCATE t").rotate()
    facts, groups = walk(bytes(file.raw))
    assert groups == file.groups
    start, end = file.edges[1], file.edges[2]
    refused(bytes(file.raw[:start] + file.raw[end:]), "says that it is .* bytes long and ends at")


def test_positions_begin_anew_after_four_gigabytes() -> None:
    walker = Walker("mariadb")
    walker.feed(bytes(LogFile().listed().raw))
    walker._offset = (1 << 32) - 100
    file = LogFile()
    file.raw = bytearray()
    event = bytearray(file.event(161, bytes(200)).raw)
    struct.pack_into("<I", event, 13, len(event) - 100)
    struct.pack_into("<I", event, len(event) - 4, zlib.crc32(event[:-4]))
    walker.feed(event)
    assert walker.close().complete_to == (1 << 32) - 100 + len(event)


def lost_positions() -> LogFile:
    return LogFile().listed().transaction(placed=False).transaction()


def test_events_within_a_transaction_may_leave_out_where_they_end() -> None:
    file = lost_positions()
    assert walk(bytes(file.raw))[1] == file.groups
    # But nothing may be missing between them, and nothing else may leave it out.
    start = file.edges[1] + 19 + 19 + 4
    length = struct.unpack_from("<I", file.raw, start + 9)[0]
    refused(bytes(file.raw[:start] + file.raw[start + length :]), "ends at")
    refused(bytes(LogFile().listed().event(161, b"name", placed=False).raw), "ends at 0")


def test_damage_is_not_forgotten() -> None:
    file = LogFile().listed().transaction()
    walker = Walker("mariadb")
    walker.feed(bytes(file.raw))
    with pytest.raises(BinlogError, match="ends at 0"):
        walker.feed(bytes(19))
    for again in (walker.close, lambda: walker.feed(b"more")):
        with pytest.raises(BinlogError, match="ends at 0"):
            again()
    assert walker.facts().complete_to == len(file.raw)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "cut off at 0"),
        (b"\xfe", "cut off at 1"),
        (b"\xfebin", "cut off before its first event"),
        (b"\xfdbin" + bytes(600), "encrypted; read it through the server"),
        (b"-- MariaDB dump", "does not begin as a binary log file"),
        (b"\xfebin" + bytes(40), "ends at 0"),
        (
            b"\xfebin" + struct.pack("<IBIIIH", 1, 15, 1, 1 << 31, (1 << 31) + 4, 0),
            "says that it is 2147483648 bytes long",
        ),
    ],
    ids=["empty", "one byte", "magic", "mysql encrypted", "other file", "zeros", "too long"],
)
def test_what_is_no_binary_log_is_refused(raw: bytes, match: str) -> None:
    refused(raw, match)


def test_a_file_of_the_other_vendor_is_refused() -> None:
    refused(bytes(LogFile().listed().raw), "MariaDB", engine="mysql")
    refused(bytes(LogFile("mysql").listed().raw), "not one of mariadb")


def test_a_file_encrypted_on_disk_is_refused_and_one_sent_in_clear_is_not() -> None:
    file = LogFile().between(164, bytes(17))
    clear = bytes(file.listed().transaction().raw)
    assert walk(clear)[0].groups == 1
    start = file.edges[1]
    refused(clear[:-1] + b"?", "checksum of the event")
    refused(clear[:start] + bytes(byte ^ 0x5A for byte in clear[start:]), "encrypted; read it through the server")


@pytest.mark.parametrize("name", ["mysql-9.7.4-binlog.000001", "mysql-9.7.4-binlog.000002"])
def test_each_byte_of_a_real_file_counts(name: str) -> None:
    raw = recorded(name)
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0x10
        with pytest.raises(BinlogError):
            walk(bytes(damaged), "mysql")
    whole = walk(raw, "mysql")
    assert walk(raw, "mysql", cuts=range(len(raw))) == whole

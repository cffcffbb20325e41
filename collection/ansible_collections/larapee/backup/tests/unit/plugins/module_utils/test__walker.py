# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary log files in blocks of any size, whole, cut off and damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import struct
import tracemalloc
import typing as t
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
    DDL,
    LogFile,
    recorded,
)

IN_USE = (21, 1)
HEX = "b0c89c8c-e6cd-11f1-8298-35d27dfc765d"


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
                walk(bytes(raw), file.engine)


@given(file=log_files(), data=st.data())
def test_a_file_that_is_cut_off_is_complete_to_the_last_whole_transaction(file: LogFile, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(file.raw) - 1))
    groups: list[Group] = []
    walker = Walker(file.engine, on_group=groups.append)
    walker.feed(bytes(file.raw[:cut]))
    if cut < file.header_end:
        with pytest.raises(BinlogError):
            walker.close()
        return
    facts = walker.facts()
    assert facts.complete_to == max(edge for edge in file.edges if edge <= cut)
    assert (facts.end, facts.size) == ("open", cut)
    assert groups == [group for group in file.groups if group.end <= cut]
    with contextlib.suppress(BinlogError):
        # Only between two events: a transaction may still be cut off.
        assert walker.close() == facts
        assert cut in file.ends


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


def test_the_commit_time_on_mysql_is_not_that_of_the_header() -> None:
    (group,) = walk(bytes(LogFile("mysql").listed().transaction(at=BEGAN + 9).raw), "mysql")[1]
    assert group.at == BEGAN + 9


@pytest.mark.parametrize("kind", [23, 30, 166])
def test_a_group_without_an_end_of_its_own_ends_with_its_statement(kind: int) -> None:
    file = LogFile().listed().gtid(flags=1)
    file.rows(kind=kind, last=False).rows(kind=kind, last=True).ended()
    file.transaction()
    assert walk(bytes(file.raw))[1] == file.groups


@pytest.mark.parametrize("text", ["COMMIT", "ROLLBACK", "XA COMMIT X'31',X'',1", "XA ROLLBACK X'31',X'',1"])
def test_ends_that_are_text(text: str) -> None:
    for compressed in (False, True):
        file = LogFile().listed().gtid().rows().query("SAVEPOINT `s`").query("ROLLBACK TO `s`").rows()
        file.query(text, compressed=compressed).ended().transaction()
        facts, groups = walk(bytes(file.raw))
        assert groups == file.groups
        assert not facts.has_statements


def test_a_prepared_transaction_is_a_group() -> None:
    file = LogFile("mysql").listed()
    file.gtid().query("XA START X'31',X'',1").rows().query("XA END X'31',X'',1").event(38, bytes(12)).ended()
    file.gtid().query("XA COMMIT X'31',X'',1").ended()
    file.gtid().event(40, b"compressed").ended()
    file.gtid().query("DROP TABLE `t` /* generated by server */").ended(definition=True)
    facts, groups = walk(bytes(file.raw), "mysql")
    assert groups == file.groups
    assert not facts.has_statements


def test_rows_after_the_table_they_create() -> None:
    file = LogFile().listed().gtid(flags=DDL).query("CREATE TABLE `c` (`i` INT)").rows().event(16, bytes(8))
    assert walk(bytes(file.ended(definition=True).raw))[1] == file.groups


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO t VALUES (uuid())", True),
        ("/* app */ update t set i = 1", True),
        ("(SELECT f())", True),
        ("SET STATEMENT max_statement_time=1 FOR DELETE FROM t", True),
        ("WITH c AS (SELECT 1) DELETE FROM t", True),
        ("SET STATEMENT lock_wait_timeout=1 FOR ALTER TABLE t ADD x INT", False),
        ("# one line\ncreate table t (i int)", False),
        ("/*!40101 CREATE*/ TABLE t (i INT)", False),
        ("GRANT SELECT ON *.* TO u", False),
        ("SET PASSWORD FOR u = 'x'", False),
        ("SAVEPOINT `s`", False),
        ("ROLLBACK TO `s`", False),
    ],
)
def test_changes_logged_as_text_are_told(text: str, expected: bool) -> None:
    file = LogFile().listed().gtid().query(text, status=b"\x00" * 30, database="shop").event(16, bytes(8)).ended()
    assert walk(bytes(file.raw))[0].has_statements is expected


def test_a_file_for_load_data_is_a_change_logged_as_text() -> None:
    file = LogFile().listed().gtid().event(17, b"file").event(9, b"file").event(18, b"LOAD DATA").event(16, bytes(8))
    assert walk(bytes(file.ended().raw))[0].has_statements


def test_statements_of_events_are_kept_with_their_default_database() -> None:
    text = "CREATE DEFINER=`root`@`localhost` EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT '" + "x" * 300 + "'"
    file = LogFile().listed().definition(text, database="shop").definition(text, compressed=True)
    file.definition("CREATE DEFINER=`event`@`x` TRIGGER event BEFORE INSERT ON t FOR EACH ROW SET @a=1")
    file.definition("ALTER EVENT e RENAME TO f").definition("DROP DATABASE shop")
    assert walk(bytes(file.raw))[0].event_statements == (
        ("shop", text),
        ("", text),
        ("", "ALTER EVENT e RENAME TO f"),
        ("", "DROP DATABASE shop"),
    )


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
    walker, bad = Walker("mariadb"), Walker("mariadb")
    for start in range(0, len(raw), 1 << 16):
        walker.feed(raw[start : start + (1 << 16)])
    assert walker.close().largest_event > size
    with pytest.raises(BinlogError, match="checksum"):
        bad.feed(damaged)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


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


BAD: dict[str, tuple[t.Callable[[], LogFile], str]] = {
    "after the end": (lambda: LogFile().listed().rotate().transaction(), "follows the end of the file"),
    "two descriptions": (lambda: LogFile().listed().event(15, bytes(80)), "second file begins"),
    "no list": (lambda: LogFile().transaction(), "before any list of GTIDs"),
    "list twice": (lambda: LogFile().listed().listed(), "outside of any transaction"),
    "rows outside": (lambda: LogFile().listed().rows(), "outside of any transaction"),
    "statement outside": (lambda: LogFile().listed().query("DROP TABLE t"), "outside of any transaction"),
    "no end": (lambda: LogFile().listed().gtid().rows().transaction(), "does not end before the next one"),
    "end of file inside": (lambda: LogFile().listed().gtid().rows().rotate(), "stands inside a transaction"),
    "incident": (lambda: LogFile().listed().event(26, b"\x01\x00\x00"), "lost transactions"),
    "other engine": (lambda: LogFile().listed().event(35, bytes(8)), "not one of mariadb"),
    "unknown": (lambda: LogFile().listed().event(99, b""), "outside of any transaction"),
    "unknown inside": (lambda: LogFile().listed().gtid().event(99, b""), "stands inside a transaction"),
    "short list": (lambda: LogFile().event(163, struct.pack("<I", 3)), "list of GTIDs at .* not known"),
    "short GTID": (lambda: LogFile().listed().event(162, bytes(5)), "GTID at .* not known"),
    "short statement": (lambda: LogFile().listed().gtid().event(2, bytes(5)), "statement at .* not known"),
    "bad compression": (
        lambda: LogFile().listed().gtid().event(165, bytes(14) + b"\x82\x00\x10" + b"no zlib"),
        "statement at .* not known",
    ),
    "no description": (lambda: LogFile(), "before its list of GTIDs"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_what_no_server_writes_is_refused(case: str) -> None:
    make, match = BAD[case]
    refused(bytes(make().raw), match)


def test_what_may_be_ignored_is() -> None:
    file = LogFile().listed().event(99, b"new", flags=0x80).gtid().event(99, b"new", flags=0x80).event(16, bytes(8))
    assert walk(bytes(file.ended().raw))[1] == file.groups


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
    refused(clear[:start] + bytes(byte ^ 0x5A for byte in clear[start:]), "encrypted; read it through the server")


def test_a_real_file_of_mysql() -> None:
    first, groups = walk(recorded("mysql-9.7.4-binlog.000001"), "mysql")
    assert [group.gtid for group in groups] == [f"{HEX}:1", f"{HEX}:2", f"{HEX}:shop:1"]
    assert str(first.after) == f"{HEX}:1-2:shop:1"
    assert [database for database, _text in first.event_statements] == [""]
    second, groups = walk(recorded("mysql-9.7.4-binlog.000002"), "mysql")
    assert second.before == first.after
    assert str(second.after) == f"{HEX}:1-6:shop:1-3"
    assert [(group.gtid, group.definition) for group in groups] == [
        (f"{HEX}:3", False),
        (f"{HEX}:4", False),
        (f"{HEX}:shop:2", False),
        (f"{HEX}:shop:3", True),
        (f"{HEX}:5", False),
        (f"{HEX}:6", False),
    ]
    assert (first.after_start, second.after_start) == (True, False)
    assert not second.has_statements
    assert {group.at for group in groups} == {1795390655}


def test_a_real_file_of_a_newer_mariadb() -> None:
    facts, groups = walk(recorded("mariadb-11.8.6-binlog.000001"))
    assert [(group.gtid, group.start, group.end) for group in groups] == [
        ("0-1-1", 328, 451),
        ("0-1-2", 451, 629),
        ("0-1-3", 629, 843),
    ]
    assert (facts.definitions, facts.end, facts.next_file) == (2, "rotate", "mysql-bin.000002")


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
    assert dataclasses.is_dataclass(whole[0])

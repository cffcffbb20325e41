# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest, _seal_join
from ansible_collections.larapee.backup.plugins.module_utils._binlog._facts import LogFacts
from ansible_collections.larapee.backup.plugins.module_utils._binlog._gtid import State, parse
from ansible_collections.larapee.backup.plugins.module_utils._mysql._binlog_server import LogFile
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server
from ansible_collections.larapee.backup.plugins.module_utils._seal_join import GapError, ReadLog
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files, manifest_document

SERVER = Server(engine="mariadb", version="10.11.19-MariaDB", server_id=1, log_bin=True)


def full(**changes: Any) -> _manifest.Manifest:
    """Stands at mysql-bin.000007:1001, after 1-1-1."""
    return _manifest.check_manifest(manifest_document(**changes))


def increment(first: int = 5, last: int = 7, **changes: Any) -> _manifest.Manifest:
    """Ends at mysql-bin.000007, after 1-1-1."""
    document = manifest_document("db-20261122-1432.binlog.zst", **{**log_files(first, last), **changes})
    return _manifest.check_manifest(document)


def state(text: str) -> State:
    return parse("mariadb", text)


def listed(*numbers: int, size: int = 5000) -> list[LogFile]:
    return [LogFile(f"mysql-bin.{number:06d}", size) for number in numbers]


def read(number: int, **changes: Any) -> ReadLog:
    """A file that holds the transaction of its own number minus six."""
    facts = LogFacts(
        size=5000,
        version="10.11.19-MariaDB",
        server_id=1,
        created_at=1_795_000_000,
        after_start=False,
        identity=f"{number}",
        before=state(f"1-1-{number - 7}") if number > 7 else state(""),
        after=state(f"1-1-{number - 6}"),
        end="rotate",
        next_file=f"mysql-bin.{number + 1:06d}",
        complete_to=5000,
        first_at=1,
        last_at=1,
        groups=1,
        definitions=0,
        largest_event=100,
        went_back=False,
        has_statements=False,
        event_statements=(),
    )
    of_the_log = {field: changes.pop(field) for field in ("end", "torn") if field in changes}
    facts = dataclasses.replace(facts, **changes)
    log = ReadLog(f"mysql-bin.{number:06d}", "/spool", 5000, "0" * 64, "rotate", facts)
    return dataclasses.replace(log, **of_the_log)


def names(logs: list[LogFile]) -> list[int]:
    return [int(log.name[-6:]) for log in logs]


def test_what_is_closed_after_the_last_artifact_is_sealed() -> None:
    assert names(_seal_join.closed_files(increment(), listed(6, 7, 8, 9, 10), server=SERVER)) == [8, 9]
    assert names(_seal_join.closed_files(increment(), listed(8, 9), server=SERVER)) == [8]
    assert names(_seal_join.closed_files(increment(), listed(8), server=SERVER)) == []
    assert names(_seal_join.closed_files(full(), listed(7, 8), server=SERVER)) == [7]
    assert names(_seal_join.closed_files(full(), listed(6, 7), server=SERVER)) == []


@pytest.mark.parametrize(
    ("last", "logs", "why"),
    [
        (
            increment(),
            listed(9, 10),
            "mysql-bin.000008 was removed before it was sealed, the oldest .* mysql-bin.000009",
        ),
        (increment(), listed(6, 7), "went back: the server writes mysql-bin.000007, .* ends in mysql-bin.000007"),
        (increment(), listed(1), "the binary log went back"),
        (increment(), listed(7, 8, 10), "files are missing between mysql-bin.000007 and mysql-bin.000010"),
        (increment(), [LogFile("other.000008", 4)], "the binary log has another name, other.000008"),
        (increment(), [], "no binary log files as we know them: none"),
        (increment(), [LogFile("binlog.ibb", 4)], "no binary log files as we know them: binlog.ibb"),
        (increment(), listed(7, 8, size=4999), "mysql-bin.000007 has 4999 bytes on the server, .* ends at 5000 in it"),
        (increment(), listed(7, 8, size=5001), "mysql-bin.000007 has 5001 bytes on the server"),
        (full(), listed(8, 9), "mysql-bin.000007 was removed"),
        (full(), listed(7, 8, size=900), "mysql-bin.000007 has 900 bytes on the server, .* ends at 1001 in it"),
        (increment(server_id=7), listed(7, 8), "another server, with server_id 1; .* is of 7"),
        (increment(engine="mysql"), listed(7, 8), "another engine, mariadb; .* is of mysql"),
    ],
)
def test_a_list_that_does_not_go_on_is_a_gap(last: _manifest.Manifest, logs: list[LogFile], why: str) -> None:
    with pytest.raises(GapError, match=why):
        _seal_join.closed_files(last, logs, server=SERVER)


def test_a_torn_file_is_longer_on_the_server_than_what_was_sealed_of_it() -> None:
    document = log_files(7, 7)
    document["files"][0]["end"] = "crash"
    assert names(_seal_join.closed_files(increment(7, 7, **document), listed(7, 8, 9, size=6000), server=SERVER)) == [8]


def join(*logs: ReadLog, last: _manifest.Manifest | None = None, identity: str | None = None) -> None:
    _seal_join.check_join(last or increment(), logs, at_full=None, identity=identity)


def test_files_in_a_row_join() -> None:
    join(read(8))
    join(read(8), read(9), read(10), identity="8")
    join(read(8, end="stop"), read(9, after_start=True))
    join(read(8, end="crash"), read(9, after_start=True))
    join(read(8, end="crash", torn="cut off"), read(9, after_start=True))


@pytest.mark.parametrize(
    ("logs", "why"),
    [
        ([read(8, before=state("1-1-2"))], "mysql-bin.000008 begins at GTID 1-1-2, .* ends at 1-1-1"),
        ([read(8, before=state(""))], "begins at GTID nothing"),
        ([read(8, before=state("1-2-1"))], "begins at GTID 1-2-1"),
        ([read(8, server_id=2)], "mysql-bin.000008 is of another server, with server_id 2"),
        ([read(8), read(9, before=state("1-1-3"))], "mysql-bin.000009 begins at GTID 1-1-3, mysql-bin.000008 ends at"),
        (
            [read(8, next_file="mysql-bin.000010"), read(9)],
            "says that mysql-bin.000010 follows it, not mysql-bin.000009",
        ),
        (
            [read(8, end="crash"), read(9)],
            "mysql-bin.000008 was not closed, and the server did not start anew after it",
        ),
        (
            [read(8, end="crash", torn="bad"), read(9)],
            r"mysql-bin.000008 is cut off or damaged \(bad\), and the server",
        ),
        (
            [read(8, end="crash", torn="bad", after=state("1-1-1")), read(9, after_start=True)],
            r"cut off or damaged \(bad\), and the server did not take that back",
        ),
        ([read(8, end="crash")], "mysql-bin.000008 was not closed"),
    ],
)
def test_files_that_do_not_join_are_a_gap(logs: list[ReadLog], why: str) -> None:
    with pytest.raises(GapError, match=why):
        join(*logs)


def test_another_file_than_the_one_that_was_begun_is_a_gap() -> None:
    with pytest.raises(GapError, match="mysql-bin.000008 is not the file that the server began when"):
        join(read(8), identity="other")


def test_without_gtids_a_torn_end_proves_nothing() -> None:
    none = parse("mysql", "")
    last = increment(engine="mysql", **log_files(5, 7, after=0))
    whole = [read(8, before=none, after=none, end="crash"), read(9, before=none, after=none, after_start=True)]
    join(*whole, last=last)
    with pytest.raises(GapError, match="did not take that back"):
        join(dataclasses.replace(whole[0], torn="bad"), whole[1], last=last)


@pytest.mark.parametrize(
    ("at_full", "why"),
    [
        (None, "stands at mysql-bin.000007:1001, and no transaction ends there"),
        (read(7, complete_to=900).facts, "no transaction ends there"),
        (read(7, complete_to=1001, after=state("1-1-2")).facts, "stands at GTID 1-1-1, but at .* the server had 1-1-2"),
    ],
)
def test_a_full_has_to_stand_between_two_transactions(at_full: LogFacts | None, why: str) -> None:
    good = read(7, complete_to=1001).facts
    _seal_join.check_join(full(), [read(7)], at_full=good, identity=None)
    with pytest.raises(GapError, match=why):
        _seal_join.check_join(full(), [read(7)], at_full=at_full, identity=None)


@pytest.mark.parametrize(("later", "ahead", "gap"), [(0, 0, False), (500, 0, False), (700, 0, True), (700, 300, False)])
def test_a_file_that_was_begun_after_the_full_is_of_another_server(later: int, ahead: float, gap: bool) -> None:
    made = full()
    log = read(7, created_at=int(made.created_at.timestamp()) + later)
    if gap:
        with pytest.raises(GapError, match="stands in mysql-bin.000007, which the server began later, at 2026-11-22"):
            _seal_join.check_age(made, log, clock_ahead_s=ahead)
    else:
        _seal_join.check_age(made, log, clock_ahead_s=ahead)

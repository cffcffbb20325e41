# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._io import BLOCK_SIZE
from ansible_collections.larapee.backup.plugins.module_utils._mysql._scan import DumpScanner, difference

# mariadb-dump of 10.11.19-MariaDB-0+deb12u1, recorded 2026-11-22 with the arguments that fulls are taken with. The
# server counted these objects; the text has lines such as "CREATE TABLE" in values, comments, defaults and bodies.
RECORDED = Path(__file__).with_name("recorded").joinpath("mariadb-dump-10.11.19.sql").read_bytes().split(b"\n\n", 1)[1]
OBJECTS = {"tables": 4, "views": 2, "sequences": 1, "triggers": 1, "routines": 6, "events": 1}
SLIP = b"0x00FF0A0D1A27225C"
LONG = 3 * 1024 * 1024
WITH_LONG_LINE = RECORDED.replace(SLIP, b"0x" + b"41" * (LONG // 2))
FEW_MORE = settings(max_examples=60, deadline=None)


def scan(*blocks: bytes, only_database: str | None = None) -> DumpScanner:
    scanner = DumpScanner(only_database=only_database)
    for block in blocks:
        scanner.feed(memoryview(block))
    scanner.close()
    return scanner


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(text)]
    return [text[start:end] for start, end in zip(edges, edges[1:]) if start < end]


def by_size(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def longest(text: bytes) -> int:
    return max(len(line) for line in text.split(b"\n"))


def test_the_counts_are_those_of_the_server() -> None:
    assert scan(RECORDED).objects == OBJECTS


@FEW_MORE
@given(st.lists(st.integers(0, len(RECORDED)), max_size=40))
def test_the_counts_do_not_depend_on_how_the_stream_is_cut(places: list[int]) -> None:
    assert scan(*cut(RECORDED, places)).objects == OBJECTS


@pytest.mark.parametrize("size", [1, 2, 7, 511, 512, 513, 4096])
def test_the_counts_do_not_depend_on_the_size_of_the_blocks(size: int) -> None:
    scanner = scan(*by_size(RECORDED, size))
    assert scanner.objects == OBJECTS
    # Exact for a line longer than a block; shorter ones never exceed the margin that a restore adds.
    assert longest(RECORDED) - size < scanner.longest_line <= longest(RECORDED)
    assert size > 202 or scanner.longest_line == longest(RECORDED)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(WITH_LONG_LINE)), max_size=8))
def test_a_line_longer_than_any_block_is_measured_and_hides_nothing(places: list[int]) -> None:
    scanner = scan(*(block for piece in cut(WITH_LONG_LINE, places) for block in by_size(piece, BLOCK_SIZE)))
    assert scanner.objects == OBJECTS
    assert scanner.longest_line == longest(WITH_LONG_LINE) > LONG


def test_a_line_that_ends_the_stream_counts_in_full() -> None:
    assert scan(b"CREATE TABLE `a` (\n", b"x" * 700, b"y" * 800).longest_line == 1500
    assert scan(b"-- a\n", b"-- b\nCREATE TABLE `a` (i int)").objects["tables"] == 1
    assert scan(b"").longest_line == 0


def test_a_trigger_that_is_left_out_is_noticed() -> None:
    without = re.sub(rb"DELIMITER ;;\n/\*!50003 CREATE\*/.*?\nDELIMITER ;\n", b"", RECORDED, flags=re.DOTALL)
    assert difference(OBJECTS, scan(without).objects) == "0 of 1 triggers"


BODY = b"DELIMITER ;;\n%s\nDELIMITER ;\n"


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        (b"CREATE TABLE `a` (\n  `i` int\n);\nCREATE TABLE `b` (i int);\n", {"tables": 2}),
        (b"CREATE TEMPORARY TABLE `a` (i int);\n", {}),
        (b" CREATE TABLE `a` (i int);\n-- CREATE TABLE `b` (i int);\n", {}),
        (BODY % b"CREATE DEFINER=`a`@`b` PROCEDURE `p`()\nBEGIN\nCREATE TABLE x (i int);\nEND", {"routines": 1}),
        (BODY % b"CREATE DEFINER=`a`@`b` PROCEDURE `p`()\nBEGIN\nCREATE PROCEDURE q() x;\nEND", {"routines": 1}),
        (BODY % b"CREATE DEFINER=`a`@`b` PROCEDURE `p`()\n/*\n/*!50003 CREATE*/\nSELECT 1", {"routines": 1}),
        (BODY % b"CREATE AGGREGATE FUNCTION `f`(x INT) RETURNS int", {"routines": 1}),
        (BODY % b'CREATE DEFINER="a"@"b" PACKAGE BODY "k" AS\nPROCEDURE p1 AS BEGIN NULL; END;\nEND', {"routines": 1}),
        (BODY % b"/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE", {"triggers": 1}),
        (BODY % b"/*!50003 SET x */ ;;\n/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT", {"events": 1}),
        (b"/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50001 VIEW `v` AS select 1 */;\n", {"views": 1}),
        (b"/*!50001 CREATE VIEW `v` AS SELECT\n NULL AS `a` */;\n", {}),
        (b"CREATE SEQUENCE `s` start with 1;\n", {"sequences": 1}),
        (b"DELIMITER $$\nCREATE TABLE x (i int)$$\nDELIMITER ;\nCREATE TABLE y (i int);\n", {"tables": 1}),
    ],
)
def test_each_kind_is_counted_by_its_own_statement_only(text: bytes, counted: dict[str, int]) -> None:
    for scanner in (scan(text), scan(*by_size(text, 1))):
        assert {kind: count for kind, count in scanner.objects.items() if count} == counted


ALTER = b"ALTER DATABASE `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ;\n"


@pytest.mark.parametrize(
    ("written", "target", "refused"),
    [
        (b"larapos", "larapos", False),
        (b"other", "larapos", True),
        (b"od``d", "od`d", False),
        (b"od``d", "od``d", True),
        ("ñandú".encode(), "ñandú", False),
    ],
)
def test_a_dump_that_alters_another_schema_is_refused(written: bytes, target: str, refused: bool) -> None:
    text = b"-- a dump\n" + ALTER % written
    assert scan(text).longest_line > 0
    if not refused:
        scan(text, only_database=target)
        return
    with pytest.raises(BackupError, match="alters the schema") as caught:
        scan(text, only_database=target)
    assert caught.value.reason == "other_schema"


def test_a_schema_altered_before_an_event_is_looked_at_and_hides_no_event() -> None:
    text = BODY % (ALTER % b"larapos" + b"/*!50003 SET x */ ;;\n/*!50106 CREATE*/ /*!50106 EVENT `e`")
    assert scan(text, only_database="larapos").objects["events"] == 1
    with pytest.raises(BackupError, match="alters the schema larapos"):
        scan(text, only_database="other")


def test_another_schema_in_a_body_is_the_routines_own_business() -> None:
    scan(BODY % (b"CREATE PROCEDURE `p`()\n" + ALTER % b"other"), only_database="larapos")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"tables": 4, "views": 1}, ""),
        ({"tables": 3, "views": 1}, "3 of 4 tables"),
        ({"tables": 5, "views": 0}, "5 of 4 tables, 0 of 1 views"),
        ({}, "0 of 4 tables, 0 of 1 views"),
    ],
)
def test_differences_are_said_by_kind(found: dict[str, int], text: str) -> None:
    assert difference({"tables": 4, "views": 1}, found) == text

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._mysql import _business


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        " \n(select 1) union (select 2)",
        "WITH x AS (SELECT 1) SELECT * FROM x;",
        "SELECT 1 -- ; INTO OUTFILE",
        "SELECT 1 # for update",
        "SELECT /* ; into */ 1 ; \n",
        "SELECT ';', \"into\", `for update`, 'it''s; \\'into'",
        "SELECT into_account, fortnight FROM updates",
    ],
)
def test_what_only_reads_is_asked(query: str) -> None:
    assert _business.refusal(query) is None


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "not a SELECT"),
        ("-- SELECT 1", "not a SELECT"),
        ("'SELECT 1'", "not a SELECT"),
        ("SELECTED", "not a SELECT"),
        ("CALL close_day()", "not a SELECT"),
        ("SET GLOBAL read_only = 1", "not a SELECT"),
        ("/*!99999 SELECT */ 1", "not a SELECT"),
        ("SELECT 1 /*!50000 INTO @x */", "executed"),
        ("SELECT 1 /*M!100000 INTO @x */", "executed"),
        ("SELECT 1 /*M!100000*/ INTO @x", "executed"),
        ("SELECT 1; SELECT 2", "more than one"),
        ("SELECT 1;; SELECT 2", "more than one"),
        ("SELECT 'a\\'; DROP TABLE x; -- '; SELECT 1", "more than one"),
        ("SELECT 1 INTO @x", "more than read"),
        ("SELECT 1 into\tdumpfile 'x'", "more than read"),
        ("SELECT 1 FOR\n UPDATE", "more than read"),
        ("SELECT 1 FOR SHARE", "more than read"),
        ("SELECT 1 LOCK IN SHARE MODE", "more than read"),
    ],
)
def test_what_does_more_is_not(query: str, why: str) -> None:
    assert why in str(_business.refusal(query))


@given(st.text(max_size=60))
def test_what_stands_in_quotes_is_no_code(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    assert _business.refusal(f"SELECT '{quoted}'") is None
    assert _business.refusal(f"SELECT 1 FROM `{text.replace('`', '``')}`") is None
    assert _business.refusal(f"SELECT '{quoted}'; DELETE FROM x") is not None
    assert _business.refusal(f"SELECT '{quoted}' INTO @x") is not None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        (b"\x00\xff", "0x00ff"),
        (decimal.Decimal("0E-8"), "0.00000000"),
        (decimal.Decimal("12.50"), "12.50"),
        (5, "5"),
        (0.1, "0.1"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(days=-1, hours=12), "-1 day, 12:00:00"),
    ],
)
def test_every_value_has_one_text(value: object, text: str | None) -> None:
    assert _business._bounded([[value]]) == [[text]]


def test_an_answer_is_bounded_in_rows_and_characters() -> None:
    row = ["x" * 1024]
    assert len(_business._bounded([["x"]] * _business.MOST_ROWS)) == _business.MOST_ROWS
    with pytest.raises(_business.QueryError, match="more than 1000 rows"):
        _business._bounded([["x"]] * (_business.MOST_ROWS + 1))
    with pytest.raises(_business.QueryError, match="more than 1048576 characters"):
        _business._bounded([row * 2] * 513)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    read = []

    def endless() -> object:
        while True:
            read.append(1)
            yield ["x" * 4096]

    with pytest.raises(_business.QueryError):
        _business._bounded(endless())  # type: ignore[arg-type]
    assert len(read) == 257

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of GTIDs of both engines, against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _gtid
from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError

ONE = "17375958-e6cc-11f1-aec2-46169dd03dbf"
TWO = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

mysql_gtids = st.lists(
    st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from(["", "a", "shop_2"]), st.integers(1, 12)), max_size=30
)
mariadb_gtids = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 9)), max_size=20)


def mysql_text(gtid: tuple[str, str, int]) -> str:
    uuid, tag, number = gtid
    return f"{uuid}:{tag}:{number}" if tag else f"{uuid}:{number}"


def mariadb_text(gtid: tuple[int, int, int]) -> str:
    return "-".join(map(str, gtid))


def grown(engine: str, texts: list[str]) -> _gtid.State:
    state = _gtid.State.empty(engine)
    for text in texts:
        state = state.add(text)
    return state


@given(gtids=mysql_gtids, others=mysql_gtids)
def test_mysql_is_a_set(gtids: list[tuple[str, str, int]], others: list[tuple[str, str, int]]) -> None:
    state, other = (grown("mysql", [mysql_text(each) for each in every]) for every in (gtids, others))
    assert all(state.contains(mysql_text(each)) is (each in gtids) for each in [*gtids, *others])
    assert state.lower(other) is (not set(others) <= set(gtids))
    assert (state == other) is (set(gtids) == set(others))
    assert _gtid.parse("mysql", str(state)) == state
    assert _gtid.parse("mysql", ",".join(mysql_text(each) for each in reversed(gtids))) == state
    assert bool(state) is bool(gtids)


@given(gtids=mariadb_gtids, others=mariadb_gtids)
def test_mariadb_keeps_the_last_of_each_domain(
    gtids: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    state, other = (grown("mariadb", [mariadb_text(each) for each in every]) for every in (gtids, others))
    last = {domain: (server, sequence) for domain, server, sequence in gtids}
    theirs = {domain: sequence for domain, _server, sequence in others}
    assert str(state) == ",".join(f"{domain}-{last[domain][0]}-{last[domain][1]}" for domain in sorted(last))
    assert _gtid.parse("mariadb", str(state)) == state
    assert _gtid.parse("mariadb", ",".join(map(mariadb_text, gtids))) == state
    lower = any(domain not in last or last[domain][1] < sequence for domain, sequence in theirs.items())
    assert state.lower(other) is lower
    for domain, server, sequence in others:
        known = domain in last and (sequence < last[domain][1] or (server, sequence) == last[domain])
        assert state.contains(f"{domain}-{server}-{sequence}") is known


@pytest.mark.parametrize(
    ("engine", "written", "canonical"),
    [
        ("mariadb", "", ""),
        ("mariadb", "77-8-3, 8-8-14", "8-8-14,77-8-3"),
        ("mysql", " \n", ""),
        (
            "mysql",
            f"{TWO.upper()}:23:21,\n{ONE}:7-9:1-5:6:Shop:2:1:apple:4",
            f"{ONE}:1-9:apple:4:shop:1-2,{TWO}:21:23",
        ),
    ],
)
def test_the_text_is_canonical(engine: str, written: str, canonical: str) -> None:
    assert str(_gtid.parse(engine, written)) == canonical


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("mariadb", "1-2"),
        ("mariadb", "1-2-x"),
        ("mariadb", f"{ONE}:1"),
        ("mysql", "0-1-5"),
        ("mysql", ONE),
        ("mysql", f"{ONE}:"),
        ("mysql", f"{ONE}:0"),
        ("mysql", f"{ONE}:5-1"),
        ("mysql", f"{ONE}:5-4"),
        ("mysql", f"{ONE}:tag"),
        ("mysql", f"{ONE}:1:2x"),
    ],
)
def test_what_is_no_state_is_refused(engine: str, text: str) -> None:
    with pytest.raises(BinlogError, match="is not a GTID"):
        _gtid.parse(engine, text)


def test_a_set_is_not_one_gtid() -> None:
    with pytest.raises(BinlogError, match="is not one GTID"):
        _gtid.State.empty("mysql").add(f"{ONE}:1-2")


def test_states_of_two_engines_are_never_compared() -> None:
    mariadb, mysql = _gtid.State.empty("mariadb"), _gtid.State.empty("mysql")
    assert mariadb != mysql
    with pytest.raises(BinlogError, match="cannot be compared"):
        mariadb.lower(mysql)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of binary log files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _names
from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError


@given(number=st.integers(1, 2**31 - 2), stem=st.sampled_from(["mysql-bin", "binlog", "a.b", "my host-bin"]))
def test_each_name_has_one_number_and_one_successor(number: int, stem: str) -> None:
    name = f"{stem}.{number:06d}"
    assert _names.is_log_name(name)
    assert _names.log_number(name) == number
    assert _names.next_name(name) == f"{stem}.{number + 1:06d}"


def test_six_digits_are_not_the_end() -> None:
    assert _names.next_name("mysql-bin.999999") == "mysql-bin.1000000"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mysql-bin",
        "mysql-bin.",
        "mysql-bin.00001",
        "mysql-bin.0000001",
        "mysql-bin.000001\n",
        "mysql-bin.00000x",
        "mysql-bin.index",
        ".000001",
        "..000001",
        "-bin.000001",
        "a/mysql-bin.000001",
        "../mysql-bin.000001",
        "a\0.000001",
        "mysql-bin.000001.idx",
        "mysql-bin.٠٠٠٠٠١",
    ],
)
def test_no_other_name_is_taken(name: str) -> None:
    assert not _names.is_log_name(name)
    with pytest.raises(BinlogError, match="not a name of a binary log file"):
        _names.log_number(name)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._abreast import WIDTH, abreast


@pytest.mark.parametrize("items", [["a"], ["a", "b"]])
def test_what_comes_out_is_in_the_order_of_what_went_in(items: list[str]) -> None:
    assert len(items) <= WIDTH
    assert abreast(str.upper, items) == [item.upper() for item in items]


def test_two_are_done_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=20)
    assert sorted(abreast(lambda _item: meeting.wait(), ["a", "b"])) == [0, 1]


@pytest.mark.parametrize("wrong", ["a", "b"])
def test_an_error_in_either_is_told(wrong: str) -> None:
    def work(item: str) -> None:
        if item == wrong:
            raise ValueError(item)

    with pytest.raises(ValueError, match=wrong):
        abreast(work, ["a", "b"])

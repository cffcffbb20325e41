# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime

import pytest

from larapee_runner import render


def test_plain_table_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    render.show(render.Table("runs", ("a", "b"), [("x", render.status_cell("broken")), ("long", "")]))
    assert capsys.readouterr().out == "runs\na     b\nx     BROKEN\nlong\n"


def test_nothing_stored_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.show(render.Table("runs", ("error",), [("\x1b[2Jgone\u202e\nnext\ud800",)]))
    assert capsys.readouterr().out.splitlines()[2] == " [2Jgone  next"


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 1024**3, "3.0 GiB"), (2**60, "1048576.0 TiB")],
)
def test_size(number: int | None, text: str) -> None:
    assert render.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3660, "1 h 1 min"),
        (100_000, "27 h 46 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_span(seconds: float | None, text: str) -> None:
    assert render.span(seconds) == text


def test_moment() -> None:
    assert render.moment(datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)) == "2026-11-22 14:32:10"
    assert render.moment(None) == "-"

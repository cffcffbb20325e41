# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _estimate

LARGE = 100 * 1024**2


def test_without_an_earlier_restore_it_is_said_to_be_assumed(tmp_path: Path) -> None:
    found = _estimate.expected(str(tmp_path), {"load": LARGE, "start": 1, "transfer": LARGE})
    assert found["measured"] is False
    assert found["steps"]["start"] == 5.0
    assert found["seconds"] == pytest.approx(sum(found["steps"].values()), abs=0.1)


def test_the_rates_of_this_host_are_used_once_they_are_known(tmp_path: Path) -> None:
    sizes = {"load": LARGE, "replay": LARGE}
    _estimate.note(str(tmp_path), {"load": 10.0, "replay": 20.0}, sizes)
    found = _estimate.expected(str(tmp_path), {"load": 2 * LARGE, "replay": LARGE})
    assert found == {"seconds": 40.0, "steps": {"load": 20.0, "replay": 20.0}, "measured": True}


def test_one_step_that_was_not_measured_is_not_passed_over(tmp_path: Path) -> None:
    _estimate.note(str(tmp_path), {"load": 10.0}, {"load": LARGE})
    assert _estimate.expected(str(tmp_path), {"load": LARGE, "replay": LARGE})["measured"] is False


def test_a_small_restore_says_nothing_of_speed(tmp_path: Path) -> None:
    _estimate.note(str(tmp_path), {"load": 10.0}, {"load": 1000})
    assert _estimate.expected(str(tmp_path), {"load": LARGE})["measured"] is False


@pytest.mark.parametrize(
    "content", ["", "[]", '{"bytes_per_second": {"load": 0}}', '{"bytes_per_second": {"load": "x"}}']
)
def test_a_state_that_cannot_be_read_only_costs_the_measurement(tmp_path: Path, content: str) -> None:
    (tmp_path / "restore-rates.json").write_text(content)
    assert _estimate.expected(str(tmp_path), {"load": LARGE})["measured"] is False
    _estimate.note(str(tmp_path / "gone"), {"load": 10.0}, {"load": LARGE})

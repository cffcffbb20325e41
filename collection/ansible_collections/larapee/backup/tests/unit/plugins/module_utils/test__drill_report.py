# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._drill_report import Drill, judge


def drill(*, plan: dict[str, Any], rto: float = 3600.0) -> Drill:
    return Drill(
        branch="branch-001",
        steps=[{"name": "database", "result": "OK", "seconds": 60.0}],
        planned=["database"],
        left_out=[],
        plans={"database": plan} if plan else {},
        known_set=3,
        missing="",
        rto=rto,
    )


@pytest.mark.parametrize(("plan", "size"), [({"plain_size": 1073741824, "set": 3}, 1073741824), ({}, None)])
def test_the_size_of_the_database_is_told_beside_the_seconds_of_its_step(plan: dict[str, Any], size: int) -> None:
    details = judge(drill(plan=plan))["details"]
    assert (details["database_bytes"], details["steps"][0]["seconds"], details["total_s"]) == (size, 60.0, 60.0)


def test_one_that_was_right_and_took_too_long_says_so() -> None:
    report = judge(drill(plan={"set": 3}, rto=59.0))
    assert (report["details"]["reason"], "error" in report) == ("over_rto", True)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of central: a row for each branch, and what befalls one stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.central.central import CODES, defects
from tests.central.playing import play, rows

if TYPE_CHECKING:
    from tests.central.central import Central

THREE = list(CODES[:3])


def test_snapshots_of_the_estate(central: Central) -> None:
    whole, damaged = (central.branch(code) for code in THREE[:2])
    damaged.damage(1)
    code, output = play(central, THREE[:1], "--check", playbook="playbooks/snapshot.yml")
    assert code == 0, output
    assert rows(central)[whole.code].check_mode
    assert not (central.path / "snapshots" / whole.code).exists()
    code, output = play(central, THREE, playbook="larapee.backup.snapshot")
    assert code == 2, output
    assert "Failed to finish 2 of 3 branches: branch-002; branch-003" in output
    found = rows(central)
    assert {branch: (row.kind, row.status) for branch, row in found.items()} == {
        "branch-001": ("snapshot", "success"),
        "branch-002": ("snapshot", "failed"),
        "branch-003": ("snapshot", "failed"),
    }
    assert found["branch-001"].recovery_point == "2026-03-04T23:00:00Z"
    assert found["branch-001"].bytes == found["branch-001"].details["bytes"] > 0
    assert "its SHA-256 is not that of its manifest" in str(found["branch-002"].error)
    assert "Failed to find what central holds of branch-003" in str(found["branch-003"].error)
    for each in THREE[:2]:
        assert defects(central.newest(each), central.keys, central.state, each) == []

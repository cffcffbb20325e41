# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can acknowledge in central's name takes nothing from a branch that its own rules would have kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retention.branch import Branch


def acknowledge(branch: Branch, artifacts: dict[str, Any], **other: Any) -> None:
    path = branch.state / "acknowledged" / f"{branch.code}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schema": 1, "branch": branch.code, "artifacts": artifacts, **other}))


def everything(branch: Branch) -> dict[str, Any]:
    lines = (branch.directory / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def gone(branch: Branch, **changes: Any) -> list[int]:
    return [each["set"] for each in branch.prune(**changes).facts()["deleted"]]


def test_what_central_does_not_have_goes_no_earlier_than_without_central(shop: Branch, tmp_path: Path) -> None:
    (tmp_path / "honest").mkdir()
    honest = shop.copy(tmp_path / "honest")
    acknowledge(shop, everything(shop))
    assert gone(shop, require_acknowledgement=True) == gone(honest) == [1, 2, 3]
    assert shop.sets() == list(range(4, 11))
    assert shop.verify() == []


def test_no_set_without_a_better_successor_goes(shop: Branch) -> None:
    shop.pass_hours(24 * 365)
    newest = shop.names(10)
    acknowledge(shop, everything(shop))
    shop.prune(require_acknowledgement=True, keep_days=1)
    assert set(newest) <= set(shop.names(10))
    assert shop.verify() == []


def test_what_is_no_acknowledgement_keeps_everything_and_breaks_nothing(shop: Branch) -> None:
    names = shop.names(1)
    for artifacts in ({}, {name: None for name in names}, {name: ["a"] for name in names}, {"../../x": "0" * 64}):
        acknowledge(shop, artifacts, holds="everything", keep_days=0)
        assert gone(shop, require_acknowledgement=True) == []
    assert shop.sets() == list(range(1, 11))


def test_an_acknowledgement_as_large_as_central_may_send_is_read(shop: Branch) -> None:
    artifacts = everything(shop)
    filler = {f"db-20260101-{number:06d}.sql.gz": "0" * 64 for number in range(70_000)}
    acknowledge(shop, artifacts | filler)
    path = shop.state / "acknowledged" / f"{shop.code}.json"
    assert 6 * 1024 * 1024 < path.stat().st_size < 8 * 1024 * 1024
    assert gone(shop, require_acknowledgement=True) == [1, 2, 3]

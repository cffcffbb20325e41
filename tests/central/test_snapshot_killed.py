# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot that is killed before any of its changes: what has a name is whole, and the next run clears up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _signature
from tests.central.central import CODES, Central, defects

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


def after_each_kill(whole: Central, root: Path, method: str) -> Iterator[Central]:
    """A central for each change that a snapshot was killed before; the last one was not."""
    program = [sys.executable, "-m", "tests.central.killed"]
    names = subprocess.run(
        [*program, str(root), str(whole.keys), whole.now.isoformat(), method],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collection")])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    for name in names:
        central = Central(root / name, whole.keys)
        central.now = whole.now
        yield central


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", ["link", "copy"])
def test_killed_at_any_step_what_is_there_is_whole(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    root = tmp_path / "root"
    (root / "whole").mkdir(parents=True)
    whole = Central(root / "whole", keys)
    whole.branch()
    whole.snapshot(method=method)
    whole.snapshot(method=method, hours=20)
    whole.now = whole.now.replace(day=7, hour=19)
    *killed, last = after_each_kill(whole, root, method)
    first, second, third = "20260305-0100", "20260305-2100", "20260307-1900"
    assert last.snapshots() == [third]
    # Eleven files and three of its own, beside those of two older ones that go.
    assert len(killed) > 14 * 3
    # Hundreds of them would take most of the time, and no crash changes a manifest.
    monkeypatch.setattr(_signature, "verify", lambda *_signed, **_by: None)
    for number, each in enumerate(killed, start=1):
        there = [name for name in each.snapshots() if not name.startswith(".")]
        assert there in ([first, second], [first, second, third], [second, third], [third]), f"killed at {number}"
        for name in there:
            found = defects(each.path / "snapshots" / CODES[0] / name, keys, each.state)
            assert found == [], f"killed at {number}: {name}"
        each.snapshot(method=method, keep_days=1, hours=1)
        assert each.snapshots() == [*([third] if third in there else []), "20260307-2000"], f"killed at {number}"
        assert defects(each.newest(), keys, each.state) == [], f"killed at {number}"

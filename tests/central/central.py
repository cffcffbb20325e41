# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Central's directory with real artifacts of many branches, as adoption leaves them."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _freeze, _verify
from tests.retention.branch import Branch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CODES = tuple(f"branch-{number:03d}" for number in range(1, 14))


class Central:
    """``now`` is what central's clock shows; ``keys`` holds a signing key for each of ``CODES``."""

    def __init__(self, root: Path, keys: Path) -> None:
        self.path = root / "central"
        self.state = root / "state"
        self.keys = keys
        self.path.mkdir(mode=0o711, exist_ok=True)
        for name in ("branches", "snapshots"):
            (self.path / name).mkdir(mode=0o700, exist_ok=True)
        self.now = dt.datetime(2026, 3, 5, 1, 0, tzinfo=dt.UTC)

    def branch(self, code: str = CODES[0], *, runs: int = 1) -> Branch:
        """What was adopted of *code*: *runs* fulls, a day apart, the last one in the evening before ``now``."""
        found = Branch(self.path, self.keys, code=code, directory=self.path / "branches" / code)
        found.encrypted = True
        found.state = self.path.parent / "shops" / code
        found.now = self.now - dt.timedelta(hours=24 * runs - 22)
        found.days(runs)
        for path in (found.directory, *found.directory.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
        return found

    def at(self, time: dt.datetime, work: Callable[[], Any]) -> Any:
        known = _clock.now
        _clock.now = lambda: time
        try:
            return work()
        finally:
            _clock.now = known

    def common(self, code: str, **changes: Any) -> dict[str, Any]:
        return {
            "branch": code,
            "allowed_signers": str(self.keys / "allowed_signers"),
            "state_path": str(self.state),
            "run_id": str(uuid.uuid4()),
            **changes,
        }

    def snapshot(
        self, code: str = CODES[0], *, check_mode: bool = False, hours: float = 0, **changes: Any
    ) -> _freeze.SnapshotOutcome:
        """One night's snapshot, after *hours* have passed."""
        self.now += dt.timedelta(hours=hours)
        request = _freeze.SnapshotRequest(**self.common(code, central_path=str(self.path), **changes))
        found: _freeze.SnapshotOutcome = self.at(
            self.now, lambda: _freeze.take_snapshot(request, check_mode=check_mode)
        )
        return found

    def snapshots(self, code: str = CODES[0]) -> list[str]:
        """All that lies where the snapshots of *code* are, rubbish too."""
        return sorted(os.listdir(self.path / "snapshots" / code))

    def newest(self, code: str = CODES[0]) -> Path:
        return self.path / "snapshots" / code / self.snapshots(code)[-1]


def defects(directory: Path, keys: Path, state: Path, code: str = CODES[0]) -> list[str]:
    """What the verification of *directory*, as a place of its own, finds wrong; and sha256sum."""
    request = _verify.VerifyRequest(
        branch=code,
        directory=str(directory),
        allowed_signers=str(keys / "allowed_signers"),
        state_path=str(state / "elsewhere"),
        run_id=str(uuid.uuid4()),
    )
    outcome = _verify.verify_place(request, check_mode=True)
    sums = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=directory, capture_output=True, text=True
    )
    failed = [f"{each.artifact}: {each.reason}" for each in outcome.failures]
    return failed + ([sums.stdout + sums.stderr] if sums.returncode else [])


def tree(top: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything below *top*: mode, owner, time of change, content."""
    found = {}
    for path in (top, *sorted(top.rglob("*"))):
        status = os.lstat(path)
        content = b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(top))] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found

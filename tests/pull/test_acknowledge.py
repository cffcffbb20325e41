# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central's second key can do at a branch: say what central holds, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "collection/ansible_collections/larapee/backup/roles/branch/files/acknowledge.py"
NAME = "db-20260302-2315.sql.gz.age"
GOOD = {"schema": 1, "branch": "branch-001", "artifacts": {NAME: "a" * 64}}


def _acknowledge(state: Path, document: Any, *, branch: str = "branch-001") -> subprocess.CompletedProcess[bytes]:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    argv = [sys.executable, "-I", str(SCRIPT), branch, str(state), "20"]
    return subprocess.run(argv, input=raw, capture_output=True, timeout=30, check=False)


def _files(state: Path) -> list[str]:
    return sorted(str(path.relative_to(state)) for path in state.rglob("*"))


def test_what_central_holds_is_noted_and_replaced(tmp_path: Path) -> None:
    for artifacts in ({NAME: "a" * 64}, {}, {"config-20260302-2315-07.tar.zst": "b" * 64}):
        done = _acknowledge(tmp_path, {**GOOD, "artifacts": artifacts})
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        path = tmp_path / "acknowledged/branch-001.json"
        assert json.loads(path.read_text()) == {**GOOD, "artifacts": artifacts}
        assert path.stat().st_mode & 0o7777 == 0o600
    assert _files(tmp_path) == ["acknowledged", "acknowledged/branch-001.json"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b" " * (8 * 1024 * 1024 + 1),
        [],
        {**GOOD, "schema": 2},
        {**GOOD, "schema": True},
        {**GOOD, "branch": "branch-002"},
        {**GOOD, "more": 1},
        {**GOOD, "artifacts": [NAME]},
        {**GOOD, "artifacts": {NAME: None}},
        {**GOOD, "artifacts": {NAME: "A" * 64}},
        {**GOOD, "artifacts": {f"{NAME}\n": "a" * 64}},
        {**GOOD, "artifacts": {"../db-20260302-2315.sql.gz": "a" * 64}},
    ],
    ids=range(14),
)
def test_anything_else_changes_nothing(tmp_path: Path, document: Any) -> None:
    assert _acknowledge(tmp_path, GOOD).returncode == 0
    before = (tmp_path / "acknowledged/branch-001.json").read_bytes()
    done = _acknowledge(tmp_path, document)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Failed to acknowledge: the document cannot be used, ")
    assert (tmp_path / "acknowledged/branch-001.json").read_bytes() == before
    assert _files(tmp_path) == ["acknowledged", "acknowledged/branch-001.json"]


@pytest.mark.parametrize("branch", ["", "../branch-001", ".hidden", "branch 001", "branch-001\n"])
def test_a_branch_that_is_none_is_refused(tmp_path: Path, branch: str) -> None:
    assert _acknowledge(tmp_path, {**GOOD, "branch": branch}, branch=branch).returncode == 2
    assert _files(tmp_path) == []


def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    state, victim = tmp_path / "state", tmp_path / "victim"
    (state / "acknowledged").mkdir(parents=True)
    victim.write_text("precious")
    (state / "acknowledged/branch-001.json").symlink_to(victim)
    assert _acknowledge(state, GOOD).returncode == 0
    assert victim.read_text() == "precious"
    (state / "acknowledged/branch-001.json").unlink()
    (state / "acknowledged").rmdir()
    (state / "acknowledged").symlink_to(tmp_path)
    assert _acknowledge(state, GOOD).returncode == 1
    assert not (tmp_path / "branch-001.json").exists()


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    state = tmp_path / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(state)], check=True)
    try:
        assert _acknowledge(state, GOOD).returncode == 0
        many = {f"db-20260302-{number:04d}.sql.gz": "a" * 64 for number in range(2000)}
        done = _acknowledge(state, {**GOOD, "artifacts": many})
        assert (done.returncode, b"No space left" in done.stderr) == (1, True)
        assert json.loads((state / "acknowledged/branch-001.json").read_text()) == GOOD
        assert _files(state) == ["acknowledged", "acknowledged/branch-001.json"]
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_silent_central_is_not_waited_for(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", str(SCRIPT), "branch-001", str(tmp_path), "1"]
    begin = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"it did not come within" in process.stderr.read()
        assert process.wait() == 1
    assert time.monotonic() - begin < 10
    assert _files(tmp_path) == []

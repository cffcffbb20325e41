# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for many branches: a process for each, two at once, and what befalls one stops no other."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _estate
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program

CODES = [f"branch-{number:03d}" for number in range(1, 15)]
SLOW = """
import os, time
from ansible_collections.larapee.backup.plugins.module_utils import _estate
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
def work(branch):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)
    return {}
with interruptible():
    _estate.each_branch(work, ["branch-001", "branch-002"])
"""


def test_each_branch_has_what_became_of_it(tmp_path: Path) -> None:
    def work(branch: str) -> _estate.Report:
        if branch == "branch-002":
            raise BackupError("Failed to try: no luck.", reason="tried")
        if branch == "branch-003":
            os.kill(os.getpid(), signal.SIGKILL)
        if branch == "branch-004":
            (tmp_path / "missing").read_bytes()
        if branch == "branch-005":
            raise ValueError("not foreseen")
        return {"artifacts": [branch * 10_000]}

    reports = _estate.each_branch(work, [*CODES, "../elsewhere", CODES[0]])
    assert list(reports) == [*CODES, "../elsewhere"]
    reasons = {branch: each["details"]["reason"] for branch, each in reports.items() if "error" in each}
    assert reasons == {
        "branch-002": "tried",
        "branch-003": "worker_died",
        "branch-004": "central_failed",
        "branch-005": "worker_died",
        "../elsewhere": "bad_branch",
    }
    assert reports["branch-002"]["error"] == "Failed to try: no luck."
    assert "its process ended by signal 9" in reports["branch-003"]["error"]
    assert f"No such file or directory: {tmp_path / 'missing'}" in reports["branch-004"]["error"]
    assert reports["branch-014"] == {"artifacts": ["branch-014" * 10_000]}


def test_two_work_at_once_and_never_more(tmp_path: Path) -> None:
    def work(branch: str) -> _estate.Report:
        mine = tmp_path / branch
        mine.touch()
        time.sleep(0.05)
        found = len(list(tmp_path.iterdir()))
        mine.unlink()
        return {"at once": found}

    found = {each["at once"] for each in _estate.each_branch(work, CODES).values()}
    assert max(found) == _estate.WIDTH == 2


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_module(ending: signal.Signals) -> None:
    with Program(SLOW) as program:
        workers = [int(program.hear()) for _each in range(2)]
        program.send(ending)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)

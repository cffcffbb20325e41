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
said = os.dup(1)
def work(branch):
    os.write(said, f"{os.getpid()}\\n".encode())
    time.sleep(60)
    return {}
with interruptible():
    _estate.each_branch(work, ["branch-001", "branch-002"])
"""
UNKILLABLE = """
import os, time
from ansible_collections.larapee.backup.plugins.module_utils import _estate
_estate._CLEANING_SECONDS = _estate._DYING_SECONDS = 0.1
_estate._Worker._send = lambda worker, number: None
_estate._process.die_with_parent = lambda: None
def work(branch):
    time.sleep(30)
    return {}
print(_estate.each_branch(work, ["branch-001"], deadline=0.2), flush=True)
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


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_branch_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch, stubborn: bool) -> None:
    """One that waits for an answer is told to end; one that does not hear is killed."""
    monkeypatch.setattr(_estate, "_CLEANING_SECONDS", 0.3)
    fork, forked = os.fork, []

    def counted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", counted)

    def work(branch: str) -> _estate.Report:
        if branch in CODES[:2]:
            if stubborn:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)
        return {"artifacts": [branch], "details": {}}

    began = time.monotonic()
    reports = _estate.each_branch(work, CODES[:6], place="hot", deadline=0.5)
    assert time.monotonic() - began < 5
    assert [branch for branch, each in reports.items() if "error" in each] == CODES[:2]
    for each in CODES[:2]:
        assert reports[each]["details"] == {"reason": "branch_deadline", "place": "hot"}
        assert f"Failed to finish {each} within 0.5 seconds: it was ended." in reports[each]["error"]
    assert len(forked) == 6
    assert not [pid for pid in forked if os.path.exists(f"/proc/{pid}")], "a process was left, or not waited for"


def test_what_cannot_be_killed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a dead disk hears no signal, not even that one: here nobody sends it."""
    monkeypatch.setattr(_estate, "_CLEANING_SECONDS", 0.1)
    monkeypatch.setattr(_estate, "_DYING_SECONDS", 0.1)
    monkeypatch.setattr(_estate._Worker, "_send", lambda _worker, _number: None)

    def work(branch: str) -> _estate.Report:
        time.sleep(2 if branch == CODES[0] else 0)
        return {"artifacts": [branch], "details": {}}

    reports = _estate.each_branch(work, CODES[:4], deadline=0.5)
    assert [branch for branch, each in reports.items() if "error" in each] == CODES[:1]
    assert "it was ended, and cannot be killed (process " in reports[CODES[0]]["error"]
    os.wait()


def test_a_worker_keeps_nobody_waiting_who_reads_what_the_module_prints() -> None:
    with Program(UNKILLABLE) as program:
        assert "branch_deadline" in program.hear()
        began = time.monotonic()
        # Ansible reads until there is nobody left who could print.
        assert program.hear() == ""
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_module(ending: signal.Signals) -> None:
    with Program(SLOW) as program:
        workers = [int(program.hear()) for _each in range(2)]
        program.send(ending)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)

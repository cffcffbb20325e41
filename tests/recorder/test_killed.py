# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One right row for each way in which a running playbook can be ended from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, Journal, RunRecord

from .conftest import BRANCH, CLOSE, DUMP, GUARD, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Stage


@contextlib.contextmanager
def holding(stage: Stage, *, before: str = GUARD) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of its work; whatever the test does to it, nothing of it is left behind."""
    process = stage.start(stage.playbook(before + stage.hold + DUMP + CLOSE))
    try:
        wait_for(stage.marker.exists, what="the task in the middle of the run")
        yield process
    finally:
        process.kill()
        process.communicate()
        end_worker(stage)


def end_worker(stage: Stage) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(worker_of(stage), signal.SIGKILL)


def worker_of(stage: Stage) -> int:
    return int(stage.marker.read_text(encoding="ascii"))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGTERM, -15, "Ended by signal 15 (SIGTERM) during task 'Hold'"),
        (signal.SIGHUP, -1, "Ended by signal 1 (SIGHUP) during task 'Hold'"),
        (signal.SIGINT, 99, "Aborted by signal 2 (SIGINT) during task 'Hold'"),
    ],
)
def test_signal(stage: Stage, number: signal.Signals, code: int, words: str) -> None:
    with holding(stage) as process:
        process.send_signal(number)
        output, _nothing = process.communicate(timeout=15)
        assert process.returncode == code, output
        row = stage.row()
        assert (row.status, row.branch, row.kind) == ("failed", BRANCH, "full")
        assert str(row.error).startswith(words)
        assert row.evidence is Evidence.OBSERVED
        assert stage.journal() == []
        assert list((stage.settings.state_path / "locks").iterdir()) == []
        wait_for(lambda: not is_running(worker_of(stage)), what="the end of what the run had started")


def test_signal_before_the_branch_is_known(stage: Stage) -> None:
    with holding(stage, before="") as process:
        process.terminate()
        process.communicate(timeout=15)
        row = stage.row()
        assert (row.status, row.branch) == ("failed", None)
        assert str(row.error).startswith("Ended by signal 15")


def test_ignored_hangup_stays_ignored(stage: Stage) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with holding(stage) as process:
            process.send_signal(signal.SIGHUP)
            os.kill(worker_of(stage), signal.SIGTERM)
            process.communicate(timeout=15)
            assert process.returncode == 2
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_killed_run_becomes_a_failed_row_and_a_living_one_is_left_alone(stage: Stage) -> None:
    with holding(stage) as process:
        assert stage.recorder.reconcile() == []
        row = stage.row()
        assert (row.status, row.branch, row.evidence) == ("pending", BRANCH, Evidence.PENDING)
        process.kill()
        process.wait(timeout=15)
        assert [lost.branch for lost in stage.recorder.reconcile()] == [BRANCH]
        row = stage.row()
        assert (row.status, row.branch, row.kind, row.evidence) == ("failed", BRANCH, "full", Evidence.INFERRED)
        assert str(row.error).startswith(f"lost: the process of the run (pid {process.pid})")
        assert stage.journal() == []
        assert stage.recorder.reconcile() == []


def test_next_run_settles_a_killed_one(stage: Stage) -> None:
    with holding(stage) as process:
        process.kill()
        process.wait(timeout=15)
        code, output = stage.play(stage.playbook(GUARD + DUMP + CLOSE))
        assert code == 0, output
        assert "is now a failed row: lost:" in " ".join(output.split())
        assert [row.status for row in stage.rows()] == ["success", "failed"]


def test_outer_witness_ends_the_rows_of_a_killed_run(stage: Stage) -> None:
    with holding(stage) as process:
        process.kill()
        process.wait(timeout=15)
        seen = RunRecord.pending(run_id=stage.row().run_id, playbook="playbook.yml", launcher="cli")
        outcome = stage.recorder.conclude(seen.ended("failed", error="Timed out.", details={"ansible_rc": None}))
        assert (outcome.journal, outcome.table, outcome.errors) == (True, True, [])
        row = stage.row()
        assert (row.branch, row.kind, row.error, row.evidence) == (BRANCH, "full", "Timed out.", Evidence.OBSERVED)
        assert row.details == {"ansible_rc": None}
        assert stage.journal() == []


def test_power_cut(stage: Stage) -> None:
    """The lock is held, but the machine was started again since: what holds it cannot be the owner."""
    with holding(stage) as process:
        journal = Journal(stage.settings.state_path)
        entry = journal.read(journal.pending_files()[0])
        text = entry.path.read_text(encoding="utf-8")
        entry.path.write_text(text.replace(entry.boot_id, "0c8f8a3a-0000-4a44-9d0c-6c5b8cf0a001"), encoding="utf-8")
        stage.recorder.reconcile()
        row = stage.row()
        assert (row.status, row.evidence) == ("failed", Evidence.INFERRED)
        assert str(row.error).startswith("lost: the machine went down during the run")
        # The run was alive after all: its observed end replaces the inference, which stays readable.
        process.terminate()
        process.communicate(timeout=15)
        row = stage.row()
        assert str(row.error).startswith("Ended by signal 15")
        assert str(row.details["inference"]["error"]).startswith("lost: the machine went down")


def test_killed_launcher_takes_the_run_along(stage: Stage) -> None:
    playbook = stage.playbook(GUARD + stage.hold + DUMP + CLOSE)
    launcher = (
        "import os, subprocess, sys\n"
        "os.environ['LARAPEE_BACKUP_LAUNCHER_PID'] = str(os.getpid())\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
    )
    program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
    interpreter = f"ansible_python_interpreter={sys.executable}"
    process = subprocess.Popen(
        [sys.executable, "-c", launcher, program, "-i", "localhost,", "-c", "local", "-e", interpreter, playbook.name],
        cwd=stage.directory,
        env=stage.environ,
    )
    try:
        wait_for(stage.marker.exists, what="the task in the middle of the run")
        run_id = stage.row().run_id
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: stage.row().evidence is Evidence.OBSERVED, what="the end of the run")
    row = stage.row()
    assert str(row.error).startswith("Ended by signal 15 (SIGTERM)")
    assert row.launcher_ref == run_id
    try:
        wait_for(lambda: not is_running(worker_of(stage)), what="the end of what the run had started")
    finally:
        end_worker(stage)


def test_owner_lock_is_held_while_the_run_lives(stage: Stage) -> None:
    """What the modules rely on to notice that nobody waits for them any more."""
    probe = (
        "import fcntl, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "try:\n    fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
        "except OSError:\n    sys.exit(7)\n"
    )
    with holding(stage) as process:
        journal = Journal(stage.settings.state_path)
        lock = journal.lock_path(stage.row().run_id)
        command = [sys.executable, "-c", probe, str(lock)]
        assert subprocess.run(command, check=False).returncode == 7
        process.kill()
        process.wait(timeout=15)
        assert subprocess.run(command, check=False).returncode == 0

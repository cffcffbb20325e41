# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _lock
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program, descriptors

HOLD = """
from ansible_collections.larapee.backup.plugins.module_utils import _lock
with _lock.hold(sys.argv[1], "full-branch-001", run_id="run-1", shared=sys.argv[2] == "shared"):
    say("held")
    wait()
"""


def refused(state: Path, *, name: str = "full-branch-001", shared: bool = False) -> BackupError:
    with pytest.raises(BackupError) as caught, _lock.hold(str(state), name, run_id="run-2", shared=shared):
        pass
    assert caught.value.reason == "lock_held"
    return caught.value


def test_a_second_holder_is_refused_at_once_with_who_holds_it(tmp_path: Path) -> None:
    with Program(HOLD, str(tmp_path), "exclusive") as holder:
        assert holder.hear() == "held"
        error = refused(tmp_path)
        facts = error.facts["holder"]
        assert (facts["pid"], facts["run_id"], facts["host"]) == (holder.pid, "run-1", socket.gethostname())
        assert f"process {holder.pid} of run run-1 since {facts['since']} holds it" in str(error)
        assert refused(tmp_path, shared=True).facts == error.facts
    with _lock.hold(str(tmp_path), "full-branch-001", run_id="run-2"):
        pass


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with Program(HOLD, str(tmp_path), "exclusive") as holder:
        assert holder.hear() == "held"
        refused(tmp_path)
        holder.kill()
        with _lock.hold(str(tmp_path), "full-branch-001", run_id="run-2"):
            pass


def test_shared_holders_share_and_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    with (
        Program(HOLD, str(tmp_path), "shared") as holder,
        _lock.hold(str(tmp_path), "other", run_id="run-2", shared=True),
    ):
        assert holder.hear() == "held"
        with _lock.hold(str(tmp_path), "full-branch-001", run_id="run-2", shared=True):
            assert "another run holds it" in str(refused(tmp_path))
        refused(tmp_path, name="other")
    with _lock.hold(str(tmp_path), "full-branch-001", run_id="run-2"):
        pass


def test_what_a_dead_holder_wrote_is_not_said_of_those_who_share_the_lock_now(tmp_path: Path) -> None:
    with Program(HOLD, str(tmp_path), "exclusive") as dead:
        assert dead.hear() == "held"
        dead.kill()
    with _lock.hold(str(tmp_path), "full-branch-001", run_id="run-2", shared=True):
        error = refused(tmp_path)
    assert error.facts == {"holder": {}}
    assert "another run holds it" in str(error)


def test_other_names_are_other_locks(tmp_path: Path) -> None:
    with (
        _lock.hold(str(tmp_path), "full-branch-001", run_id="r"),
        _lock.hold(str(tmp_path), "full-branch-002", run_id="r"),
    ):
        refused(tmp_path)


def test_a_lock_is_given_back_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), _lock.hold(str(tmp_path), "full-branch-001", run_id="r"):
        os.stat(tmp_path / "gone")
    with _lock.hold(str(tmp_path), "full-branch-001", run_id="r"):
        pass


def test_lock_files_are_private_and_are_not_inherited(tmp_path: Path) -> None:
    before = descriptors()
    with _lock.hold(str(tmp_path), "full-branch-001", run_id="r"):
        (path,) = (tmp_path / "locks").iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        (opened,) = set(descriptors()) - set(before)
        assert not os.get_inheritable(opened)
    assert descriptors() == before


def test_a_lock_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "full-branch-001.lock").mkdir()
    with (
        pytest.raises(BackupError, match="Failed to open the lock"),
        _lock.hold(str(tmp_path), "full-branch-001", run_id="r"),
    ):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    release = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with _lock.hold(str(tmp_path), "chain-branch-001", run_id="first"):
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    began = time.monotonic()
    with (
        pytest.raises(BackupError) as caught,
        _lock.hold(str(tmp_path), "chain-branch-001", run_id="second", wait_seconds=0.3),
    ):
        pass
    assert caught.value.reason == "lock_held"
    assert time.monotonic() - began >= 0.3
    threading.Timer(0.2, release.set).start()
    with _lock.hold(str(tmp_path), "chain-branch-001", run_id="second", wait_seconds=30):
        assert release.is_set()
    holder.join()

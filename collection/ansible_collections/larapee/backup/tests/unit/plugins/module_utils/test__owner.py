# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _owner
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program

OWNER = """
import fcntl
handle = open(sys.argv[1], "w")
fcntl.lockf(handle, fcntl.LOCK_EX)
say("held")
wait()
"""

WORKER = """
import signal, time
from ansible_collections.larapee.backup.plugins.module_utils import _owner
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
try:
    with _owner.interruptible():
        try:
            say("working")
            time.sleep(30)
        finally:
            signal.raise_signal(signal.SIGTERM)
            say("cleaned up")
except BackupError as exc:
    say(exc.reason)
    say(exc)
say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def test_a_held_lock_means_a_living_owner_and_a_free_one_a_dead_owner(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with Program(OWNER, str(path)) as owner:
        assert owner.hear() == "held"
        assert not _owner.owner_is_gone(str(path))
        owner.kill()
        assert _owner.owner_is_gone(str(path))


def test_a_missing_lock_is_no_evidence_of_a_death(tmp_path: Path) -> None:
    assert not _owner.owner_is_gone(str(tmp_path / "gone.lock"))
    assert not _owner.owner_is_gone("")


def test_asking_does_not_take_the_lock_away(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_bytes(b"")
    assert _owner.owner_is_gone(str(path))
    with Program(OWNER, str(path)) as owner:
        assert owner.hear() == "held"


def test_a_module_whose_owner_dies_cleans_up_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with Program(OWNER, str(path)) as owner:
        assert owner.hear() == "held"
        with Program(WORKER, **{_owner.ENVIRONMENT_VARIABLE: str(path)}) as worker:
            assert worker.hear() == "working"
            owner.kill()
            assert worker.hear() == "cleaned up"
            assert worker.hear() == "interrupted"
            assert "the run that started it is gone" in worker.hear()
            assert worker.hear() == "True"
            assert worker.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_lets_cleaning_up_run_and_a_second_one_does_not_disturb_it(number: signal.Signals) -> None:
    with Program(WORKER, **{_owner.ENVIRONMENT_VARIABLE: ""}) as worker:
        assert worker.hear() == "working"
        worker.send(number)
        assert worker.hear() == "cleaned up"
        assert worker.hear() == "interrupted"
        assert f"(signal {int(number)})" in worker.hear()


def test_without_a_signal_nothing_is_changed(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), threading.active_count()
    with _owner.interruptible({_owner.ENVIRONMENT_VARIABLE: str(tmp_path / "none")}):
        assert signal.getsignal(signal.SIGTERM) is not before[0]
        assert threading.active_count() == before[1] + 1
    assert (signal.getsignal(signal.SIGTERM), threading.active_count()) == before


def test_handlers_come_back_after_an_interruption() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(BackupError, match="signal 15"), _owner.interruptible({}):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Journal,
    JournalError,
    OwnerLock,
    RunOwnedError,
    owner_is_dead,
)
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._journal import DamagedEntryError
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._lock import is_held, remove_if_free
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import make_record

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"
PROBE = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(7)
"""


def held_by_somebody(path: Path) -> bool:
    """Asked from another process: a POSIX lock looks free to the one that holds it."""
    return subprocess.run([sys.executable, "-c", PROBE, str(path)], check=False).returncode == 7


def test_entry_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    records = [make_record(run_id=RUN_ID, branch=branch) for branch in ("branch-001", "branch-002")]
    journal.write(records)
    entry = journal.read(*journal.pending_files())
    assert (entry.records, entry.run_id, entry.pid, entry.witness) == (records, RUN_ID, os.getpid(), "callback")
    assert not entry.is_finished
    assert [oct(path.stat().st_mode & 0o777) for path in (entry.path, entry.path.parent)] == ["0o600", "0o700"]
    journal.remove(RUN_ID)
    assert journal.pending_files() == []


def test_each_witness_has_its_own_place(tmp_path: Path) -> None:
    callback, wrapper = Journal(tmp_path), Journal(tmp_path, witness="wrapper")
    assert callback.path(RUN_ID).parent != wrapper.path(RUN_ID).parent
    with callback.hold(RUN_ID), wrapper.hold(RUN_ID):
        assert callback.lock_path(RUN_ID) != wrapper.lock_path(RUN_ID)


def test_failed_write_leaves_the_entry_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    journal.write([make_record(run_id=RUN_ID)])

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(JournalError, match="No space left on device"):
        journal.write([make_record(run_id=RUN_ID, branch="branch-001")])
    assert [path.name for path in journal.directory.iterdir()] == [f"{RUN_ID}.json"]
    assert journal.read(journal.path(RUN_ID)).records[0].branch is None


def test_one_entry_holds_one_run(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="2 runs"):
        Journal(tmp_path).write([make_record(), make_record()])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 1}', b"null", pytest.param(b"[" * 100_000, id="deep")]
)
def test_damaged_entry_is_told_from_others(tmp_path: Path, content: bytes) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    journal.path(RUN_ID).write_bytes(content)
    with pytest.raises(DamagedEntryError, match="it is damaged"):
        journal.read(journal.path(RUN_ID))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("run_id", None),
        ("run_id", 1),
        ("run_id", ""),
        ("run_id", "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a002"),
        ("lock", ""),
        ("lock", "run.lock"),
        ("lock", "/run/\0.lock"),
        ("lock", "/run/\ud800.lock"),
        ("lock", 7),
        ("pid", float("inf")),
        ("host", None),
        ("branch", "\ud800"),
        ("started_at", "0001-01-01T00:00:00+14:00"),
        ("finished_at", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_one_bad_value_is_damage_and_nothing_worse(tmp_path: Path, where: str, value: Any) -> None:
    journal = Journal(tmp_path)
    journal.write([make_record(run_id=RUN_ID)])
    document = json.loads(journal.path(RUN_ID).read_bytes())
    (document if where in document else document["records"][0])[where] = value
    journal.path(RUN_ID).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DamagedEntryError):
        journal.read(journal.path(RUN_ID))


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    path = journal.path(RUN_ID)
    os.mkfifo(path)
    with pytest.raises(DamagedEntryError):
        journal.read(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert journal.pending_files() == [path]
    with pytest.raises(DamagedEntryError):
        journal.read(path)
    assert journal.set_aside(path).is_symlink()


def test_entry_without_a_lock_lives_as_long_as_its_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write([make_record(run_id=RUN_ID)])
    document = {**json.loads(journal.path(RUN_ID).read_bytes()), "lock": None}
    for pid, dead in ((os.getpid(), False), (2**30, True)):
        journal.path(RUN_ID).write_text(json.dumps({**document, "pid": pid}), encoding="utf-8")
        assert owner_is_dead(journal.read(journal.path(RUN_ID))) is dead


def test_entry_under_the_name_of_another_run_is_damaged(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write([make_record()])
    (path,) = journal.pending_files()
    moved = path.rename(journal.path(RUN_ID))
    with pytest.raises(DamagedEntryError, match="not the entry of its run"):
        journal.read(moved)


def test_entry_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write([make_record(run_id=RUN_ID)])
    document = json.loads(journal.path(RUN_ID).read_bytes())
    journal.path(RUN_ID).write_text(json.dumps({"schema": document["schema"] + 1, "runs": []}), encoding="utf-8")
    with pytest.raises(JournalError, match="a newer release wrote it") as caught:
        journal.read(journal.path(RUN_ID))
    assert not isinstance(caught.value, DamagedEntryError)


def test_files_set_aside_never_replace_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    kept = []
    for content in ("first", "second", "third"):
        journal.path(RUN_ID).write_text(content, encoding="utf-8")
        kept.append(journal.set_aside(journal.path(RUN_ID)))
    assert [path.read_text(encoding="utf-8") for path in kept] == ["first", "second", "third"]
    assert journal.pending_files() == []


def test_remains_of_a_crash_go_and_fresh_ones_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    old, fresh = journal.directory / ".a.1.tmp", journal.directory / ".b.2.tmp"
    old.touch()
    fresh.touch()
    os.utime(old, (0, 0))
    journal.remove_stale_temporaries()
    assert list(journal.directory.iterdir()) == [fresh]


def test_what_a_killed_writer_left_goes_at_once_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    with subprocess.Popen(["true"]) as gone:
        pass
    dead = journal.directory / f".{RUN_ID}.{gone.pid}.tmp"
    living = journal.directory / f".{RUN_ID}.{os.getpid()}.tmp"
    dead.touch()
    living.touch()
    with journal.hold(RUN_ID):
        journal.remove_stale_temporaries()
        assert {dead, living} == set(journal.directory.iterdir())
    journal.remove_stale_temporaries()
    assert list(journal.directory.iterdir()) == [living]


def test_a_writer_that_nobody_buried_is_dead(tmp_path: Path) -> None:
    """In a container whose first process is no init, what was killed stays a zombie."""
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    with subprocess.Popen(["sleep", "60"]) as killed:
        left = journal.directory / f".{RUN_ID}.{killed.pid}.tmp"
        left.touch()
        journal.remove_stale_temporaries()
        assert left.exists()
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        journal.remove_stale_temporaries()
        assert not left.exists()


def test_a_later_process_of_the_number_is_not_the_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.directory.mkdir()
    with subprocess.Popen(["sleep", "60"]) as later:
        left = journal.directory / f".{RUN_ID}.{later.pid}.tmp"
        left.touch()
        os.utime(left, (time.time() - 60, time.time() - 60))
        journal.remove_stale_temporaries()
        assert not left.exists()
        later.kill()


def test_own_lock_survives_being_asked_about(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.hold(RUN_ID) as lock:
        journal.write([make_record(run_id=RUN_ID)])
        assert not owner_is_dead(journal.read(journal.path(RUN_ID)))
        assert held_by_somebody(lock.path)
    assert owner_is_dead(journal.read(journal.path(RUN_ID)))
    assert not lock.path.exists()


def test_forked_child_neither_holds_nor_releases(tmp_path: Path) -> None:
    with Journal(tmp_path).hold(RUN_ID) as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert held_by_somebody(lock.path)


def test_run_with_a_living_owner_cannot_be_held_twice(tmp_path: Path) -> None:
    holder = (
        "import fcntl, os, sys\n"
        "fcntl.lockf(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = tmp_path / "run.lock"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RunOwnedError, match="another process owns this run"):
            OwnerLock(path)
        assert is_held(path)
        remove_if_free(path)
        assert path.exists()
        process.kill()
    assert not is_held(path)
    remove_if_free(path)
    assert not path.exists()

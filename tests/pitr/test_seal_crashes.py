# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crashes of the server and damage to its log: what goes on, and what is named as a gap."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Walker
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import DATABASE, sql
from tests.pitr.sealing import SealingBranch, require_healed, require_recovered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._binlog._facts import Group


def test_killed_under_load(branch: SealingBranch) -> None:
    """Whatever the server still has after its own recovery is sealed, and the chain goes on."""
    full = branch.full()
    for _crash in range(3):
        with selling(branch):
            time.sleep(0.5)
            branch.increment()
            time.sleep(0.3)
            branch.source.kill()
        branch.source.start()
        branch.sell()
        outcome = branch.seal()
        assert outcome.manifest is not None
        ends = [each["end"] for each in outcome.manifest.document["files"]]
        assert ends == ["crash", "rotate"]
        assert any("as after a crash of the server" in warning for warning in outcome.warnings)
    require_recovered(branch, full)


@contextlib.contextmanager
def selling(branch: SealingBranch) -> Iterator[None]:
    over = threading.Event()

    def sell() -> None:
        with contextlib.suppress(pymysql.MySQLError, OSError):
            connection = branch.source.connect(database=DATABASE)
            with contextlib.closing(connection), connection.cursor() as cursor:
                while not over.is_set():
                    cursor.execute("INSERT INTO orders (total, slip) VALUES (1.5, RANDOM_BYTES(1000))")

    threads = [threading.Thread(target=sell) for _till in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def groups(path: Path) -> list[Group]:
    found: list[Group] = []
    walker = Walker("mariadb", on_group=found.append)
    walker.feed(path.read_bytes())
    return found


def events(path: Path, group: Group) -> list[int]:
    """Where the events of *group* end."""
    raw = path.read_bytes()
    at, ends = group.start, []
    while at < group.end:
        at += int.from_bytes(raw[at + 9 : at + 13], "little")
        ends.append(at)
    return ends


def cut_within_an_event(path: Path, last: Group) -> None:
    os.truncate(path, last.end - 1000)


def cut_between_events(path: Path, last: Group) -> None:
    os.truncate(path, events(path, last)[1])


def cut_within_a_header(path: Path, last: Group) -> None:
    os.truncate(path, events(path, last)[1] + 7)


def zeros_at_the_end(path: Path, last: Group) -> None:
    with path.open("r+b") as file:
        file.seek(last.end - 1000)
        file.write(bytes(1000))


def keep_engine(server: ThrowawayServer, directory: Path) -> Path:
    """What the engine has written so far; a power cut that tears a transaction in the log keeps its end from it."""
    os.kill(server.pid, signal.SIGSTOP)
    shutil.copytree(server.datadir, directory, ignore=shutil.ignore_patterns("mysql-bin.*", "*.pid"))
    os.kill(server.pid, signal.SIGCONT)
    return directory


@pytest.mark.parametrize(
    "tear",
    [cut_within_an_event, cut_between_events, cut_within_a_header, zeros_at_the_end],
    ids=lambda each: each.__name__,
)
def test_a_crash_in_the_middle_of_an_event(branch: SealingBranch, tmp_path: Path, tear: object) -> None:
    """What the power cut left of the file's end is not replayed, and the server has rolled it back too."""
    full = branch.full()
    branch.sell()
    first = branch.increment()
    branch.sell(2)
    kept = keep_engine(branch.source, tmp_path / "engine")
    sql(branch.source, "INSERT INTO orders (slip) VALUES (REPEAT('x', 5000))", database=DATABASE)
    name = list(branch.logs())[-1]
    time.sleep(2.5)
    branch.source.kill()
    path = branch.log_path(name)
    last = groups(path)[-1]
    tear(path, last)  # type: ignore[operator]
    shutil.copytree(kept, branch.source.datadir, dirs_exist_ok=True)
    branch.source.start()
    listed = branch.logs()[name]
    branch.sell(note="after")
    outcome = branch.seal()
    assert outcome.manifest is not None
    torn, *_others = outcome.manifest.document["files"]
    # Not the end of the transaction before: the server's background thread may have put a checkpoint between the two.
    assert (torn["name"], torn["end"], torn["size"]) == (name, "crash", last.start)
    assert torn["size"] < listed
    assert outcome.manifest.document["largest_event"] < 5000
    assert outcome.manifest.document["previous"] == first.artifact
    branch.sell(note="later")
    branch.increment()
    # From a full in the torn file's predecessor, and from one right after the crash.
    require_recovered(branch, full)
    assert branch.seal().unchanged


def test_a_full_in_a_file_that_is_torn_later(branch: SealingBranch) -> None:
    full = branch.full()
    branch.sell()
    branch.restart(kill=True)
    branch.sell()
    assert branch.increment().document["files"][0]["end"] == "crash"
    require_recovered(branch, full)


@pytest.mark.parametrize("where", ["checksum", "length", "first-length", "first-event", "all"])
def test_a_damaged_file_is_a_gap(branch: SealingBranch, where: str) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell(2)
    name = list(branch.logs())[-1]
    sql(branch.source, "FLUSH BINARY LOGS")
    path = branch.log_path(name)
    first = groups(path)[0]
    at = {"checksum": first.end - 40, "length": first.start + 9, "first-length": 13, "first-event": 60, "all": 0}[where]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xaa\xaa" if at else bytes(path.stat().st_size))
    assert name in branch.gap()
    require_healed(branch, because=name)

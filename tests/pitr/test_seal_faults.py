# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crashes of the server, purged logs, jumps of the clock: what goes on, and what is named as a gap."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _db_chain, _epoch
from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Walker
from ansible_collections.larapee.backup.plugins.module_utils._catalog import read_catalogue
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import BRANCH, DATABASE, FakeTools, sql
from tests.pitr.sealing import SealingBranch, picture, require_healed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._binlog._facts import Group
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from tests.database.estate import Keys

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThrowawayServer]:
    running = ThrowawayServer(tmp_path / "server")
    running.start()
    try:
        yield running
    finally:
        running.destroy()


@pytest.fixture
def branch(server: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=server, target=target, keys=keys, root=tmp_path)


class Clock:
    """The branch's clock, ahead or behind by ``off``."""

    def __init__(self) -> None:
        self.off = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.off


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    wrong = Clock()
    monkeypatch.setattr(_clock, "now", wrong.now)
    return wrong


def require_recovered(branch: SealingBranch, full: Manifest) -> list[Manifest]:
    """One chain from *full* to the end, which the stock replay turns into what the server has; returns its parts."""
    manifests = [entry.manifest for entry in read_catalogue(str(branch.local)).entries]
    chains, astray = _db_chain.db_chains(manifests)
    assert astray == {}
    (chain,) = (each for each in chains if each.full.artifact == full.artifact)
    assert chain.broken is None
    branch.replay(branch.target, full, list(chain.increments))
    assert picture(branch.target) == picture(branch.source)
    assert branch.verify(identity=branch.keys.identity).failures == []
    return list(chain.increments)


def test_purged_before_it_was_sealed(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    last = branch.increment()
    branch.sell()
    lost = list(branch.logs())[-1]
    sql(branch.source, "FLUSH BINARY LOGS")
    branch.sell()
    files, oldest = branch.files(), branch.purge()
    why = f"{lost} was removed before it was sealed, the oldest that the server has is {oldest}"
    assert f"Failed to seal the binary logs of {BRANCH}: {why}." in branch.gap()
    assert branch.files() == files
    assert last.artifact in files
    require_healed(branch, because=why)


def test_a_file_that_only_the_list_of_the_server_still_has(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell()
    lost = list(branch.logs())[-1]
    sql(branch.source, "FLUSH BINARY LOGS")
    (branch.source.datadir / lost).unlink()
    assert lost in branch.gap()
    require_healed(branch, because=lost)


def test_purged_in_the_moment_of_reading(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._seal_spool import LogReader

    branch.full()
    branch.sell()
    lost = list(branch.logs())[-1]
    real = LogReader.fetch

    def fetch(self: LogReader, names: list[str]) -> None:
        branch.purge()
        real(self, names)

    monkeypatch.setattr(LogReader, "fetch", fetch)
    assert f"{lost} was removed before it was sealed" in branch.gap()
    monkeypatch.undo()
    require_healed(branch, because=lost)


def test_a_full_beyond_what_was_purged_goes_on_without_another(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell()
    sql(branch.source, "FLUSH BINARY LOGS; FLUSH BINARY LOGS")
    later = branch.full()
    assert branch.purge() == later.position["file"]
    branch.sell()
    outcome = branch.seal()
    assert outcome.manifest is not None
    assert outcome.manifest.document["previous"] == later.artifact
    assert any(
        "after a gap" in warning and "was removed before it was sealed" in warning for warning in outcome.warnings
    )
    branch.replay(branch.target, later, [outcome.manifest])
    assert picture(branch.target) == picture(branch.source)


def test_after_a_gap_a_full_is_forced_once_and_then_hourly(branch: SealingBranch, clock: Clock) -> None:
    def lose() -> str:
        branch.sell()
        lost = list(branch.logs())[-1]
        sql(branch.source, "FLUSH BINARY LOGS")
        branch.purge()
        return lost

    branch.full()
    lost = lose()
    assert lost in branch.gap()
    # The full that was asked for did not come about: the next run asks again.
    assert lost in str(branch.seal().needs_full)
    assert lost in str(branch.seal().needs_full)
    branch.full()
    again = lose()
    assert again in branch.gap()
    fulls = len(read_catalogue(str(branch.local)).of_kind("db_full"))
    for _run in range(3):
        said = branch.gap()
        assert again in said
        assert "A full was taken for such a gap less than an hour ago" in said
    clock.off = HOUR
    assert again in str(branch.seal().needs_full)
    assert len(read_catalogue(str(branch.local)).of_kind("db_full")) == fulls
    branch.full()
    # A full by hand, or at night, is as good at any time.
    assert lose() in branch.gap()
    branch.full()
    branch.sell()
    branch.increment()
    # The clock is put right: what was forced in the future holds nothing up.
    clock.off = dt.timedelta()
    lost = lose()
    assert lost in branch.gap()
    assert lost in str(branch.seal().needs_full)


def test_a_restore_makes_the_next_run_take_a_full_at_once(branch: SealingBranch) -> None:
    branch.full()
    for _restore in range(2):
        _epoch.demand(str(branch.state), branch=BRANCH, because="restored from db-1")
        assert branch.seal().needs_full == "restored from db-1"
        branch.full()
        branch.sell()
        branch.increment()


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
    *_before, whole, last = groups(path)
    tear(path, last)  # type: ignore[operator]
    shutil.copytree(kept, branch.source.datadir, dirs_exist_ok=True)
    branch.source.start()
    listed = branch.logs()[name]
    branch.sell(note="after")
    outcome = branch.seal()
    assert outcome.manifest is not None
    torn, *_others = outcome.manifest.document["files"]
    assert (torn["name"], torn["end"], torn["size"]) == (name, "crash", whole.end)
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


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('"$real" "$@"; truncate --size=-47 "$directory/$last"', "bytes came, the server has"),
        ("exit 1", "mariadb-binlog ended with status 1"),
        ('"$real" "$@"; kill -9 $$', "mariadb-binlog was ended by signal 9"),
        ('"$real" "$@"; echo "WARNING: nobody knows this" >&2', "nobody knows this"),
    ],
    ids=["without-the-last-event", "failed", "killed", "said-something"],
)
def test_a_client_that_misbehaves_is_no_gap(
    branch: SealingBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    branch.full()
    branch.sell()
    before = branch.files()
    tools = FakeTools(tmp_path / "bin", monkeypatch)
    last = list(branch.logs())[-1]
    directory = branch.state / "spool" / BRANCH
    head = f"real=/usr/bin/mariadb-binlog directory={directory} last={last}"
    version = 'case "$*" in *--version*) exec $real "$@";; esac'
    tools.script("mariadb-binlog", f"{head}\n{version}\n{body}")
    with pytest.raises(BackupError, match=words) as caught:
        branch.seal()
    assert caught.value.reason == "stage_failed"
    assert (branch.files(), branch.left_over()) == (before, [])
    tools.script("mariadb-binlog", 'exec /usr/bin/mariadb-binlog "$@"')
    assert branch.increment().document["transactions"] > 0


@pytest.mark.parametrize("jump", [dt.timedelta(days=-1), dt.timedelta(days=1)], ids=["back", "forward"])
def test_the_clock_of_the_branch_jumps(branch: SealingBranch, clock: Clock, jump: dt.timedelta) -> None:
    """Server and branch have one clock; order is by number, and that time went back is told."""
    full = branch.full()
    branch.sell()
    before = branch.increment()
    clock.off = jump
    seconds = int((dt.datetime.now(dt.UTC) + jump).timestamp())
    sql(
        branch.source,
        f"SET timestamp = {seconds}; INSERT INTO larapos.orders (note) VALUES ('jumped')",
    )
    jumped = branch.seal()
    assert jumped.manifest is not None
    backwards = jump < dt.timedelta()
    assert jumped.manifest.document["time_went_back"] is backwards
    assert any("The clock says" in warning for warning in jumped.warnings) is backwards
    assert (jumped.manifest.created_at < before.created_at) is backwards
    second = branch.full()
    clock.off = dt.timedelta()
    branch.sell()
    after = branch.seal()
    assert after.manifest is not None
    assert after.manifest.document["time_went_back"] is not backwards
    assert after.manifest.sequence == before.sequence + 2
    assert len(require_recovered(branch, full)) == 3
    branch.replay(branch.target, second, [after.manifest])
    assert picture(branch.target) == picture(branch.source)

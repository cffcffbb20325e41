# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch server: what it needs, what it can reach, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _io, _scratch, _scratch_server
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._scratch_server import Wanted
from tests.database.estate import FakeTools, sql, stock_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.pitr.sealed_shop import SealedShop

WANTED = Wanted("mariadb", "10.11.2", "larapos")
HOLDER = """
import sys, time
from ansible_collections.larapee.backup.plugins.module_utils import _scratch, _scratch_server
wanted = _scratch_server.Wanted("mariadb", "10.11.2", "larapos")
programs = _scratch_server.find_programs(wanted)
with _scratch.scratch(sys.argv[1], run_id="holder", programs=programs, wanted=wanted) as scratch:
    scratch.start()
    print(scratch._process.pid, scratch.socket, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    return FakeTools(tmp_path / "bin", monkeypatch)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[_scratch.Scratch]:
    programs = _scratch_server.find_programs(WANTED)
    with _scratch.scratch(str(tmp_path / "scratch"), run_id="one", programs=programs, wanted=WANTED) as scratch:
        scratch.start()
        yield scratch


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def ended(pid: int) -> bool:
    """A zombie has ended: only its parent has not looked yet."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_stays_after_it(tmp_path: Path) -> None:
    base = tmp_path / "scratch"
    programs = _scratch_server.find_programs(WANTED)
    with _scratch.scratch(str(base), run_id="one", programs=programs, wanted=WANTED) as scratch:
        scratch.start()
        assert (base / "restore-one").stat().st_mode & 0o777 == 0o700
        pid = int(Path(scratch.directories["tmp"], "server.pid").read_text())
    assert list(base.iterdir()) == []
    assert ended(pid)


def sql_of(scratch: _scratch.Scratch, query: str, user: str = "root") -> str:
    argv = ["/usr/bin/mariadb", "--no-defaults", f"--socket={scratch.socket}", f"--user={user}", "--skip-column-names"]
    done = subprocess.run([*argv, "-e", query], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_restore_leaves_no_server_and_the_next_sweeps_its_directory(tmp_path: Path, number: int) -> None:
    base = tmp_path / "scratch"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(base)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert holder.stdout is not None
    with holder:
        pid = int(holder.stdout.readline().split()[0])
        assert _scratch.sweep(str(base)) == [], "what a live process holds stays"
        holder.send_signal(number)
    wait_until(lambda: ended(pid))
    assert _scratch.sweep(str(base)) == ["restore-holder"]
    assert list(base.iterdir()) == []


def test_a_long_path_gets_a_short_socket_of_its_own_which_goes_too(tmp_path: Path) -> None:
    base = tmp_path / ("long-" * 30) / "scratch"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(base)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert holder.stdout is not None
    with holder:
        pid, socket = holder.stdout.readline().split()
        directory = Path(socket).parent
        assert len(socket) <= 107
        assert directory.stat().st_mode & 0o777 == 0o700
        holder.kill()
    wait_until(lambda: ended(int(pid)))
    _scratch.sweep(str(base))
    assert not directory.exists()


def test_sql_reaches_no_file_and_no_plugin_of_this_host(started: _scratch.Scratch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("word")
    secret.chmod(0o644)
    assert "NULL" in sql_of(started, f"SELECT LOAD_FILE('{secret}')")
    assert "ERROR 1290" in sql_of(started, f"SELECT 1 INTO OUTFILE '{tmp_path}/written'")
    assert "ERROR" in sql_of(started, "INSTALL SONAME 'auth_pam'")
    assert "ERROR" in sql_of(started, "CREATE FUNCTION x RETURNS STRING SONAME 'server_audit.so'")
    assert "ERROR 1044" in sql_of(started, "CREATE DATABASE other", user="larapee-restore")
    assert "ERROR" in sql_of(started, "SET GLOBAL event_scheduler = 1", user="larapee-restore")
    assert sql_of(started, "SELECT @@skip_networking, @@log_bin, @@event_scheduler").split() == ["1", "0", "OFF"]


def test_as_root_it_runs_as_the_servers_account_where_that_can_get_to(tmp_path: Path) -> None:
    reachable = Path("/tmp") / f"larapee-reachable-{tmp_path.name}"  # noqa: S108 - removed below
    reachable.mkdir(mode=0o755)
    try:
        programs = _scratch_server.find_programs(WANTED)
        owners = {}
        for base in (reachable / "scratch", tmp_path / "scratch"):
            base.mkdir(mode=0o711)
            with _scratch.scratch(str(base), run_id="one", programs=programs, wanted=WANTED) as scratch:
                scratch.start()
                owners[base.parent == reachable] = Path(scratch.datadir, "ibdata1").owner()
            assert list(base.iterdir()) == []
    finally:
        (reachable / "scratch").rmdir()
        reachable.rmdir()
    assert owners == {True: "mysql", False: "root"} if os.geteuid() == 0 else len(set(owners.values())) == 1


def test_a_server_that_cannot_start_says_why(fake_tools: FakeTools, tmp_path: Path) -> None:
    fake_tools.script(
        "mariadbd",
        'case "$*" in *--version*|*--bootstrap*) exec /usr/sbin/mariadbd "$@";; esac\n'
        'echo "2026-11-22 [ERROR] mariadbd: no memory for that" >&2; exit 1',
    )
    programs = _scratch_server.find_programs(WANTED)
    with (
        _scratch.scratch(str(tmp_path / "s"), run_id="one", programs=programs, wanted=WANTED) as scratch,
        pytest.raises(BackupError, match="no memory for that") as caught,
    ):
        scratch.start()
    assert caught.value.reason == "scratch_failed"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted("mysql", "8.0.36", "larapos"), "is 10.11"),
        (Wanted("mariadb", "11.8.2", "larapos"), "is older"),
    ],
)
def test_a_host_without_the_right_server_program_is_told_what_to_install(wanted: Wanted, why: str) -> None:
    with pytest.raises(BackupError, match=why) as caught:
        _scratch_server.find_programs(wanted)
    assert caught.value.reason == "no_scratch_server"
    assert f"Install {wanted.engine}-server of that version or newer" in str(caught.value)


def test_without_any_server_program_a_full_can_still_be_restored(
    shop: SealedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shop.full()
    before = stock_picture(shop.source)
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    monkeypatch.setattr(_scratch_server, "_which", lambda *_names: None)
    for check_mode in (True, False):
        with pytest.raises(BackupError, match="this host has no mariadbd or mysqld") as caught:
            shop.restore(check_mode=check_mode)
        assert caught.value.reason == "no_scratch_server"
    shop.restore(to=f"gtid:{full.position['gtid']}")
    assert stock_picture(shop.target) == before


def test_a_disk_that_is_too_small_is_refused_with_the_numbers(
    shop: SealedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    increment = shop.seal()
    logs = sum(each["size"] for each in increment.document["files"])
    needed = int(full.plain_size * 1.6) + logs + 1024**3
    for free, refused in ((needed - 1, True), (needed, False)):
        monkeypatch.setattr(_io, "free_bytes", lambda _path, free=free: free)
        if refused:
            with pytest.raises(BackupError, match=f"{free} bytes free, the scratch server needs {needed}") as caught:
                shop.restore(check_mode=True)
            assert caught.value.reason == "scratch_space"
            assert caught.value.facts == {"needed": needed, "free": free}
        else:
            shop.restore(check_mode=True)


def test_the_scratch_may_lie_elsewhere(shop: SealedShop, tmp_path: Path) -> None:
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    plan = shop.restore(scratch_path=str(tmp_path / "elsewhere")).plan
    assert plan["scratch"] == str(tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not shop.scratch.exists()


def test_a_server_that_dies_in_the_middle_is_told_from_a_bad_log(
    shop: SealedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _replay

    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    prepare = _replay.Replay._prepare

    def die(self: _replay.Replay, connection: pymysql.connections.Connection[pymysql.cursors.Cursor]) -> None:
        prepare(self, connection)
        self._scratch.close()

    monkeypatch.setattr(_replay.Replay, "_prepare", die)
    with pytest.raises(BackupError, match="it ended with status -9") as caught:
        shop.restore()
    assert caught.value.reason == "scratch_failed"
    assert shop.leftovers() == []
    assert sql(shop.target, "SHOW DATABASES LIKE 'larapos'") == ""


def test_an_interruption_while_it_starts_is_not_taken_for_a_server_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_options: object) -> None:
        raise BackupError("Failed to finish: interrupted (signal 15).", reason="interrupted")

    programs = _scratch_server.find_programs(WANTED)
    with _scratch.scratch(str(tmp_path / "s"), run_id="one", programs=programs, wanted=WANTED) as scratch:
        monkeypatch.setattr(_scratch, "connect", interrupted)
        with pytest.raises(BackupError, match="interrupted"):
            scratch.start()
    assert list((tmp_path / "s").iterdir()) == []

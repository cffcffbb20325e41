# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pymysql
import pytest

from larapee_runner.demo import programs
from larapee_runner.demo.accounts import create_application
from larapee_runner.demo.server import (
    SOCKET_PATH_LIMIT,
    ServerError,
    ThrowawayServer,
    create_operator,
    create_restorer,
    find_program,
)
from larapee_runner.demo.shop import Shop

PASSWORD = 'it\'s \\ a "test" #1 ñ'
NOBODY = 65534


def one(server: ThrowawayServer, query: str) -> object:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
    finally:
        connection.close()
    return row[0] if row else None


def gone(pid: int) -> bool:
    """Also when nobody has collected its exit status yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True


def run_client(option_file: Path, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["mariadb", f"--defaults-file={option_file}", "--default-character-set=utf8mb4", *arguments],
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_data_outlives_kill_but_not_destroy(tmp_path: Path) -> None:
    server = ThrowawayServer(tmp_path / "s", server_id=7)
    server.start()
    try:
        pid, socket_directory = server.pid, server.socket.parent
        connection = server.connect()
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE kept")
            cursor.execute("SELECT @@server_id, @@gtid_domain_id, @@log_bin, @@binlog_format, @@sync_binlog")
            assert cursor.fetchone() == (7, 7, 1, "ROW", 1)
        server.kill()
        assert gone(pid)
        with pytest.raises(pymysql.err.OperationalError):
            connection.ping(reconnect=False)
        connection.close()
        server.start()
        assert server.pid != pid
        assert one(server, "SHOW DATABASES LIKE 'kept'") == "kept"
        server.stop()
        server.stop()
        assert server.datadir.is_dir()
        assert "Shutdown complete" in server.log.read_text(encoding="utf-8")
        server.start()
        pid = server.pid
    finally:
        server.destroy()
    assert gone(pid)
    assert not server.datadir.exists()
    assert not socket_directory.exists()
    assert not server.running


def test_needs_no_short_directory_and_leaves_others_alone(tmp_path: Path, server: ThrowawayServer) -> None:
    deep = tmp_path / ("d" * 100) / "server"
    with ThrowawayServer(deep, log_bin=False) as other:
        assert len(os.fsencode(other.socket)) <= SOCKET_PATH_LIMIT
        assert other.socket.parent.stat().st_mode & 0o077 == 0
        assert one(other, "SELECT @@log_bin") == 0
    assert one(server, "SELECT 1") == 1


def test_dies_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom larapee_runner.demo.server import ThrowawayServer\n"
        "server = ThrowawayServer(Path(sys.argv[1]))\nserver.start()\n"
        "print(server.pid, server.socket.parent, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert starter.stdout is not None
    pid, socket_directory = starter.stdout.readline().split()
    assert not gone(int(pid))
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    while not gone(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    outlived = not gone(int(pid))
    if outlived:
        os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(socket_directory)
    assert not outlived


def _serve_as_nobody(directory: str) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.environ["TMPDIR"] = directory
    tempfile.tempdir = None
    with ThrowawayServer(Path(directory) / "s") as server:
        os._exit(0 if one(server, "SELECT 1") == 1 and _destroyed(server) else 1)


def _destroyed(server: ThrowawayServer) -> bool:
    server.destroy()
    return not server.datadir.exists()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_ordinary_user_can_start_one() -> None:
    directory = tempfile.mkdtemp(prefix="demo-nobody-")
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    try:
        child = multiprocessing.get_context("fork").Process(target=_serve_as_nobody, args=(directory,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
    finally:
        shutil.rmtree(directory)


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("mariadbd", package="mariadb-server")
    monkeypatch.setattr(programs, "SEARCH_DIRECTORIES", ())
    with pytest.raises(ServerError, match=r"mariadbd: it is not installed.*apt-get install mariadb-server"):
        ThrowawayServer(tmp_path / "s").start()


def test_a_server_that_does_not_start_is_explained(tmp_path: Path) -> None:
    server = ThrowawayServer(tmp_path / "s", extra_args=["--no-such-option"])
    with pytest.raises(ServerError, match=r"Failed to start server.*no-such-option"):
        server.start()
    assert not server.running
    server.destroy()


def test_option_file_keeps_a_strange_password(server: ThrowawayServer, tmp_path: Path) -> None:
    create_operator(server, database="larapos", user="strange", password=PASSWORD)
    path = server.write_option_file(tmp_path / "o.cnf", user="strange", password=PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run_client(path, "-Ne", "SELECT USER()").stdout == "strange@localhost\n"
    path = server.write_option_file(path, user="strange", password="wrong")
    assert run_client(path, "-e", "SELECT 1").returncode != 0
    with pytest.raises(ServerError, match="line break"):
        server.write_option_file(path, user="strange", password="a\nuser=root")


def test_operator_dumps_what_the_restorer_loads(server: ThrowawayServer, unchanged_shop: Shop, tmp_path: Path) -> None:
    create_operator(server, database=unchanged_shop.database, password=PASSWORD)
    operator = server.write_option_file(tmp_path / "operator.cnf", user="larapee-backup", password=PASSWORD)
    dump = subprocess.run(
        [
            "mariadb-dump",
            f"--defaults-file={operator}",
            *("--single-transaction", "--master-data=2", "--gtid", "--routines", "--events", "--triggers"),
            *("--hex-blob", "--default-character-set=utf8mb4", unchanged_shop.database),
        ],
        capture_output=True,
        check=False,
    )
    assert (dump.returncode, dump.stderr) == (0, b"")
    for kind in (b"TRIGGER", b"PROCEDURE", b"FUNCTION", b"EVENT", b"VIEW"):
        assert kind in dump.stdout
    assert "ALTER" not in str(one(server, "SHOW GRANTS FOR 'larapee-backup'@'localhost'"))
    for refused in (
        f"DELETE FROM {unchanged_shop.database}.payments",
        "SELECT * FROM mysql.user",
        "CREATE DATABASE other",
    ):
        assert run_client(operator, "-e", refused).returncode != 0

    with ThrowawayServer(tmp_path / "target") as target:
        create_restorer(target, database=unchanged_shop.database, password=PASSWORD)
        restorer = target.write_option_file(tmp_path / "restorer.cnf", user="larapee-restore", password=PASSWORD)
        assert run_client(restorer, "-e", f"CREATE DATABASE {unchanged_shop.database}").stderr == ""
        load = run_client(restorer, unchanged_shop.database, text=dump.stdout.decode())
        assert (load.returncode, load.stderr) == (0, "")
        for refused in ("CREATE DATABASE other", "SELECT * FROM mysql.user"):
            assert run_client(restorer, "-e", refused).returncode != 0


def test_grants_do_not_spread_to_names_alike(server: ThrowawayServer, tmp_path: Path) -> None:
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE pos_1")
        cursor.execute("CREATE DATABASE posx1")
    connection.close()
    create_application(server, database="pos_1", user="narrow", password=PASSWORD)
    path = server.write_option_file(tmp_path / "o.cnf", user="narrow", password=PASSWORD)
    assert run_client(path, "pos_1", "-e", "SELECT 1").returncode == 0
    assert run_client(path, "posx1", "-e", "SELECT 1").returncode != 0

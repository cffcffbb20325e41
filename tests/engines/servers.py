# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server of the engine that is installed here, in a directory of its own, and its stock clients.

Nothing of tests/engines imports the runner or other tests: scripts/engine-leg runs it beside the collection alone.
"""

from __future__ import annotations

import abc
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pymysql

if TYPE_CHECKING:
    from typing import Self

PATIENCE_S = 60.0
PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"


class Server(abc.ABC):
    """Reachable only through its socket; root has no password there. It dies with the thread that started it."""

    engine: ClassVar[str]
    program: ClassVar[str]
    sql_client: ClassVar[str]
    dump_client: ClassVar[str]
    dump_arguments: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[tuple[str, ...]]

    def __init__(self, *arguments: str, template: Path) -> None:
        # Short: a socket's path has 107 bytes at most.
        self.directory = Path(tempfile.mkdtemp(prefix="larapee-"))
        self.socket = self.directory / "sock"
        self.log = self.directory / "log"
        self._template = template
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abc.abstractmethod
    def make_template(cls, directory: Path) -> Path:
        """A data directory to copy: making one takes seconds, and many tests need a server of their own."""

    def start(self) -> None:
        data = self.directory / "data"
        if not data.exists():
            shutil.copytree(self._template, data)
            (self.directory / "tmp").mkdir()
        argv = ["setpriv", "--pdeathsig", "KILL", _found(self.program), "--no-defaults", "--skip-networking"]
        argv += ["--user=root"] if os.geteuid() == 0 else []
        argv += [f"--datadir={data}", f"--socket={self.socket}", f"--log-error={self.log}"]
        argv += [f"--tmpdir={self.directory / 'tmp'}", f"--pid-file={self.directory / 'pid'}"]
        argv += ["--innodb-buffer-pool-size=64M", "--max-allowed-packet=1G", *self.usual, *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.05)

    def _answers(self) -> bool:
        argv = self.client(self.sql_client, "--execute", "SELECT 1")
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        """SIGKILL, as when the machine dies."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=PATIENCE_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def client(self, program: str, *arguments: str) -> list[str]:
        return [_found(program), "--no-defaults", f"--socket={self.socket}", "--user=root", *arguments]

    def sql(self, text: str, *, database: str | None = None) -> str:
        """Run *text* with the stock client as root and return what it prints."""
        arguments = ["--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--max-allowed-packet=1G"]
        argv = self.client(self.sql_client, *arguments, *([database] if database else []))
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(
        self, *, user: str = "root", password: str = "", database: str | None = None
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=user,
            password=password.encode(),  # as text it would be sent in latin-1
            database=database,
            charset="utf8mb4",
            ssl_disabled=True,
        )

    def option_file(self, path: Path, *, user: str, password: str = "") -> Path:
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(f'[client]\nuser="{user}"\npassword="{escaped}"\nsocket="{self.socket}"\n', encoding="utf-8")
        return path

    def stock_dump(self, database: str) -> str:
        """A schema as the stock client writes it, without what differs by time, server or reload."""
        arguments = ["--routines", "--events", "--hex-blob", "--skip-comments", "--order-by-primary"]
        arguments += ["--skip-extended-insert"]
        argv = self.client(self.dump_client, *arguments, *self.dump_arguments, database)
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        # A column of the table's own character set: a reload spells it out where the first dump left it away.
        return re.sub(r" CHARACTER SET utf8mb4(?= COLLATE)", "", done.stdout)

    @abc.abstractmethod
    def position(self) -> tuple[str, int, str]:
        """File, offset and the text of all GTIDs up to there."""


class MariadbServer(Server):
    engine = "mariadb"
    program = "mariadbd"
    sql_client = "mariadb"
    dump_client = "mariadb-dump"
    usual = (
        *("--log-bin=mysql-bin", "--binlog-format=ROW", "--sync-binlog=1", "--gtid-strict-mode=1"),
        *("--character-set-server=utf8mb4", "--log-bin-trust-function-creators=1"),
    )

    @classmethod
    def make_template(cls, directory: Path) -> Path:
        argv = [_found("mariadb-install-db"), "--no-defaults", f"--datadir={directory}", "--skip-test-db"]
        argv += ["--auth-root-authentication-method=normal", f"--tmpdir={directory.parent}"]
        argv += ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(argv, check=True, capture_output=True)
        return directory

    def position(self) -> tuple[str, int, str]:
        file, offset = self.sql("SHOW MASTER STATUS").split("\t")[:2]
        return file, int(offset), self.sql("SELECT @@gtid_binlog_pos").strip()


class MysqlServer(Server):
    engine = "mysql"
    program = "mysqld"
    sql_client = "mysql"
    dump_client = "mysqldump"
    dump_arguments = ("--set-gtid-purged=OFF", "--skip-masking-policies")
    usual = (
        *("--mysqlx=OFF", "--secure-file-priv=NULL", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"),
        # What a restorer needs of its target.
        *("--log-bin-trust-function-creators=1", "--event-scheduler=OFF"),
    )

    @classmethod
    def make_template(cls, directory: Path) -> Path:
        argv = [_found("mysqld"), "--no-defaults", "--initialize-insecure", f"--datadir={directory}"]
        argv += ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(argv, check=True, capture_output=True)
        (directory / "auto.cnf").unlink()
        return directory

    def position(self) -> tuple[str, int, str]:
        file, offset = self.sql("SHOW BINARY LOG STATUS").split("\t")[:2]
        return file, int(offset), self.sql("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')").strip()


def _found(program: str) -> str:
    path = shutil.which(program, path=PROGRAMS)
    assert path, f"{program} is not installed"
    return path


def installed() -> type[Server]:
    """MariaDB where it is, else MySQL."""
    return MariadbServer if shutil.which("mariadbd", path=PROGRAMS) else MysqlServer


__all__ = ("MariadbServer", "MysqlServer", "Server", "installed")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MariaDB server in a directory of its own, for the demo and for the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess  # noqa: S404  # the server is a program; every argv is a list of our own
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql

from .accounts import create_operator, create_restorer
from .programs import ServerError, find_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
SOCKET_PATH_LIMIT = 107
CONNECTION_ERROR = 2002


def _quote_option(value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        msg = "Failed to write option file: a value holds a line break or a zero byte. Use another value."
        raise ServerError(msg)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _socket_directory() -> Path:
    """Make a private directory short enough for a socket's path, wherever the data directory lies."""
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > SOCKET_PATH_LIMIT - len("/larapee-12345678/mysqld.sock"):
        base = Path("/tmp")  # noqa: S108  # mkdtemp makes a 0700 directory of our own in it
    return Path(tempfile.mkdtemp(prefix="larapee-", dir=base))


class ThrowawayServer:
    """MariaDB in `directory`, reachable only through its socket; it dies with the thread that started it."""

    def __init__(
        self, directory: Path, *, server_id: int = 1, log_bin: bool = True, extra_args: Sequence[str] = ()
    ) -> None:
        self.directory = directory.absolute()
        self.datadir = self.directory / "data"
        self.log = self.directory / "mariadbd.log"
        # Never the common one: temporary tables are named by process id, and in containers those meet again.
        self._tmpdir = self.directory / "tmp"
        self._server_id = server_id
        self._log_bin = log_bin
        self._extra_args = tuple(extra_args)
        self._socket_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        if self._socket_dir is None:
            self._socket_dir = _socket_directory()
        return self._socket_dir / "mysqld.sock"

    @property
    def pid(self) -> int:
        if self._process is None:
            msg = f"Failed to tell the server's process: no server runs in {self.directory}. Start it first."
            raise ServerError(msg)
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def version(self) -> str:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT VERSION()")
                row = cursor.fetchone()
            return str(row[0]) if row else "unknown"
        finally:
            connection.close()

    def start(self) -> None:
        if self.running:
            return
        server = find_program("mariadbd", package="mariadb-server")
        # Ends the server when the demo or a test is killed: nobody else would know of it.
        guard = find_program("setpriv", package="util-linux")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tmpdir.mkdir(mode=0o700, exist_ok=True)
        if not (self.datadir / "mysql").is_dir():
            self._install()
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [guard, "--pdeathsig", "KILL", server, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _user_arguments(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def _install(self) -> None:
        installer = find_program("mariadb-install-db", package="mariadb-server")
        arguments = [
            "--no-defaults",
            f"--datadir={self.datadir}",
            f"--tmpdir={self._tmpdir}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *self._user_arguments(),
        ]
        done = subprocess.run(  # noqa: S603
            [installer, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": str(self._tmpdir)},
        )
        if done.returncode != 0:
            cause = " ".join((done.stderr or done.stdout).split())[-400:] or f"exit code {done.returncode}"
            msg = f"Failed to install database in {self.datadir}: {cause}. Check space and permissions there."
            raise ServerError(msg)

    def _arguments(self) -> list[str]:
        arguments = [
            "--no-defaults",
            *self._user_arguments(),
            f"--datadir={self.datadir}",
            f"--tmpdir={self._tmpdir}",
            f"--socket={self.socket}",
            f"--pid-file={self.datadir / 'mariadbd.pid'}",
            f"--log-error={self.log}",
            "--skip-networking",
            f"--server-id={self._server_id}",
            f"--gtid-domain-id={self._server_id}",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=192M",
            "--innodb-log-file-size=128M",
            "--innodb-flush-log-at-trx-commit=1",
            "--max-allowed-packet=1G",
        ]
        if self._log_bin:
            arguments += [
                f"--log-bin={self.datadir / 'mysql-bin'}",
                "--binlog-format=ROW",
                # Harmless with ROW; without it a restorer without SUPER could not create triggers (error 1419).
                "--log-bin-trust-function-creators=1",
                "--sync-binlog=1",
                "--binlog-checksum=CRC32",
            ]
        return [*arguments, *self._extra_args]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        cause = "it did not answer"
        while time.monotonic() < deadline:
            if not self.running:
                cause = "it ended at once"
                break
            try:
                self.connect().close()
            except pymysql.err.OperationalError as exception:
                cause = str(exception.args[-1])
            else:
                return
            time.sleep(0.05)
        tail = " ".join(self.log.read_text(encoding="utf-8", errors="replace").split("\n")[-6:]).strip()
        msg = f"Failed to start server in {self.directory}: {cause}. Read {self.log}; it ends with: {tail[-400:]}"
        raise ServerError(msg)

    def stop(self) -> None:
        """Shut down cleanly; a server that does not end in time is killed."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as when the machine dies."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        self._process = None

    def destroy(self) -> None:
        """Remove the data directory and the socket's directory; a running server is killed first."""
        self.kill()
        for directory in (self.datadir, self._tmpdir):
            if directory.exists():
                shutil.rmtree(directory)
        self.close()

    def close(self) -> None:
        """Remove the socket's directory of a stopped server; the data stays."""
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def connect(
        self, *, user: str = "root", password: str = "", database: str | None = None
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        connection = pymysql.connect(
            unix_socket=str(self.socket),
            user=user,
            password=password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            max_allowed_packet=1 << 30,
            defer_connect=True,
        )
        # PyMySQL would leave a socket open that could not connect.
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.connect(str(self.socket))
        except OSError as exception:
            channel.close()
            raise pymysql.err.OperationalError(CONNECTION_ERROR, f"{self.socket}: {exception}") from exception
        connection.connect(channel)
        return connection

    def write_option_file(self, path: Path, *, user: str, password: str) -> Path:
        content = (
            "[client]\n"
            f"user={_quote_option(user)}\n"
            f"password={_quote_option(password)}\n"
            f"socket={_quote_option(str(self.socket))}\n"
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.destroy()


__all__ = ("ServerError", "ThrowawayServer", "create_operator", "create_restorer", "find_program")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MySQL server in a directory of its own, and the stock clients against it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

PATIENCE_S = 60.0
# A column of the table's own character set: a reload spells it out where the first dump left it away.
_SPELLED_OUT = re.compile(r" CHARACTER SET utf8mb4(?= COLLATE)")


class MysqlServer:
    """Reachable only through its socket; root has no password there."""

    def __init__(self, directory: Path, *, template: Path, arguments: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.socket = directory / "mysqld.sock"
        self._template = template
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def make_template(directory: Path) -> Path:
        """A data directory to copy: making one takes seconds, and many tests need a server of their own."""
        argv = ["/usr/sbin/mysqld", "--no-defaults", "--user=root", "--initialize-insecure", f"--datadir={directory}"]
        subprocess.run(argv, check=True, capture_output=True)
        (directory / "auto.cnf").unlink()
        return directory

    def __enter__(self) -> Self:
        shutil.copytree(self._template, self.directory / "data")
        log = self.directory / "mysqld.log"
        argv = [
            *("/usr/sbin/mysqld", "--no-defaults", "--user=root", "--skip-networking", "--mysqlx=OFF"),
            "--secure-file-priv=NULL",
            *(f"--datadir={self.directory / 'data'}", f"--socket={self.socket}", f"--log-error={log}"),
            *(f"--pid-file={self.directory / 'pid'}", "--innodb-buffer-pool-size=64M", "--max-allowed-packet=1G"),
            *self._arguments,
        ]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run(self.client("mysqladmin", "ping"), capture_output=True, check=False).returncode != 0:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory)

    def client(self, program: str, *arguments: str) -> list[str]:
        return [f"/usr/bin/{program}", "--no-defaults", f"--socket={self.socket}", "--user=root", *arguments]

    def sql(self, text: str, *, database: str | None = None) -> str:
        """Run *text* with the stock client as root and return what it prints."""
        arguments = ["--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--max-allowed-packet=1G"]
        argv = self.client("mysql", *arguments, *([database] if database else []))
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def option_file(self, path: Path, *, user: str, password: str) -> Path:
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(f'[client]\nuser="{user}"\npassword="{escaped}"\nsocket="{self.socket}"\n', encoding="utf-8")
        return path

    def stock_dump(self, database: str) -> str:
        """A schema as mysqldump writes it, without what differs by time, server or reload."""
        arguments = ["--routines", "--events", "--hex-blob", "--skip-comments", "--order-by-primary"]
        argv = self.client("mysqldump", *arguments, "--set-gtid-purged=OFF", "--skip-masking-policies", database)
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return _SPELLED_OUT.sub("", done.stdout)


__all__ = ("MysqlServer",)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying a day of sales: the stock clients on a default server, and this project's step of a restore."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._replay import RelayLogs
from ansible_collections.larapee.backup.plugins.module_utils._scratch import Scratch, scratch
from ansible_collections.larapee.backup.plugins.module_utils._scratch_server import Wanted, find_programs
from larapee_runner.demo.server import ThrowawayServer

from .day import ORDERS_BEFORE
from .estate import process
from .measure import Contestant, ContestantError, Stage, makes_nothing, shell
from .shop_schema import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .day import Day

STOCK = "mariadb-binlog | mariadb"
OURS = "ours, the replay"
WALK = "ours, the walk before it"
# What MariaDB has when nobody configures it; Debian's has no binary log either.
_DEFAULTS = ("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M", "--max-allowed-packet=16M")


class _Servers:
    """One of each for a round: the morning's data is in both, nothing else."""

    def __init__(self, root: Path, day: Day) -> None:
        self._root = root
        self._day = day
        self._stack = ExitStack()
        self.stock: ThrowawayServer | None = None
        self.ours: dict[str, Any] = {}
        self.scratch: Scratch | None = None

    def close(self) -> None:
        self._stack.close()

    def check(self) -> None:
        """A replay that did not apply everything would be a fast one."""
        if self.stock is None or self.scratch is None:
            return
        theirs, ours = (
            self._ask(connect, "SELECT COUNT(*), MAX(id), SUM(total) FROM orders")
            for connect in (self._stock_client, self._our_client)
        )
        if theirs != ours or int(ours.split()[0]) <= ORDERS_BEFORE:
            raise ContestantError(f"Failed to measure a replay: theirs has {theirs.strip()}, ours {ours.strip()}.")

    def prepare(self, number: int) -> None:
        if number:
            self.check()
        self.close()
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir()
        self.stock = ThrowawayServer(self._root / "stock", log_bin=False, extra_args=_DEFAULTS)
        self._stack.enter_context(self.stock)
        self._load(self._stock_client)
        wanted = Wanted(engine="mariadb", version=self.stock.version, database=DATABASE)
        self.scratch = ours = self._stack.enter_context(
            scratch(str(self._root / "ours"), run_id=str(uuid.uuid4()), programs=find_programs(wanted), wanted=wanted)
        )
        logs = RelayLogs(ours)
        for path in self._day.logs:
            with logs.add(path.name) as handle:
                handle.write(path.read_bytes())
        logs.finish()
        ours.start()
        self._load(self._our_client)
        last = self._day.logs[-1]
        self.ours = {
            "options": ours.options,
            "datadir": ours.datadir,
            "names": logs.names,
            "start": self._day.start,
            "file": last.name,
            "position": last.stat().st_size,
        }

    @property
    def _stock_client(self) -> list[str]:
        return ["mariadb", "--no-defaults", f"--socket={self.stock.socket}", "--user=root"] if self.stock else []

    @property
    def _our_client(self) -> list[str]:
        return ["mariadb", f"--defaults-file={self.scratch.option_file}"] if self.scratch else []

    def _load(self, client: list[str]) -> None:
        create = f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        subprocess.run([*client, "-e", create], check=True)
        with self._day.base.open("rb") as dump:
            load = ["--default-character-set=utf8mb4", "--max-allowed-packet=1G", DATABASE]
            subprocess.run([*client, *load], check=True, stdin=dump)

    @staticmethod
    def _ask(client: list[str], query: str) -> str:
        done = subprocess.run(
            [*client, "--batch", "--skip-column-names", "-e", query, DATABASE], check=True, capture_output=True
        )
        return done.stdout.decode()

    def stock_pid(self) -> int | None:
        return self.stock.pid if self.stock else None

    def our_pid(self) -> int | None:
        return int(Path(self.scratch.directories["tmp"], "server.pid").read_text()) if self.scratch else None

    def stock_pipeline(self, scratch_directory: Path) -> list[str]:
        if self.stock is None:
            raise ValueError("the round was not prepared")
        files = shlex.join(str(path) for path in self._day.logs)
        client = f"mariadb --no-defaults --socket={shlex.quote(str(self.stock.socket))} --user=root --binary-mode"
        return list(
            shell(
                f"mariadb-binlog --no-defaults --verify-binlog-checksum --start-position={self._day.start} {files}"
                f" | {client} --default-character-set=utf8mb4"
            )(scratch_directory)
        )


@contextmanager
def stage(root: Path, day: Day) -> Iterator[Stage]:
    servers = _Servers(root, day)
    logs = [str(path) for path in day.logs]
    try:
        yield Stage(
            (
                Contestant(STOCK, servers.stock_pipeline, size=makes_nothing, server_pid=servers.stock_pid),
                Contestant(
                    OURS, process("replay", lambda: servers.ours), size=makes_nothing, server_pid=servers.our_pid
                ),
                Contestant(WALK, process("walk", lambda: {"logs": logs}), size=makes_nothing),
            ),
            prepare=servers.prepare,
        )
        servers.check()
    finally:
        servers.close()


__all__ = ("OURS", "STOCK", "WALK", "stage")

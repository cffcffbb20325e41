# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run and pictures of one and the same moment: orders, then slips, are held until both have seen the same."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import DemoError
from .launcher import POLL_S
from .picture import Picture, Shutter
from .stored import manifests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .file_picture import FilePicture
    from .launcher import Running
    from .server import ThrowawayServer
    from .till import Receipt, Till


@dataclass(frozen=True)
class Moment:
    """The shop at ``gtid``, the last transaction before the binary log was closed."""

    picture: Picture
    gtid: str
    receipts: tuple[Receipt, ...]
    orders_held_s: float
    files: dict[str, FilePicture]
    slips_held_s: float


class SealWatch:
    """Sees on the server how far a run is with its binary log."""

    def __init__(self, server: ThrowawayServer, *, log_reader: str) -> None:
        self._connection = server.connect()
        self._log_reader = log_reader
        self._open_file = self._position()[0]

    def _ask(self, statement: str, *values: str) -> tuple[Any, ...]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone() or ()

    def _position(self) -> tuple[str, str]:
        found = self._ask("SHOW MASTER STATUS")
        if not found:
            msg = "Failed to read the server's position: its binary log is off. Start it with one."
            raise DemoError(msg)
        return str(found[0]), str(self._ask("SELECT @@gtid_binlog_pos")[0])

    def reader_is_here(self) -> bool:
        count = self._ask("SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s", self._log_reader)
        return bool(count[0])

    def closed(self) -> bool:
        """The file that was written to when this began is so no more."""
        return self._position()[0] != self._open_file

    def gtid(self) -> str:
        return self._position()[1]

    def close(self) -> None:
        self._connection.close()


class Photographer:
    """Takes the pictures while a run of `branch_backup` seals the log and archives what changed of the files."""

    def __init__(self, server: ThrowawayServer, till: Till, *, database: str, log_reader: str, backups: Path) -> None:
        self._server = server
        self._till = till
        self._database = database
        self._log_reader = log_reader
        self._backups = backups

    def follow(
        self,
        start_run: Callable[[], Running],
        *,
        take_files: Callable[[], dict[str, FilePicture]],
        tick: Callable[[Running, bool], None],
        hold_first: bool,
    ) -> Moment:
        """Hold orders from when the log reader connects, or `hold_first` from before the run, until the log is closed.

        Slips, and only they, are held on until the uploads are archived: the shop sells meanwhile.
        """
        archived = len(manifests(self._backups, "uploads"))
        with ExitStack() as stack, ExitStack() as slips, ExitStack() as orders:
            watch = SealWatch(self._server, log_reader=self._log_reader)
            stack.callback(watch.close)
            held_at = self._hold(slips, orders) if hold_first else None
            run = start_run()
            stack.callback(run.stop)
            if held_at is None:
                _wait(run, watch.reader_is_here, tick=lambda: tick(run, False))
                held_at = self._hold(slips, orders)
            receipts = self._till.receipts
            _wait(run, watch.closed, tick=lambda: tick(run, True))
            shutter = Shutter(self._server, database=self._database)
            stack.callback(shutter.close)
            gtid = watch.gtid()
            orders_held_s = time.monotonic() - held_at
            orders.close()
            picture = shutter.picture()
            _wait(
                run,
                lambda: len(manifests(self._backups, "uploads")) > archived,
                tick=lambda: tick(run, False),
            )
            files = take_files()
            slips_held_s = time.monotonic() - held_at
            slips.close()
            run.wait(lambda: tick(run, False))
        return Moment(
            picture=picture,
            gtid=gtid,
            receipts=receipts,
            orders_held_s=orders_held_s,
            files=files,
            slips_held_s=slips_held_s,
        )

    def _hold(self, slips: ExitStack, orders: ExitStack) -> float:
        slips.enter_context(self._till.slips_held())
        orders.enter_context(self._till.held())
        return time.monotonic()


def _wait(run: Running, reached: Callable[[], bool], *, tick: Callable[[], None]) -> None:
    """A run that ends first, well or badly, is judged later."""
    while not run.done and not reached():
        tick()
        time.sleep(POLL_S)


__all__ = ("Moment", "Photographer", "SealWatch")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run and pictures of one and the same moment: orders, then slips, are held until both have seen the same."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import DemoError
from .launcher import POLL_S
from .picture import Picture, Shutter
from .stored import Position, manifests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .file_picture import FilePicture
    from .launcher import Running
    from .server import ThrowawayServer
    from .till import Receipt, Till


@dataclass(frozen=True)
class Moment:
    picture: Picture
    position: Position
    receipts: tuple[Receipt, ...]
    orders_held_s: float
    files: dict[str, FilePicture]
    slips_held_s: float


class DumpWatch:
    """Sees through the server's process list how far the operator's work is."""

    def __init__(self, server: ThrowawayServer, *, operator: str) -> None:
        self._connection = server.connect()
        self._operator = operator

    def _statements(self) -> list[str]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT COALESCE(info, '') FROM information_schema.processlist WHERE user = %s", (self._operator,)
            )
            return [str(row[0]) for row in cursor.fetchall()]

    def operator_is_here(self) -> bool:
        return bool(self._statements())

    def dump_reads_rows(self) -> bool:
        """The dump client opens its snapshot before it reads the first row; no other statement has this hint."""
        return any("SQL_NO_CACHE" in statement for statement in self._statements())

    def close(self) -> None:
        self._connection.close()


def read_position(server: ThrowawayServer) -> Position:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            row = cursor.fetchone()
    finally:
        connection.close()
    if row is None:
        msg = "Failed to read the server's position: its binary log is off. Start it with one."
        raise DemoError(msg)
    return Position(str(row[0]), int(row[1]))


class Photographer:
    """Takes the pictures while a run of `branch_backup` makes its artifacts in `backups`."""

    def __init__(self, server: ThrowawayServer, till: Till, *, database: str, operator: str, backups: Path) -> None:
        self._server = server
        self._till = till
        self._database = database
        self._operator = operator
        self._backups = backups

    def follow(
        self,
        start_run: Callable[[], Running],
        *,
        take_files: Callable[[], dict[str, FilePicture]],
        tick: Callable[[Running, bool], None],
        hold_first: bool,
    ) -> Moment:
        """Hold orders from when the operator connects, with `hold_first` from before the run, to the second snapshot.

        Slips, and only they, are held on until the uploads are archived: the shop sells meanwhile.
        """
        archived = len(manifests(self._backups, "uploads"))
        with ExitStack() as stack, ExitStack() as slips, ExitStack() as orders:
            watch = DumpWatch(self._server, operator=self._operator)
            stack.callback(watch.close)
            held_at = self._hold(slips, orders) if hold_first else None
            run = start_run()
            stack.callback(run.stop)
            if held_at is None:
                _wait(run, watch.operator_is_here, tick=lambda: tick(run, False))
                held_at = self._hold(slips, orders)
            receipts = self._till.receipts
            _wait(run, watch.dump_reads_rows, tick=lambda: tick(run, True))
            shutter = Shutter(self._server, database=self._database)
            stack.callback(shutter.close)
            position = read_position(self._server)
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
            position=position,
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


__all__ = ("DumpWatch", "Moment", "Photographer", "read_position")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full and a picture of one and the same moment: orders are held until both have their snapshot."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import DemoError
from .launcher import POLL_S
from .picture import Picture, Shutter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .launcher import Running
    from .server import ThrowawayServer
    from .till import Receipt, Till


@dataclass(frozen=True)
class Position:
    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


@dataclass(frozen=True)
class Full:
    """What the manifest says of a full."""

    artifact: Path
    size: int
    plain_size: int
    start: Position


@dataclass(frozen=True)
class Moment:
    picture: Picture
    position: Position
    receipts: tuple[Receipt, ...]
    held_s: float


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


def newest_full(backups: Path) -> Full:
    manifests = sorted(backups.glob("db-*.manifest.json"), key=lambda path: path.stat().st_mtime_ns)
    if not manifests:
        msg = f"Failed to find the full in {backups}: the run said success and left no manifest. Report this."
        raise DemoError(msg)
    document: dict[str, Any] = json.loads(manifests[-1].read_text(encoding="utf-8"))
    start = document["start"]
    return Full(
        artifact=backups / document["artifact"],
        size=int(document["size"]),
        plain_size=int(document["plain_size"]),
        start=Position(str(start["file"]), int(start["position"])),
    )


def require_intact(full: Full) -> None:
    """Trust what the verification wrote beside the artifact, not that it ended well."""
    path = full.artifact.with_name(f"{full.artifact.name}.verified.json")
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    status = result.get("levels", {}).get("intact", {}).get("status", "missing")
    if status != "OK":
        msg = f"Failed to verify {full.artifact.name}: the run said success, {path.name} says {status}. Report this."
        raise DemoError(msg)


def full_and_picture(
    server: ThrowawayServer,
    till: Till,
    *,
    database: str,
    operator: str,
    start_run: Callable[[], Running],
    tick: Callable[[Running, bool], None],
    hold_first: bool,
) -> Moment:
    """Hold orders from when the operator connects, with `hold_first` from before the run, to the second snapshot."""
    watch = DumpWatch(server, operator=operator)
    with ExitStack() as stack, ExitStack() as hold:
        stack.callback(watch.close)
        held_at = time.monotonic()
        if hold_first:
            hold.enter_context(till.held())
        run = start_run()
        stack.callback(run.stop)
        if not hold_first:
            _wait(run, watch.operator_is_here, tick=lambda: tick(run, False))
            hold.enter_context(till.held())
            held_at = time.monotonic()
        receipts = till.receipts
        _wait(run, watch.dump_reads_rows, tick=lambda: tick(run, True))
        shutter = Shutter(server, database=database)
        stack.callback(shutter.close)
        position = read_position(server)
        held_s = time.monotonic() - held_at
        hold.close()
        picture = shutter.picture()
        run.wait(lambda: tick(run, False))
    return Moment(picture=picture, position=position, receipts=receipts, held_s=held_s)


def _wait(run: Running, reached: Callable[[], bool], *, tick: Callable[[], None]) -> None:
    """A run that ends first, well or badly, is judged later."""
    while not run.done and not reached():
        tick()
        time.sleep(POLL_S)


__all__ = (
    "DumpWatch",
    "Full",
    "Moment",
    "Position",
    "full_and_picture",
    "newest_full",
    "read_position",
    "require_intact",
)

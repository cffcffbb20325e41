# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a command with all the processes below it, together."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_PAUSE_S = 0.025
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Looks every 25 ms at what this process starts meanwhile; servers that it started before are not counted.

    The sum is that of what each has in memory: what they share counts once for each of them.
    """

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._before = set(_children(os.getpid()))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_PAUSE_S):
            pages = sum(_pages_below(pid) for pid in _children(os.getpid()) if pid not in self._before)
            self.peak_mib = max(self.peak_mib, pages * _PAGE / 1024**2)


def _pages_below(pid: int) -> int:
    return _pages(pid) + sum(_pages_below(child) for child in _children(pid))


def _pages(pid: int) -> int:
    # It may have ended since it was named.
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


__all__ = ("Watch",)

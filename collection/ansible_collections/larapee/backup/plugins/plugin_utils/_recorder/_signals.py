# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_PR_SET_PDEATHSIG = 1
_WATCHED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class SignalWatch:
    """Tells of a signal before the handler that was there acts on it; forked workers are left to themselves."""

    def __init__(self, on_signal: Callable[[signal.Signals], None]) -> None:
        self._on_signal = on_signal
        self._pid = os.getpid()
        self._previous: dict[int, object] = {}
        self._depth = 0
        self._waiting: list[tuple[int, FrameType | None]] = []

    def install(self) -> None:
        for number in _WATCHED:
            previous = signal.getsignal(number)
            # Who ignores a signal (nohup, ansible-runner) goes on ignoring it.
            if previous is not signal.SIG_IGN and number not in self._previous:
                self._previous[number] = previous
                signal.signal(number, self._handle)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back while a record is written: the handler writes too, and would wait for this very write."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            while self._depth == 0 and self._waiting:
                self._handle(*self._waiting.pop(0))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            if self._depth:
                self._waiting.append((number, frame))
                return
            try:
                with self.deferred():
                    self._on_signal(signal.Signals(number))
                    self._waiting.clear()
            finally:
                self._chain(number, frame)
            return
        self._chain(number, frame)

    def _chain(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
            return
        if os.getpid() == self._pid:
            # Core ends its workers at SIGTERM only; without this they and their modules would outlive us.
            for worker in multiprocessing.active_children():
                worker.terminate()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def end_with_parent(parent_pid: int) -> None:
    """Ask for SIGTERM when the launcher dies, so that a killed launcher leaves no run without its witness."""
    if os.getppid() != parent_pid and os.path.exists(f"/proc/{parent_pid}"):
        # A playbook that a task of the launched one starts: its life is not the launcher's affair.
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


__all__ = ("SignalWatch", "end_with_parent")

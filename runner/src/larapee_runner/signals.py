# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop that was asked for from outside is noted, and carried out by the loop that watches ansible-playbook."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from .outcome import Stop

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

HANDLED = {signal.SIGTERM: Stop.SIGTERM, signal.SIGINT: Stop.SIGINT, signal.SIGHUP: Stop.SIGHUP}


class StopRequest:
    """Notes SIGTERM, SIGINT and SIGHUP while it is entered; a second one asks for haste."""

    def __init__(self) -> None:
        self.reason: Stop | None = None
        self.urgent = False
        self._previous: dict[signal.Signals, object] = {}

    def ask(self, reason: Stop) -> None:
        if self.reason is None:
            self.reason = reason
        else:
            self.urgent = True

    def __enter__(self) -> Self:
        for number in HANDLED:
            # Ignored when we started: nohup, or a background job of a script. The caller meant it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._previous.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.ask(HANDLED[signal.Signals(number)])


__all__ = ("StopRequest",)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the demo's story: a spinner and coloured lines on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.status import Status

WIDTH = 72
REFRESH_S = 0.1


class Step:
    """One step of the story while it happens."""

    def __init__(self, narrator: Narrator, title: str, status: Status | None) -> None:
        self._narrator = narrator
        self._title = title
        self._status = status
        self._facts: list[str] = []
        self._told_at = 0.0

    def now(self, text: str) -> None:
        """What happens at this very moment; only people at a terminal see it."""
        if self._status is not None and time.monotonic() - self._told_at > REFRESH_S:
            self._told_at = time.monotonic()
            self._status.update(Text.assemble(self._title, (f"  {text}", "dim")))

    def fact(self, text: str) -> None:
        """Something worth keeping, said below the step's title."""
        if self._status is None:
            self._narrator.say(f"    {text}")
        else:
            self._facts.append(text)

    def finish(self, mark: str, style: str, seconds: float) -> None:
        if self._status is None:
            self._narrator.say(f"    {mark}, {seconds:.1f} s")
            return
        self._narrator.say(Text.assemble((mark, style), f" {self._title:<{WIDTH}}", (f"{seconds:6.1f} s", "dim")))
        for fact in self._facts:
            self._narrator.say(Text(f"    {fact}", style="dim"))


class Narrator:
    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        fancy = console.encoding.lower().startswith("utf")
        self._spinner = "dots" if fancy else "line"
        self._marks = ("✓", "✗") if fancy and self._live else ("done", "FAILED")
        self._number = 0

    def say(self, text: str | Text = "", *, style: str = "") -> None:
        # Paths and numbers are neither broken nor coloured by guess: they are copied from here.
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self._number += 1
        title = f"{self._number:2}. {title}"
        started = time.monotonic()
        status = self.console.status(title, spinner=self._spinner) if self._live else None
        if status is None:
            self.say(title)
        else:
            status.start()
        step = Step(self, title, status)
        mark, style = self._marks[1], "bold red"
        try:
            yield step
            mark, style = self._marks[0], "green"
        finally:
            if status is not None:
                status.stop()
            step.finish(mark, style, time.monotonic() - started)


__all__ = ("Narrator", "Step")

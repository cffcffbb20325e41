# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run looks while it runs: one calm moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .render import clean, is_terminal, write_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from .events import Failure, Observer


class PlainReporter:
    """A line for the start, for each play and for each failure; nothing at all but warnings when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def started(self, run_id: str, playbook: str) -> Observer:
        self._say(f"run {run_id}: {clean(playbook)}")
        return self

    def ended(self) -> None:
        """Nothing is left on the screen to take away."""

    def warn(self, message: str) -> None:
        write_line(f"warning: {clean(message)}", stream=sys.stderr)

    def play_started(self, name: str) -> None:
        self._say(f"play: {clean(name)}")

    def task_started(self, name: str) -> None:
        """Tasks are many; a log keeps the plays."""

    def task_failed(self, failure: Failure) -> None:
        """The summary tells it, once it is known whether a rescue mended it."""

    def _say(self, text: str) -> None:
        if not self._quiet:
            write_line(text)


class LiveReporter(PlainReporter):
    """Shows the play, the task and the elapsed time in one line that goes away at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._line: TaskID | None = None
        self._play = ""

    def ended(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def play_started(self, name: str) -> None:
        self._play = clean(name)
        self._show("")

    def task_started(self, name: str) -> None:
        self._show(clean(name))

    def _show(self, task: str) -> None:
        # Not before the first event: its refreshing thread must not exist when ansible-playbook is forked.
        if self._progress is None:
            self._start()
        if self._progress is not None and self._line is not None:
            self._progress.update(self._line, play=self._play, job=task)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[play]}", markup=False),
            TextColumn("{task.fields[job]}", markup=False, style="dim"),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )
        self._line = self._progress.add_task("", total=None, play="", job="")
        self._progress.start()


def reporter_for(*, quiet: bool, verbose: bool) -> PlainReporter:
    """Choose by where the output goes; ansible's own output and a moving line do not share a screen."""
    if not quiet and not verbose and is_terminal(sys.stderr):
        return LiveReporter()
    return PlainReporter(quiet=quiet)


__all__ = ("LiveReporter", "PlainReporter", "reporter_for")

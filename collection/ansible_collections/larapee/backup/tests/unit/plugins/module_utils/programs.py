# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python programs in processes of their own, for what only another process can show."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from ansible_collections.larapee.backup.plugins import module_utils

COLLECTIONS = Path(next(iter(module_utils.__path__))).resolve().parents[4]

_PRELUDE = """
import sys
def say(text):
    print(text, flush=True)
def wait():
    sys.stdin.readline()
"""


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


class Program:
    """Runs *text*, which has ``say`` and ``wait``; ended and reaped at the end of the ``with`` block."""

    def __init__(self, text: str, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + text, *arguments],
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def hear(self) -> str:
        """The next line that the program says; empty when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        """Let a program that waits go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def send(self, signal: int) -> None:
        self._process.send_signal(signal)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        return self._process.wait(timeout=30)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes below us: found, asked to end, ended. Linux only, as the branches are."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.05


def become_subreaper() -> bool:
    """Have orphans below us handed to us, not to init: each ansible worker leads a session that no killpg reaches."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread or process may end between the listing and the look.
        with contextlib.suppress(OSError):
            found += [int(word) for word in listing.read_text(encoding="ascii").split()]
    return found


def descendants() -> list[int]:
    """All processes below this one, nearest first."""
    found: list[int] = []
    ahead = children_of(os.getpid())
    while ahead:
        found += ahead
        ahead = [child for pid in ahead for child in children_of(pid)]
    return found


def signal_children(number: signal.Signals) -> None:
    """Signal our direct children only: ansible-playbook then ends its own workers in good order."""
    for pid in children_of(os.getpid()):
        _send(pid, number)


def end_descendants(*, grace_s: float = 3.0, kill_s: float = 2.0) -> list[int]:
    """End everything below us, first asking; return the pids that did not go: another user's, or stuck."""
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, kill_s)):
        asked: set[int] = set()
        deadline = time.monotonic() + patience
        while True:
            _reap()
            left = descendants()
            if not left:
                return []
            # Processes appear while others end: a dying shell hands its children over.
            for pid in left:
                if pid not in asked:
                    _send(pid, number)
                    asked.add(pid)
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
    return descendants()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


__all__ = ("become_subreaper", "children_of", "descendants", "end_descendants", "signal_children")

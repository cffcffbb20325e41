# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on this machine, as ps and /proc show it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60.0


def seen(pid: int) -> bytes:
    """The arguments and the environment of a process; nothing for one that has ended."""
    shown = b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):
            shown += Path(f"/proc/{pid}/{name}").read_bytes() + b"\0"
    return shown


def everything() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def below(directory: Path) -> dict[int, str]:
    """The processes that runs of this directory started: its path is in the environment or the arguments of each."""
    found = {}
    for pid in everything():
        text = seen(pid)
        if f"{directory}/".encode() in text:
            found[pid] = text.partition(b"\0\0")[0].replace(b"\0", b" ").decode("utf-8", "replace")[:300]
    return found


def children_of(pid: int) -> list[int]:
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for listing in listings for word in listing.read_text(encoding="ascii").split()]


def wait_for(condition: Callable[[], bool], *, what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {patience_s:g} s")
        time.sleep(0.02)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of the doctor that only another program or the kernel can answer."""

from __future__ import annotations

import ctypes
import os
import subprocess  # noqa: S404 - argv lists of our own only
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .environment import CALLBACK, child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE_TIMEOUT_S = 30
TIMEX_BYTES = 512
CLOCK_ERROR = 5
# As ansible itself loads it, without making one: making one is what starts a recording.
LOAD_CALLBACK = (
    "import sys; from ansible.plugins.loader import callback_loader, init_plugin_loader; init_plugin_loader(); "
    "sys.exit(0 if callback_loader.get(sys.argv[1], class_only=True) else 'not found on the collections path')"
)


def callback_problem(environ: Mapping[str, str], cwd: Path) -> str | None:
    """Load the callback in a process of its own; return why it cannot be, in one line."""
    env = child_environment(environ, cwd=cwd, run_id="", launcher="cli", launcher_pid=os.getpid())
    argv = [sys.executable, "-c", LOAD_CALLBACK, CALLBACK]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, a fixed program
            argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be tried: {error}"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"loading it ended with code {done.returncode}"


def clock_synchronised() -> bool | None:
    """Ask systemd, else the kernel; None when neither tells."""
    try:
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],  # noqa: S607 - wherever systemd put it
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        if done.returncode == 0 and done.stdout.strip() in ("yes", "no"):
            return done.stdout.strip() == "yes"
    except (OSError, subprocess.TimeoutExpired):
        return _kernel_clock()
    return _kernel_clock()


def writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _kernel_clock() -> bool | None:
    # A struct timex of zeros asks and changes nothing; it is smaller than this on every architecture.
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != CLOCK_ERROR


__all__ = ("callback_problem", "clock_synchronised", "writable")

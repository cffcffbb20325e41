# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

RECORDER_VARIABLE = "LARAPEE_BACKUP_RECORDER"
PRESENCE_VARIABLE = "LARAPEE_BACKUP_RECORDER_PID"
_STATE, _START_TIME = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted behind the name, which may hold anything
_ENDED = {"Z", "X"}  # a zombie has ended, also where nobody asks for its status (an init that is none, in a container)
_CLOCK_SLACK_S = 2.0


def presence(pid: int) -> str:
    """Name a process so that no later one of the same number has the name; empty when there is none."""
    fields = _stat(pid)
    return f"{pid}:{fields[_START_TIME]}" if fields else ""


def is_running(pid: int, *, at: float | None = None) -> bool:
    """Whether the process lives, and was there already *at* that time (seconds since 1970): numbers are given anew."""
    fields = _stat(pid)
    if not fields or fields[_STATE] in _ENDED:
        return False
    return at is None or _boot_time() + int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK") <= at + _CLOCK_SLACK_S


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return []


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def recorder_of_this_process(environ: Mapping[str, str]) -> str:
    """What the callback of this ansible-playbook said; what another one's environment was left with is no word."""
    said = environ.get(PRESENCE_VARIABLE)
    # Templates are worked out in ansible-playbook itself, or in a worker that it forked.
    if not said or said not in (presence(os.getpid()), presence(os.getppid())):
        return ""
    return environ.get(RECORDER_VARIABLE, "")


__all__ = ("PRESENCE_VARIABLE", "RECORDER_VARIABLE", "is_running", "presence", "recorder_of_this_process")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

RECORDER_VARIABLE = "LARAPEE_BACKUP_RECORDER"
PRESENCE_VARIABLE = "LARAPEE_BACKUP_RECORDER_PID"
_START_TIME = 19  # field 22 of /proc/PID/stat, counted behind the name, which may hold anything


def presence(pid: int) -> str:
    """Name a process so that no later one of the same number has the name; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return f"{pid}:{stat.rpartition(b')')[2].split()[_START_TIME].decode('ascii')}"


def recorder_of_this_process(environ: Mapping[str, str]) -> str:
    """What the callback of this ansible-playbook said; what another one's environment was left with is no word."""
    said = environ.get(PRESENCE_VARIABLE)
    # Templates are worked out in ansible-playbook itself, or in a worker that it forked.
    if not said or said not in (presence(os.getpid()), presence(os.getppid())):
        return ""
    return environ.get(RECORDER_VARIABLE, "")


__all__ = ("PRESENCE_VARIABLE", "RECORDER_VARIABLE", "presence", "recorder_of_this_process")

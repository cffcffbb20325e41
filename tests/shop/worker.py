# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A queue's worker: ``worker.py start|stop|quiet APPLICATION PIDFILE``. ``quiet`` ends with 0 when none runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def running(pid: int) -> bool:
    """A zombie whose parent was killed runs no more."""
    try:
        return b"queue:work" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def main() -> int:
    what, application, pid_file = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    pid = int(pid_file.read_text(encoding="ascii")) if pid_file.exists() else 0
    if what == "quiet":
        return 1 if pid and running(pid) else 0
    if what == "stop":
        while pid and running(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        return 0
    if not (pid and running(pid)):
        process = subprocess.Popen(
            ["php", str(application / "artisan"), "queue:work", "--sleep=1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        pid_file.write_text(str(process.pid), encoding="ascii")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

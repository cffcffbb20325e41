# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes snapshots in processes that are killed before each of their changes to the filesystem.

A program of its own, because forking is safe only where no other thread runs: ``killed.py ROOT KEYS NOW METHOD`` works
on copies of ROOT/whole (ROOT/1, ROOT/2, ...), each of which dies one change later than the one before, and prints their
names. The last one was not killed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.central.central import Central
from tests.retention.killed import die_before

CHANGES = ("mkdir", "link", "open", "write", "chmod", "rename", "replace", "unlink", "rmdir")


def killed(central: Central, number: int, method: str) -> bool:
    child = os.fork()
    if child == 0:
        die_before(number, CHANGES)
        central.snapshot(method=method, keep_days=1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{central.path}: the child ended with {status}")
    return status != 0


def main(root: Path, keys: Path, now: str, method: str) -> None:
    for number in itertools.count(1):
        directory = root / str(number)
        shutil.copytree(root / "whole", directory)
        sys.stdout.write(f"{number}\n")
        central = Central(directory, keys)
        central.now = dt.datetime.fromisoformat(now)
        if not killed(central, number, method):
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])

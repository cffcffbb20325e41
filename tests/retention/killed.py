# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prunes in processes that are killed before each of their changes to the filesystem.

A program of its own, because forking is safe only where no other thread runs: ``killed.py ROOT NOW REQUEST`` prunes
copies of ROOT/whole (ROOT/1, ROOT/2, ...), each of which dies one change later than the one before, and prints their
names. The last one was not killed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _prune

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGES = ("unlink", "replace", "open", "write")


def die_before(number: int, names: tuple[str, ...] = CHANGES) -> None:
    counter = itertools.count(1)

    def mortal(call: Callable[..., object], *, changes: Callable[..., bool]) -> Callable[..., object]:
        def changed(*arguments: Any, **options: Any) -> object:
            if changes(*arguments) and next(counter) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return changed

    def creates(_path: object, flags: int, *_mode: object) -> bool:
        return bool(flags & os.O_CREAT)

    # The process dies here, not the machine: what reaches the disk makes no difference.
    os.fsync = lambda _descriptor: None
    for name in names:
        every = creates if name == "open" else lambda *_any: True
        setattr(os, name, mortal(getattr(os, name), changes=every))


def prune(directory: Path, now: str, request: dict[str, Any]) -> None:
    _clock.now = lambda: dt.datetime.fromisoformat(now)
    paths = {"directory": str(directory / "local"), "state_path": str(directory / "state")}
    _prune.prune_place(_prune.PruneRequest(**{**request, **paths}))


def killed(directory: Path, number: int, now: str, request: dict[str, Any]) -> bool:
    child = os.fork()
    if child == 0:
        die_before(number)
        prune(directory, now, request)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{directory}: the child ended with {status}")
    return status != 0


def main(root: Path, now: str, request: dict[str, Any]) -> None:
    for number in itertools.count(1):
        directory = root / str(number)
        shutil.copytree(root / "whole", directory)
        sys.stdout.write(f"{number}\n")
        if not killed(directory, number, now, request):
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks that die with their process, and say who holds them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import typing as t

from . import _clock, _io, _manifest
from ._errors import BackupError

_PAUSE_SECONDS = 0.1


@contextlib.contextmanager
def hold(
    state_path: str, name: str, *, run_id: str, shared: bool = False, wait_seconds: float = 0.0
) -> t.Iterator[None]:
    """Hold the lock *name* (such as ``full-branch-001``) below *state_path*.

    Raises BackupError (``lock_held``) when somebody still holds it after *wait_seconds*. An exclusive holder writes who
    it is into the lock's file; the lock itself is the kernel's and needs no clearing after a crash.
    """
    directory = _io.ensure_state_directory(state_path, "locks")
    path = os.path.join(directory, f"{name}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise BackupError(f"Failed to open the lock {path}: {exc.strerror}.") from exc
    try:
        if os.geteuid() == 0 and os.fstat(descriptor).st_nlink == 1:
            owner = os.stat(directory)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        try:
            _take(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait_seconds=wait_seconds)
        except BlockingIOError:
            raise _held(path, name) from None
        if not shared:
            holder = {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "run_id": run_id,
                "since": _manifest.format_time(_clock.now()),
            }
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
        if not shared:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(descriptor: int, how: int, *, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def _held(path: str, name: str) -> BackupError:
    try:
        holder = _io.read_json(path)
        who = f"process {holder['pid']} of run {holder['run_id']} since {holder['since']}"
        # What a crashed holder left says nothing about who shares the lock now.
        os.kill(holder["pid"], 0)
    except PermissionError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        holder, who = {}, "another run"
    return BackupError(
        f"Failed to take the lock {name}: {who} holds it. Nothing was done; run again when that run has ended.",
        reason="lock_held",
        facts={"holder": holder},
    )


__all__ = ("hold",)

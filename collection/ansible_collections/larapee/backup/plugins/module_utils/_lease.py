# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leases: who reads an artifact keeps retention from removing it.

A reader holds a shared lock on the manifest's file, retention an exclusive one while it removes it. Both are the
kernel's (flock) and end with their process.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

from . import _names
from ._catalog import Entry
from ._errors import BackupError

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.05


@contextlib.contextmanager
def hold(entries: t.Iterable[Entry]) -> t.Iterator[None]:
    """Keep *entries* from being removed; raise BackupError (``artifact_gone``) when one is gone or on its way."""
    with contextlib.ExitStack() as stack:
        for entry in entries:
            if not held(stack, entry):
                raise BackupError(
                    f"Failed to hold {entry.name}: retention has removed it meanwhile, or is removing it. Run again: "
                    "a newer set has replaced it.",
                    reason="artifact_gone",
                )
        yield


def held(stack: contextlib.ExitStack, entry: Entry) -> bool:
    """Keep *entry* from being removed while *stack* is open; False when it is gone or on its way."""
    for _attempt in range(_ATTEMPTS):
        if stack.enter_context(_locked(entry, fcntl.LOCK_SH)):
            return True
        if not os.path.lexists(entry.path + _names.MANIFEST_SUFFIX):
            return False
        # Retention only looks whether anybody reads it.
        time.sleep(_PAUSE_SECONDS)
    return False


def claim(entry: Entry) -> contextlib.AbstractContextManager[bool]:
    """Give True, and the right to remove *entry* while it lasts, when nobody holds a lease on it."""
    return _locked(entry, fcntl.LOCK_EX)


@contextlib.contextmanager
def _locked(entry: Entry, mode: int) -> t.Iterator[bool]:
    path = entry.path + _names.MANIFEST_SUFFIX
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
            # It may have been removed between opening and locking it.
            locked = os.path.samestat(os.fstat(descriptor), os.lstat(path))
        except (BlockingIOError, FileNotFoundError):
            locked = False
        yield locked
    finally:
        os.close(descriptor)


__all__ = ("claim", "held", "hold")

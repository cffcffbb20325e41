# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What central refused to adopt, kept for whoever looks into it: a copy of what it was, and why.

Bounded, because a branch that is not itself any more decides how much there is. What lies in ``incoming`` stays there:
moved away, rsync would bring it again with every pull.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import stat

from . import _clock, _io, _manifest, _names
from ._incoming import Inbox

MOST_ENTRIES = 100
MOST_BYTES = 64 * 1024 * 1024
_REASON = "reason.json"


def keep(inbox: Inbox, name: str, why: str) -> None:
    """Copy *name*, manifest and signature to ``quarantine/<branch>/<time>-<name>/``, as far as there is room."""
    top = os.path.join(os.path.dirname(os.path.dirname(inbox.place)), "quarantine", inbox.branch)
    _io.ensure_directory(top)
    entries = sorted(os.listdir(top))
    if len(entries) >= MOST_ENTRIES or any(each.endswith(f"-{name}") for each in entries[-MOST_ENTRIES:]):
        return
    now = _clock.now()
    directory = os.path.join(top, f"{now:%Y%m%dT%H%M%SZ}-{name}")
    os.mkdir(directory, 0o700)
    room = MOST_BYTES - sum(_size(os.path.join(top, each)) for each in entries)
    kept = []
    for suffix in (_names.MANIFEST_SUFFIX, _names.SIGNATURE_SUFFIX, ""):
        with contextlib.suppress(OSError, ValueError):
            copied = _copy(os.path.join(inbox.incoming, name + suffix), os.path.join(directory, name + suffix), room)
            room -= copied
            kept.append(name + suffix)
    _io.write_json(
        os.path.join(directory, _REASON),
        {"artifact": name, "branch": inbox.branch, "why": why, "at": _manifest.format_time(now), "kept": kept},
    )


def _copy(source: str, target: str, room: int) -> int:
    """The bytes copied; raises ValueError for what is no plain file or too large to keep."""
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > room:
            raise ValueError("not to be kept")
        reading = stack.enter_context(open(descriptor, "rb", buffering=0, closefd=False))
        left = status.st_size
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as writing:
            while left:
                block = reading.read(min(left, _io.BLOCK_SIZE))
                if not block:
                    break
                writing.write(block)
                left -= len(block)
    return int(status.st_size - left)


def _size(directory: str) -> int:
    with os.scandir(directory) as entries:
        return sum(each.stat(follow_symlinks=False).st_size for each in entries)


__all__ = ("MOST_BYTES", "MOST_ENTRIES", "keep")

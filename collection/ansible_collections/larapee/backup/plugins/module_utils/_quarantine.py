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
import functools
import os

from . import _clock, _incoming, _io, _manifest, _names
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
        source, target = (os.path.join(each, name + suffix) for each in (inbox.incoming, directory))
        with contextlib.suppress(FileNotFoundError, _incoming.NotPlainError, _NoRoomError):
            room -= _incoming.copy_plain(source, target, check_size=functools.partial(_require_room, room))
            kept.append(name + suffix)
    _io.write_json(
        os.path.join(directory, _REASON),
        {"artifact": name, "branch": inbox.branch, "why": why, "at": _manifest.format_time(now), "kept": kept},
    )


class _NoRoomError(Exception):
    """Too large to be kept beside what is kept already."""


def _require_room(room: int, size: int) -> None:
    if size > room:
        raise _NoRoomError


def _size(directory: str) -> int:
    with os.scandir(directory) as entries:
        return sum(each.stat(follow_symlinks=False).st_size for each in entries)


__all__ = ("MOST_BYTES", "MOST_ENTRIES", "keep")

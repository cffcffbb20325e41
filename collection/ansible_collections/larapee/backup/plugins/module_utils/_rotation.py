# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key pair that gives way to the next one. How far that went is told by the files that are there.

- only ``current``: at rest;
- beside it ``next``: the new key, which nobody uses before it was proved;
- beside it ``old``: the new key is in use since the file's change; the old one counts until the overlap is over.

So any crash can be gone on from. The files of one key lie on one filesystem.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time

from . import _io
from ._errors import BackupError
from ._key_pair import make_pair, public_half

AT_REST, ADDED, OVERLAP, OVER = "at rest", "added", "overlap", "over"


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where the private halves of one key, of the one that follows it and of the one before it lie."""

    current: str
    next: str
    old: str
    comment: str

    def stage(self, *, overlap_seconds: float) -> str:
        """Where the rotation of this key stands."""
        if os.path.exists(self.next):
            return ADDED
        if os.path.exists(self.old):
            # A rename or a link sets the change time, and nothing but a rotation touches the file.
            return OVER if time.time() - os.stat(self.old).st_ctime >= overlap_seconds else OVERLAP
        return AT_REST

    def age_seconds(self) -> float:
        return max(0.0, time.time() - os.stat(self.current).st_mtime)


def begin(slot: Slot, *, owner: str | None, min_age_seconds: float, overlap_seconds: float, check_mode: bool) -> bool:
    """Make the key that follows, when this one is old enough and no rotation of it is under way."""
    if slot.stage(overlap_seconds=overlap_seconds) != AT_REST or slot.age_seconds() < min_age_seconds:
        return False
    if not check_mode:
        make_directory_of(slot.next)
        make_pair(slot.next, comment=slot.comment, owner=owner)
    return True


def switch(slot: Slot) -> None:
    """Put the following key into use, and keep the one before it; there is a usable key at every instant."""
    if not os.path.exists(slot.next):
        return
    make_directory_of(slot.old)
    try:
        if os.path.exists(slot.old):
            # From a switch that died between link and rename.
            os.unlink(slot.old)
        os.link(slot.current, slot.old)
        _io.fsync_directory(os.path.dirname(slot.old))
        os.rename(slot.next, slot.current)
        for path in (slot.current, slot.next):
            _io.fsync_directory(os.path.dirname(path))
    except OSError as exc:
        raise BackupError(
            f"Failed to put the new key {slot.current} into use: {exc.strerror}. Run the rotation again.",
            reason="key_not_made",
        ) from exc


def finish(slot: Slot) -> None:
    """Remove the private half of the key before."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(slot.old)
        _io.fsync_directory(os.path.dirname(slot.old))


def publics(slot: Slot) -> dict[str, str]:
    """The public halves by ``current``, ``next`` and ``old``, of what there is."""
    named = {"current": slot.current, "next": slot.next, "old": slot.old}
    return {name: public_half(path) for name, path in named.items() if os.path.exists(path)}


def make_directory_of(path: str) -> None:
    """Make the directory of a key, with owner and mode of the one above it."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        status = os.stat(os.path.dirname(directory))
        os.mkdir(directory, 0o700)
        os.chown(directory, status.st_uid, status.st_gid)
        os.chmod(directory, status.st_mode & 0o777)


__all__ = (
    "ADDED",
    "AT_REST",
    "OVER",
    "OVERLAP",
    "Slot",
    "begin",
    "finish",
    "make_directory_of",
    "publics",
    "switch",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much a backup may write: the place's quota, and the free space that the shop's disk keeps.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os

from . import _io
from ._errors import BackupError

# Others write to the disk too, so what was left at the last look is not relied on for longer.
_LOOK_EVERY = 16 * 1024 * 1024


class Allowance:
    """Tap that stops a backup before *directory* holds more than the quota, or leaves less free than the reserve.

    Both in bytes; a *quota_bytes* of 0 is none. Every file of the directory counts, also those that are not ours.
    """

    def __init__(self, directory: str, *, quota_bytes: int, reserve_bytes: int) -> None:
        self.directory = directory
        self._quota = quota_bytes
        self._reserve = reserve_bytes
        self._passed = 0
        self._headroom = 0

    def require(self, expected: int, *, what: str) -> int:
        """Return what is left beyond *expected* more bytes; *what* follows "Failed to".

        Raises BackupError when they are not allowed.
        """
        used, free = used_bytes(self.directory), self._free()
        if self._quota and used + expected > self._quota:
            raise BackupError(
                f"Failed to {what}: {self.directory} holds {used} bytes, about {expected} are to come, and its quota "
                f"is {self._quota}. Run larapee.backup.retention, or raise larapee_backup_local_quota.",
                reason="quota_reached",
            )
        if free < expected + self._reserve:
            raise BackupError(
                f"Failed to {what}: {free} bytes are free, {expected + self._reserve} are needed by the expected "
                f"size and the reserve. Free space or move {self.directory}.",
                reason="disk_full",
            )
        left = free - expected - self._reserve
        return min(left, self._quota - used - expected) if self._quota else left

    def feed(self, block: memoryview) -> None:
        """Before *block* is written."""
        self._passed += len(block)
        if self._passed > min(_LOOK_EVERY, self._headroom):
            self._headroom = self.require(len(block), what="go on writing")
            self._passed = 0

    def _free(self) -> int:
        directory = self.directory
        while not os.path.isdir(directory):
            directory = os.path.dirname(directory) or "/"
        return _io.free_bytes(directory)


def used_bytes(directory: str) -> int:
    """What all files of *directory* take, ours or not; 0 when there is none."""
    used = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                used += entry.stat(follow_symlinks=False).st_size
    return used


__all__ = ("Allowance", "used_bytes")

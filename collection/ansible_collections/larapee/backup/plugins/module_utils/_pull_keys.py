# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Central's own keys to the branches: for each branch one that pulls and one that acknowledges.

A rotation of one key is the files that it has made so far, so that any crash can be gone on from:

- only ``<purpose>_key/<branch>``: at rest;
- beside it ``<purpose>_key.next/<branch>``: the new key, which central does not use before it was proved;
- beside it ``<purpose>_key.old/<branch>``: the new key is in use since the file's change; the branch takes the old one
  as well until the overlap is over.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from . import _io, _names
from ._errors import BackupError
from ._key_pair import make_pair, public_half

PURPOSES = ("pull", "acknowledge")
AT_REST, ADDED, OVERLAP, OVER = "at rest", "added", "overlap", "over"


@dataclasses.dataclass(frozen=True)
class Slot:
    """The key of one branch for one purpose, with the one that follows it and the one before it."""

    directory: str
    purpose: str
    branch: str

    @property
    def current(self) -> str:
        return os.path.join(self.directory, f"{self.purpose}_key", self.branch)

    @property
    def next(self) -> str:
        return os.path.join(self.directory, f"{self.purpose}_key.next", self.branch)

    @property
    def old(self) -> str:
        return os.path.join(self.directory, f"{self.purpose}_key.old", self.branch)

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

    def comment(self) -> str:
        return f"larapee-backup {self.purpose} {self.branch}"


def slots(directory: str, branches: t.Sequence[str]) -> list[Slot]:
    wrong = [branch for branch in branches if not _names.is_branch_code(branch)]
    if wrong:
        raise BackupError(
            f"Failed to make keys for {wrong[0]!r}: it is no branch code. Correct larapee_backup_branch of that host.",
            reason="bad_request",
        )
    return [Slot(directory, purpose, branch) for branch in branches for purpose in PURPOSES]


def ensure(every: t.Sequence[Slot], *, owner: str | None, check_mode: bool) -> list[Slot]:
    """Make the keys that are missing; return whose they are."""
    missing = [slot for slot in every if not os.path.lexists(slot.current)]
    if not check_mode:
        for slot in missing:
            _directory_of(slot.current)
            make_pair(slot.current, comment=slot.comment(), owner=owner)
    return missing


def begin(slot: Slot, *, owner: str | None, min_age_seconds: float, overlap_seconds: float, check_mode: bool) -> bool:
    """Make the key that follows, when this one is old enough and no rotation of it is under way."""
    if slot.stage(overlap_seconds=overlap_seconds) != AT_REST or slot.age_seconds() < min_age_seconds:
        return False
    if not check_mode:
        _directory_of(slot.next)
        make_pair(slot.next, comment=slot.comment(), owner=owner)
    return True


def switch(slot: Slot) -> None:
    """Put the following key into use, and keep the one before it; there is a usable key at every instant."""
    if not os.path.exists(slot.next):
        return
    _directory_of(slot.old)
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
            f"Failed to put the new SSH key {slot.current} into use: {exc.strerror}. Run the rotation again.",
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


def _directory_of(path: str) -> None:
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
    "PURPOSES",
    "Slot",
    "begin",
    "ensure",
    "finish",
    "publics",
    "slots",
    "switch",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshots of a branch that are there, which of them may go, and how one goes.

A snapshot is there when it has its final name. Names that begin with a dot are what a crash left: of one that was being
made, or of one that was being removed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
import typing as t

from . import _catalog, _clone, _dirfd, _io, _lease, _manifest
from ._errors import BackupError

DOCUMENT: t.Final = "snapshot.json"
SCHEMA_VERSION: t.Final = 1
PART: t.Final = ".part"
_GOING = ".going"
# As for sets: a clock that jumps, or a server that stood still, ages nothing.
LONGEST_STEP: t.Final = dt.timedelta(hours=48)
_NAME = re.compile(r"\d{8}-\d{4}(-\d{2})?", re.ASCII)
_RUBBISH = re.compile(rf"\.{_NAME.pattern}(?:{re.escape(PART)}|{re.escape(_GOING)})", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """``number`` rises by one with each of a branch: snapshots are in its order, never in that of a clock."""

    path: str
    number: int
    created_at: dt.datetime

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def read_snapshots(directory: str, *, branch: str) -> tuple[list[Snapshot], dict[str, str]]:
    """The snapshots in *directory* by number; and by name, what is wrong with what only looks like one."""
    found, strange = [], {}
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    for name in names:
        if _NAME.fullmatch(name):
            path = os.path.join(directory, name)
            try:
                found.append(_parsed(path, branch))
            except (OSError, ValueError, KeyError, TypeError) as exc:
                strange[name] = f"its {DOCUMENT} is unusable: {exc}"
    return sorted(found, key=lambda each: each.number), strange


def _parsed(path: str, branch: str) -> Snapshot:
    document = _io.read_json(os.path.join(path, DOCUMENT), limit=64 * _io.BLOCK_SIZE)
    if document["schema"] != SCHEMA_VERSION or document["branch"] != branch:
        raise ValueError(f"schema {document['schema']!r}, branch {document['branch']!r}")
    return Snapshot(path, int(document["number"]), _manifest.parse_time(document["created_at"]))


def expired(snapshots: t.Sequence[Snapshot], *, now: dt.datetime, keep_days: int) -> list[Snapshot]:
    """Those of *snapshots*, in their order, that are over age; never the newest. Pure."""
    age = dt.timedelta(0)
    over = []
    for newer, older in zip((None, *reversed(snapshots)), reversed(snapshots)):
        step = (now if newer is None else newer.created_at) - older.created_at
        age += step if dt.timedelta(0) <= step <= LONGEST_STEP else dt.timedelta(0)
        if newer is not None and age > dt.timedelta(days=keep_days):
            over.append(older)
    return over[::-1]


def sweep(directory: str) -> list[str]:
    """Remove what crashed runs left; the caller holds the branch's lock. Files of others are not touched."""
    rubbish = [name for name in sorted(os.listdir(directory)) if _RUBBISH.fullmatch(name)]
    for name in rubbish:
        _remove_tree(os.path.join(directory, name))
    return rubbish


def remove(snapshot: Snapshot) -> bool:
    """Remove *snapshot*; False when somebody reads it. A crash leaves it whole, or without its name."""
    for entry in _catalog.read_catalogue(snapshot.path).entries:
        with _lease.claim(entry) as claimed:
            if not claimed:
                return False
    directory, name = os.path.split(snapshot.path)
    going = os.path.join(directory, f".{name}{_GOING}")
    try:
        thaw(snapshot.path)
        os.rename(snapshot.path, going)
    except OSError as exc:
        raise _not_removed(snapshot.path, exc) from exc
    _io.fsync_directory(directory)
    _remove_tree(going)
    return True


def freeze(path: str) -> None:
    """Let not even root change the snapshot at *path*: its own files first, the directory last.

    A file that a place shares stays without the flag, or retention could not remove its name there: its bytes are kept
    by its owner and mode, and its name here by the directory.
    """
    if _clone.is_immutable(path):
        return
    for entry in os.scandir(path):
        if entry.stat(follow_symlinks=False).st_nlink == 1:
            _clone.set_immutable(entry.path, immutable=True)
    _clone.set_immutable(path, immutable=True)


def thaw(path: str) -> None:
    """The reverse of :func:`freeze`, also of one that was interrupted."""
    if _clone.is_immutable(path):
        _clone.set_immutable(path, immutable=False)
    for entry in os.scandir(path):
        if entry.is_file(follow_symlinks=False) and _clone.is_immutable(entry.path):
            _clone.set_immutable(entry.path, immutable=False)


def _remove_tree(path: str) -> None:
    directory, name = os.path.split(path)
    try:
        thaw(path)
        parent, _status = _dirfd.open_directory(directory)
        try:
            _dirfd.remove(name, parent=parent)
        finally:
            os.close(parent)
    except OSError as exc:
        raise _not_removed(path, exc) from exc


def _not_removed(path: str, exc: OSError) -> BackupError:
    return BackupError(
        f"Failed to remove the snapshot {path}: {exc.strerror}. If it is immutable (lsattr), this process needs the "
        "capability CAP_LINUX_IMMUTABLE; the next run goes on from there.",
        reason="remove_failed",
    )


__all__ = (
    "DOCUMENT",
    "LONGEST_STEP",
    "PART",
    "SCHEMA_VERSION",
    "Snapshot",
    "expired",
    "freeze",
    "read_snapshots",
    "remove",
    "sweep",
    "thaw",
)

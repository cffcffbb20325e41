# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory that a restore of files fills: what it may be, and how much room there is.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat

from . import _io
from ._errors import BackupError

# What the system itself lives in, and what would hide or hold other things than one tree of files.
_SYSTEM = ("/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var")  # noqa: S108 - named, not used
_BELOW_VAR = tuple(
    f"/var/{name}" for name in ("backups", "cache", "lib", "local", "log", "mail", "opt", "run", "spool", "tmp")
)
_SYSTEM_TREES = (
    "/boot",
    "/dev",
    "/proc",
    "/sys",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
)
_ALWAYS_THERE = "lost+found"


@dataclasses.dataclass(frozen=True)
class FileTarget:
    """A directory to fill. ``path`` is without links, ``status`` what it is, None when it does not exist yet."""

    path: str
    status: os.stat_result | None
    empty: bool
    mounted: bool

    @property
    def parent(self) -> str:
        return os.path.dirname(self.path)

    @property
    def work_directory(self) -> str:
        """Where it is staged: on the filesystem of the target itself, so that renaming is enough."""
        return self.path if self.mounted else self.parent


def find_target(path: str, *, source: str, state_path: str) -> FileTarget:
    """Return what *path* is; raise BackupError for what must never be filled."""
    path = os.path.abspath(path)
    parent = os.path.realpath(os.path.dirname(path))
    path = os.path.join(parent, os.path.basename(path))
    if path in _SYSTEM or path in _BELOW_VAR or any(_inside(path, tree) for tree in _SYSTEM_TREES):
        raise _bad(path, "it belongs to the system", "Give a directory for these files alone")
    for other, what in ((source, "the place that is restored from"), (state_path, "the state of the backups")):
        real = os.path.realpath(other)
        if _inside(path, real) or _inside(real, path):
            raise _bad(path, f"it holds, or lies in, {what} ({real})", "Give another directory")
    if not os.path.isdir(parent):
        raise _bad(path, f"{parent} does not exist", "Make it, with the owner and mode that it shall have")
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return FileTarget(path=path, status=None, empty=True, mounted=False)
    if stat.S_ISLNK(status.st_mode):
        raise _bad(path, f"it is a symbolic link to {os.readlink(path)}", "Give the directory that it leads to")
    if not stat.S_ISDIR(status.st_mode):
        raise _bad(path, "it is not a directory", "Give a directory")
    mounted = os.path.ismount(path) or path in _mount_points()
    return FileTarget(path=path, status=status, empty=is_empty(path, mounted=mounted), mounted=mounted)


def is_empty(path: str, *, mounted: bool, staging: str = "") -> bool:
    """True when nothing is in *path* but what a filesystem has of itself, and *staging*."""
    try:
        names = os.listdir(path)
    except OSError as exc:
        raise _bad(path, f"it cannot be read ({exc.strerror})", "Check its permissions") from exc
    return not [name for name in names if name != staging and not (mounted and name == _ALWAYS_THERE)]


def require_replaceable(target: FileTarget, *, branch: str, confirmed: bool) -> None:
    """Raise BackupError (``not_empty``) unless *target* is empty, or a person typed the *branch*."""
    if target.empty:
        return
    if target.mounted:
        raise BackupError(
            f"Failed to restore into {target.path}: it is a mount point and not empty, and a mount point cannot be put "
            "aside. Empty it, or restore into a directory below it.",
            reason="not_empty",
        )
    if not confirmed:
        raise BackupError(
            f"Failed to restore into {target.path}: it is not empty. Nothing was changed. To put it aside and replace "
            f"it, set larapee_backup_restore_confirm to {branch}.",
            reason="not_empty",
        )


def require_room(target: FileTarget, wanted: int) -> None:
    """Raise BackupError (``disk_full``) when *wanted* bytes do not fit beside what is there."""
    free = _io.free_bytes(target.work_directory)
    if free < wanted:
        raise BackupError(
            f"Failed to restore into {target.path}: the files have {wanted} bytes, free are {free}; what is there is "
            "kept until they are complete. Nothing was changed. Free space on that filesystem.",
            reason="disk_full",
        )


def _mount_points() -> set[str]:
    """As the kernel lists them: ``ismount`` does not see a directory of the same filesystem that is mounted again."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as handle:
            return {re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split(" ")[4]) for line in handle}
    except OSError:
        return set()


def _inside(path: str, directory: str) -> bool:
    return os.path.commonpath([path, directory]) == directory


def _bad(path: str, why: str, advice: str) -> BackupError:
    return BackupError(f"Failed to use {path} as target: {why}. {advice}.", reason="bad_target")


__all__ = ("FileTarget", "find_target", "is_empty", "require_replaceable", "require_room")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a restore of files puts them together: a directory beside the target that only its owner can enter.

It is called ``.<target>.larapee-restore-<run id>`` and held with flock while its restore lives; what a killed one left
is removed by the next. ``tree`` in it is what becomes the target. Which inode that was lies beside it: after the two
have changed places, ``tree`` is what stood at the target, and is kept.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import typing as t

from . import _clock, _dirfd
from ._errors import BackupError
from ._file_target import FileTarget

TREE: t.Final = "tree"
_RECORD: t.Final = "tree.inode"
_MARK: t.Final = ".larapee-restore-"
_RUN_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What the longest name may have on Linux, less what is put around a target's.
_LONGEST: t.Final = 255
_KEPT: t.Final = ".before-restore-"


class Staging:
    """The staging directory of one restore: ``path``; ``descriptor`` of it and ``tree``, that of the tree in it."""

    def __init__(self, path: str, *, parent: int, descriptor: int, tree: int) -> None:
        self.path = path
        self.parent = parent
        self.descriptor = descriptor
        self.tree = tree
        # Of a mount point that was filled: removing the staging directory from it changes its time once more.
        self.times: tuple[int, int] | None = None

    def restart(self) -> None:
        """Begin again with an empty tree."""
        os.close(self.tree)
        self.tree = -1
        _dirfd.remove(TREE, parent=self.descriptor)
        self.tree = _make_tree(self.descriptor)


@contextlib.contextmanager
def staged(target: FileTarget, *, run_id: str) -> t.Iterator[Staging]:
    """Give a staging directory for *target*; it is removed in the end, with all that is still in it."""
    directory = target.work_directory
    name = f"{_stem(target)}{run_id}"
    path = os.path.join(directory, name)
    with contextlib.ExitStack() as stack:
        try:
            parent, _status = _dirfd.open_directory(directory)
            stack.callback(os.close, parent)
            os.mkdir(name, 0o700, dir_fd=parent)
            descriptor, _status = _dirfd.open_directory(name, parent=parent)
            stack.callback(os.close, descriptor)
            stack.callback(_end, target, name, parent, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Nothing that a parent directory hands down.
            os.fchmod(descriptor, 0o700)
            for attribute in os.listxattr(descriptor):
                if attribute.startswith("system.posix_acl_"):
                    os.removexattr(descriptor, attribute)
            staging = Staging(path, parent=parent, descriptor=descriptor, tree=_make_tree(descriptor))
        except OSError as exc:
            raise BackupError(
                f"Failed to make {path}: {exc.strerror}. Nothing was changed on the target. Check the free space and "
                "the permissions.",
                reason="restore_failed",
            ) from exc
        stack.callback(_close_tree, staging)
        yield staging
        if staging.times is not None:
            _end(target, name, parent, descriptor)
            os.utime(parent, ns=staging.times)


def sweep(target: FileTarget) -> list[str]:
    """Remove what killed restores into *target* left; return where one left what stood there before.

    Raises BackupError (``lock_held``) when a restore into it is alive.
    """
    directory = target.work_directory
    kept = []
    try:
        parent, _status = _dirfd.open_directory(directory)
    except OSError as exc:
        raise BackupError(
            f"Failed to open {directory}: {exc.strerror}. Check its permissions.", reason="bad_target"
        ) from exc
    try:
        pattern = re.compile(re.escape(_stem(target)) + _RUN_ID)
        for name in sorted(os.listdir(parent)):
            if pattern.fullmatch(name):
                kept += _sweep_one(target, name, parent)
    except OSError as exc:
        raise BackupError(
            f"Failed to remove what an earlier restore left in {directory}: {exc.strerror}. Remove "
            f"{_stem(target)}* there by hand.",
            reason="restore_failed",
        ) from exc
    finally:
        os.close(parent)
    return kept


def _sweep_one(target: FileTarget, name: str, parent: int) -> list[str]:
    descriptor, status = _dirfd.open_directory(name, parent=parent)
    try:
        if status.st_uid != os.geteuid():
            return []
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(
                f"Failed to restore into {target.path}: another restore fills it now. Run again when it has ended.",
                reason="lock_held",
            ) from None
        return _discard(target, name, parent=parent, descriptor=descriptor)
    finally:
        os.close(descriptor)


def _discard(target: FileTarget, name: str, *, parent: int, descriptor: int) -> list[str]:
    """Remove a staging directory; a tree in it that is not the staged one stood at the target, and is kept."""
    kept = []
    found = _dirfd.status_of(TREE, parent=descriptor)
    if found is not None and _recorded(descriptor) != _identity(found):
        name_kept = kept_name(os.path.basename(target.path), parent=parent)
        _dirfd.rename(TREE, name_kept, old_parent=descriptor, new_parent=parent)
        kept.append(os.path.join(target.work_directory, os.fsdecode(name_kept)))
    _dirfd.remove(name, parent=parent)
    return kept


def kept_name(name: _dirfd.Name, *, parent: int) -> bytes:
    """A free name for what is put aside: ``<name>.before-restore-YYYYmmdd-HHMMSS``."""
    suffix = (_KEPT + _clock.now().strftime("%Y%m%d-%H%M%S")).encode()
    number = 1
    while True:
        ending = suffix if number == 1 else suffix + b"-%d" % number
        wanted = os.fsencode(name)[: _LONGEST - len(ending)] + ending
        if _dirfd.status_of(wanted, parent=parent) is None:
            return wanted
        number += 1


def _stem(target: FileTarget) -> str:
    base = os.fsencode(os.path.basename(target.path))[: _LONGEST - len(_MARK) - 37]
    return f".{os.fsdecode(base)}{_MARK}"


def _make_tree(descriptor: int) -> int:
    os.mkdir(TREE, 0o700, dir_fd=descriptor)
    tree, status = _dirfd.open_directory(TREE, parent=descriptor)
    record = os.open(_RECORD, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=descriptor)
    try:
        os.write(record, _identity(status))
        os.fsync(record)
        os.fsync(descriptor)
    finally:
        os.close(record)
    return tree


def _recorded(descriptor: int) -> bytes:
    try:
        record = os.open(_RECORD, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=descriptor)
    except FileNotFoundError:
        return b""
    try:
        return os.read(record, 100)
    finally:
        os.close(record)


def _identity(status: os.stat_result) -> bytes:
    return b"%d %d\n" % (status.st_dev, status.st_ino)


def _close_tree(staging: Staging) -> None:
    if staging.tree >= 0:
        os.close(staging.tree)


def _end(target: FileTarget, name: str, parent: int, descriptor: int) -> None:
    # What cannot be removed now is removed by the next restore.
    with contextlib.suppress(OSError):
        _discard(target, name, parent=parent, descriptor=descriptor)


__all__ = ("TREE", "Staging", "kept_name", "staged", "sweep")

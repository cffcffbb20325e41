# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory or file that a restore put aside, found by what it is and not by its name, brought back or removed.

A restore of files that was killed after it had changed places, and was started again, has put two directories aside.
Only one of them is what the shop had.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import stat
import typing as t

from . import _dirfd, _staging
from ._errors import BackupError


def identify(path: str) -> dict[str, t.Any] | None:
    """What *path* is, to find it again under another name beside it; None when it is neither directory nor file."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return None
    return {"path": os.path.abspath(path), "device": status.st_dev, "inode": status.st_ino}


def bring_back(identity: t.Mapping[str, t.Any], *, check_mode: bool = False) -> str | None:
    """Put it at its path again; return where what stood there is kept now, None when it is in its place."""
    path = str(identity["path"])
    if _is_same(path, identity):
        return None
    parent = os.path.dirname(path)
    name = _find(parent, identity)
    if name is None:
        raise BackupError(
            f"Failed to bring {path} back: what stood there before the restore is not in {parent} any "
            "more (a mounted directory is not kept). Nothing was changed. Restore the uploads of another moment.",
            reason="nothing_kept",
        )
    if check_mode:
        return path
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        wanted = os.fsencode(os.path.basename(path))
        if _dirfd.status_of(wanted, parent=descriptor) is None:
            _dirfd.rename(name, wanted, old_parent=descriptor, new_parent=descriptor)
            kept = None
        else:
            _dirfd.exchange(name, wanted, old_parent=descriptor, new_parent=descriptor)
            free = _staging.kept_name(wanted, parent=descriptor)
            _dirfd.rename(name, free, old_parent=descriptor, new_parent=descriptor)
            kept = os.path.join(parent, os.fsdecode(free))
        os.fsync(descriptor)
    except OSError as exc:
        raise BackupError(
            f"Failed to bring {path} back: {exc.strerror}. Rename {os.path.join(parent, os.fsdecode(name))} by hand.",
            reason="write_failed",
        ) from exc
    finally:
        os.close(descriptor)
    return kept


def remove(identity: t.Mapping[str, t.Any], *, check_mode: bool = False) -> bool:
    """Remove it for good, unless it stands in its place; return whether there was one."""
    path = str(identity["path"])
    if _is_same(path, identity):
        raise BackupError(
            f"Failed to remove what stood at {path} before the restore: it stands there again, as after a rollback. "
            "Nothing was changed.",
            reason="in_use",
        )
    parent = os.path.dirname(path)
    name = _find(parent, identity)
    if name is None or check_mode:
        return name is not None
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _dirfd.remove(name, parent=descriptor)
    except OSError as exc:
        raise BackupError(
            f"Failed to remove {os.path.join(parent, os.fsdecode(name))}: {exc.strerror}.", reason="write_failed"
        ) from exc
    finally:
        os.close(descriptor)
    return True


def _is_same(path: str, identity: t.Mapping[str, t.Any]) -> bool:
    found = identify(path)
    return found is not None and (found["device"], found["inode"]) == (identity["device"], identity["inode"])


def _find(parent: str, identity: t.Mapping[str, t.Any]) -> bytes | None:
    try:
        with os.scandir(os.fsencode(parent)) as entries:
            for entry in entries:
                if entry.inode() == identity["inode"] and _is_same(os.fsdecode(entry.path), identity):
                    return entry.name
    except FileNotFoundError:
        return None
    return None


__all__ = ("bring_back", "identify", "remove")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last step of a restore of files: what was staged takes its place, by renaming alone.

What stood there is put aside in the same step, never removed, and comes back when a later step fails.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from . import _dirfd
from ._errors import BackupError
from ._file_target import FileTarget, is_empty
from ._member_names import printable
from ._selection import Parts
from ._staging import TREE, Staging, kept_name


def place_tree(target: FileTarget, staging: Staging) -> list[str]:
    """Make the staged tree the target; return where what stood there is kept now."""
    try:
        if target.mounted:
            _fill_mount(target, staging)
            return []
        name = os.path.basename(target.path)
        if target.empty:
            # Fails where somebody has put something there meanwhile.
            os.rename(TREE, name, src_dir_fd=staging.descriptor, dst_dir_fd=staging.parent)
            os.fsync(staging.parent)
            return []
        kept = kept_name(name, parent=staging.parent)
        _swap(TREE, name, kept, staged_in=staging.descriptor, parent=staging.parent)
        os.fsync(staging.parent)
        return [os.path.join(target.parent, os.fsdecode(kept))]
    except OSError as exc:
        raise _failure(target.path, exc) from exc


def place_paths(target: FileTarget, staging: Staging, wanted: t.Sequence[Parts], *, confirmed: bool) -> list[str]:
    """Put the *wanted* paths of the staged tree into the target; return where what they replace is kept now."""
    kept: list[str] = []
    with contextlib.ExitStack() as closing, contextlib.ExitStack() as undo:
        try:
            top, _status = _dirfd.open_directory(target.path)
            closing.callback(os.close, top)
            for parts in wanted:
                aside = _place_one(top, staging.tree, parts, undo=undo, closing=closing, confirmed=confirmed)
                if aside is not None:
                    kept.append(os.path.join(target.path, printable(aside)))
            _dirfd.sync_filesystem(top)
        except OSError as exc:
            raise _failure(target.path, exc) from exc
        undo.pop_all()
    return kept


def occupied(target: FileTarget, wanted: t.Sequence[Parts]) -> list[Parts]:
    """Which of the *wanted* paths are there in the target already; raise BackupError where one cannot be put."""
    if target.status is None:
        return []
    found = []
    for parts in wanted:
        descriptors = []
        try:
            parent, _status = _dirfd.open_directory(target.path)
            descriptors.append(parent)
            for each in parts[:-1]:
                parent, _status = _dirfd.open_directory(each, parent=parent)
                descriptors.append(parent)
            if _dirfd.status_of(parts[-1], parent=parent) is not None:
                found.append(parts)
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise BackupError(
                f"Failed to restore {printable(b'/'.join(parts))} into {target.path}: on the way there is something "
                f"that is not a directory, or cannot be entered ({exc.strerror}). Nothing was changed. Restore into an "
                "empty directory and move it by hand.",
                reason="bad_target",
            ) from exc
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    return found


def require_unoccupied(target: FileTarget, found: t.Sequence[Parts], *, branch: str, confirmed: bool) -> None:
    if found and not confirmed:
        names = ", ".join(printable(b"/".join(parts)) for parts in found[:20])
        raise BackupError(
            f"Failed to restore into {target.path}: there already is {names}. Nothing was changed. To put it aside and "
            f"replace it, set larapee_backup_restore_confirm to {branch}.",
            reason="not_empty",
        )


def _swap(staged: _dirfd.Name, name: _dirfd.Name, kept: bytes, *, staged_in: int, parent: int) -> None:
    """Put *staged* at *name*, and what is there at *kept*; at every moment there is one of the two at *name*."""
    try:
        _dirfd.exchange(staged, name, old_parent=staged_in, new_parent=parent)
    except OSError as exc:
        if not _dirfd.cannot_exchange(exc):
            raise
        os.rename(name, kept, src_dir_fd=parent, dst_dir_fd=parent)
        try:
            os.rename(staged, name, src_dir_fd=staged_in, dst_dir_fd=parent)
        except BaseException:
            os.rename(kept, name, src_dir_fd=parent, dst_dir_fd=parent)
            raise
        return
    try:
        os.rename(staged, kept, src_dir_fd=staged_in, dst_dir_fd=parent)
    except BaseException:
        _dirfd.exchange(staged, name, old_parent=staged_in, new_parent=parent)
        raise


def _fill_mount(target: FileTarget, staging: Staging) -> None:
    """A mount point cannot be renamed: what was staged inside it is moved up, name by name."""
    with contextlib.ExitStack() as undo:
        status = os.fstat(staging.parent)
        staged_status = os.fstat(staging.tree)
        if not is_empty(target.path, mounted=True, staging=os.path.basename(staging.path)):
            raise FileExistsError(errno.EEXIST, "something was put there meanwhile")
        for name in os.listdir(staging.tree):
            _dirfd.rename(name, name, old_parent=staging.tree, new_parent=staging.parent)
            undo.callback(os.rename, name, name, src_dir_fd=staging.parent, dst_dir_fd=staging.tree)
        if os.geteuid() == 0:
            os.fchown(staging.parent, staged_status.st_uid, staged_status.st_gid)
        os.fchmod(staging.parent, stat.S_IMODE(staged_status.st_mode))
        undo.callback(os.fchmod, staging.parent, stat.S_IMODE(status.st_mode))
        _dirfd.sync_filesystem(staging.parent)
        staging.times = (staged_status.st_atime_ns, staged_status.st_mtime_ns)
        undo.pop_all()


def _place_one(
    top: int,
    tree: int,
    parts: Parts,
    *,
    undo: contextlib.ExitStack,
    closing: contextlib.ExitStack,
    confirmed: bool,
) -> bytes | None:
    """Move one path; return, below the target, where what it replaces is kept."""
    parent, source = top, tree
    for depth, name in enumerate(parts):
        last = depth == len(parts) - 1
        if _dirfd.status_of(name, parent=source) is None:
            # It went with a directory that another path needed too.
            return None
        there = _dirfd.status_of(name, parent=parent) is not None
        if last or not there:
            status = os.fstat(parent)
            undo.callback(os.utime, parent, ns=(status.st_atime_ns, status.st_mtime_ns))
        if not there:
            _dirfd.rename(name, name, old_parent=source, new_parent=parent)
            undo.callback(os.rename, name, name, src_dir_fd=parent, dst_dir_fd=source)
            return None
        if last:
            if not confirmed:
                raise FileExistsError(errno.EEXIST, f"{printable(b'/'.join(parts))} was put there meanwhile")
            kept = kept_name(name, parent=parent)
            _replace_one(name, kept, source=source, parent=parent)
            undo.callback(os.rename, kept, name, src_dir_fd=parent, dst_dir_fd=parent)
            undo.callback(os.rename, name, name, src_dir_fd=parent, dst_dir_fd=source)
            return b"/".join((*parts[:-1], kept))
        parent, _status = _dirfd.open_directory(name, parent=parent)
        closing.callback(os.close, parent)
        source, _status = _dirfd.open_directory(name, parent=source)
        closing.callback(os.close, source)
    return None


def _replace_one(name: bytes, kept: bytes, *, source: int, parent: int) -> None:
    """Like _swap, but what is put aside never lies in the staging directory: what a killed restore left goes."""
    _dirfd.rename(name, kept, old_parent=source, new_parent=parent)
    try:
        _dirfd.exchange(name, kept, old_parent=parent, new_parent=parent)
    except BaseException as exc:
        os.rename(kept, name, src_dir_fd=parent, dst_dir_fd=source)
        if not isinstance(exc, OSError) or not _dirfd.cannot_exchange(exc):
            raise
    else:
        return
    os.rename(name, kept, src_dir_fd=parent, dst_dir_fd=parent)
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=parent)
    except BaseException:
        os.rename(kept, name, src_dir_fd=parent, dst_dir_fd=parent)
        raise


def _failure(path: str, error: OSError) -> BackupError:
    return BackupError(
        f"Failed to put what was restored at {path}: {error.strerror or error}. What was there is there still. Check "
        "what is in that directory, and run again.",
        reason="restore_failed",
    )


__all__ = ("occupied", "place_paths", "place_tree", "require_unoccupied")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files by directory descriptors: no symbolic link is ever followed, nothing that is there is ever written over.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import stat
import typing as t

_LIBC = ctypes.CDLL(None, use_errno=True)
_NOREPLACE = 1
_EXCHANGE = 2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Name = t.Union[str, bytes]


def open_directory(name: Name, *, parent: int | None = None, force: bool = False) -> tuple[int, os.stat_result]:
    """Open a directory; raise OSError when the name is missing, or is a link or anything else.

    With *force*, one that its owner may not read or change is made so for its owner: else nobody but root could put
    anything into it or remove it. Gives it with what it was before.
    """
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not force or not stat.S_ISDIR(status.st_mode):
            raise
        os.chmod(name, stat.S_IMODE(status.st_mode) | 0o700, dir_fd=parent)
        return os.open(name, _DIRECTORY, dir_fd=parent), status
    status = os.fstat(descriptor)
    if force and is_locked(status):
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | 0o700)
    return descriptor, status


def is_locked(status: os.stat_result) -> bool:
    """True for a directory that this process owns and may not use, not being root."""
    return status.st_mode & 0o700 != 0o700 and status.st_uid == os.geteuid() != 0


def status_of(name: Name, *, parent: int) -> os.stat_result | None:
    """What *name* is (a link itself, not what it leads to), None when there is nothing."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def remove(name: Name, *, parent: int) -> None:
    """Remove *name* and all below it; raise OSError when it cannot be removed."""
    status = status_of(name, parent=parent)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    # Not by recursion: a tree may be deeper than Python's stack.
    levels: list[tuple[int, Name, int, t.Iterator[str]]] = []

    def enter(outer: int, below: Name) -> None:
        descriptor, _status = open_directory(below, parent=outer, force=True)
        levels.append((outer, below, descriptor, iter(())))
        levels[-1] = (outer, below, descriptor, iter(os.listdir(descriptor)))

    try:
        enter(parent, name)
        while levels:
            outer, own_name, descriptor, names = levels[-1]
            below = next(names, None)
            if below is None:
                levels.pop()
                os.close(descriptor)
                os.rmdir(own_name, dir_fd=outer)
            elif is_directory(below, parent=descriptor):
                enter(descriptor, below)
            else:
                os.unlink(below, dir_fd=descriptor)
    finally:
        for _outer, _name, descriptor, _names in levels:
            os.close(descriptor)


def is_directory(name: Name, *, parent: int) -> bool:
    status = status_of(name, parent=parent)
    return status is not None and stat.S_ISDIR(status.st_mode)


def rename(old: Name, new: Name, *, old_parent: int, new_parent: int) -> None:
    """Rename; raise FileExistsError where ``rename`` would write over what is there."""
    try:
        _rename(old, new, old_parent, new_parent, _NOREPLACE)
    except OSError as exc:
        if not cannot_exchange(exc):
            raise
        if status_of(new, parent=new_parent) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(new)) from exc
        os.rename(old, new, src_dir_fd=old_parent, dst_dir_fd=new_parent)


def exchange(old: Name, new: Name, *, old_parent: int, new_parent: int) -> None:
    """Let two names change places in one step."""
    _rename(old, new, old_parent, new_parent, _EXCHANGE)


def _rename(old: Name, new: Name, old_parent: int, new_parent: int, flags: int) -> None:
    if _LIBC.renameat2(old_parent, os.fsencode(old), new_parent, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(new))


def cannot_exchange(error: OSError) -> bool:
    """True when the filesystem lacks the flags of renameat2, as network filesystems do."""
    return error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def sync_filesystem(descriptor: int) -> None:
    """Make everything on the filesystem of *descriptor* durable: one call for any number of files."""
    if _LIBC.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def many_descriptors(wanted: int) -> t.Iterator[None]:
    """Let this process hold *wanted* open files, or as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if unlimited else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


__all__ = (
    "Name",
    "cannot_exchange",
    "exchange",
    "is_directory",
    "is_locked",
    "many_descriptors",
    "open_directory",
    "remove",
    "rename",
    "status_of",
    "sync_filesystem",
)

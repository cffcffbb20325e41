# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second name or a second file for bytes that must not change, and the flag that lets nobody change them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import typing as t

from . import _io

REFLINK: t.Final = "reflink"
LINK: t.Final = "link"
COPY: t.Final = "copy"
METHODS: t.Final = {"auto": (REFLINK, LINK, COPY), REFLINK: (REFLINK,), LINK: (LINK,), COPY: (COPY,)}

# linux/fs.h
_FICLONE = 0x40049409
_LONG = struct.calcsize("l")
_GETFLAGS = 0x80006601 | _LONG << 16
_SETFLAGS = 0x40006602 | _LONG << 16
_IMMUTABLE = 0x10

_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EMLINK, errno.EPERM)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CannotCloneError(Exception):
    """None of the methods works here; the text says why."""


def clone(source: str, target: str, methods: t.Sequence[str]) -> str:
    """Make *target* of the bytes of *source* (mode 0400) by the first of *methods* that works; give that method.

    Raises CannotCloneError when none does, OSError for any other fault.
    """
    why = ""
    for method in methods:
        try:
            _BY[method](source, target)
        except CannotCloneError as exc:
            why = str(exc)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
            why = str(exc.strerror)
        else:
            return method
    raise CannotCloneError(why)


def _reflink(source: str, target: str) -> None:
    with _reading(source) as reading, _writing(target) as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            os.unlink(target)
            raise


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)
    status = os.lstat(target)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        os.unlink(target)
        raise CannotCloneError("others could write to the file that it would share")
    if stat.S_IMODE(status.st_mode) != 0o400:
        os.chmod(target, 0o400)


def _copy(source: str, target: str) -> None:
    with _reading(source) as reading, _writing(target) as writing:
        block = reading.read(_io.BLOCK_SIZE)
        while block:
            writing.write(block)
            block = reading.read(_io.BLOCK_SIZE)


_BY: dict[str, t.Callable[[str, str], None]] = {REFLINK: _reflink, LINK: _link, COPY: _copy}


def _reading(path: str) -> t.IO[bytes]:
    return open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb", buffering=0)


def _writing(path: str) -> t.IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb")


def is_immutable(path: str) -> bool:
    """Whether not even root may change *path*; False where the filesystem knows no such flag."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return bool(_flags(descriptor) & _IMMUTABLE)
    except OSError as exc:
        if exc.errno not in _CANNOT:
            raise
        return False
    finally:
        os.close(descriptor)


def set_immutable(path: str, *, immutable: bool) -> None:
    """Set or clear that flag (chattr +i, -i); raises OSError where the filesystem or a missing capability refuses."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        flags = _flags(descriptor)
        wanted = flags | _IMMUTABLE if immutable else flags & ~_IMMUTABLE
        if wanted != flags:
            fcntl.ioctl(descriptor, _SETFLAGS, struct.pack("i", wanted))
    finally:
        os.close(descriptor)


def _flags(descriptor: int) -> int:
    (flags,) = struct.unpack("i", fcntl.ioctl(descriptor, _GETFLAGS, struct.pack("i", 0)))
    return int(flags)


__all__ = ("COPY", "LINK", "METHODS", "REFLINK", "CannotCloneError", "clone", "is_immutable", "set_immutable")

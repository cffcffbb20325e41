# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of authorized keys, which may lie in a home: whoever owns that could put a link in its way.

So it is used through a descriptor of its directory, which is locked meanwhile, and no link is followed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
import typing as t

from . import _dirfd

_LARGEST = 1024 * 1024
_FRESH = ".larapee-backup.new"
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class KeyFile:
    """``path``; ``lines`` is what it has, or has when it is written next. ``directory`` is None where there is none."""

    def __init__(self, path: str, directory: int | None) -> None:
        self.path = path
        self.lines: list[str] = []
        self._name = os.path.basename(path)
        self._directory = directory
        self._before: os.stat_result | None = None
        if directory is None:
            return
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self._name, os.O_RDONLY | _FLAGS, dir_fd=directory)
            with open(descriptor, encoding="utf-8", errors="surrogateescape") as handle:
                self._before = os.fstat(descriptor)
                if not stat.S_ISREG(self._before.st_mode) or self._before.st_size > _LARGEST:
                    raise OSError(0, "it is no file of keys", path)
                self.lines = handle.read().splitlines()
        self._known = list(self.lines)

    @property
    def is_usable(self) -> bool:
        return self._directory is not None

    def save(self, *, keep: bool) -> None:
        """Write it when it is to have others; without any line it goes, unless it is to be kept."""
        if self._directory is None or self.lines == self._known:
            return
        if not self.lines and not keep:
            os.unlink(self._name, dir_fd=self._directory)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_FRESH, dir_fd=self._directory)
        descriptor = os.open(_FRESH, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._directory)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write("".join(f"{each}\n" for each in self.lines))
            if self._before is not None:
                os.fchown(descriptor, self._before.st_uid, self._before.st_gid)
            os.fchmod(descriptor, 0o644 if self._before is None else stat.S_IMODE(self._before.st_mode))
            handle.flush()
            os.fsync(descriptor)
        os.rename(_FRESH, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)


@contextlib.contextmanager
def opened(paths: t.Sequence[str], *, account: pwd.struct_passwd, make: bool) -> t.Iterator[list[KeyFile]]:
    """The files at *paths*, locked; raises OSError. *make*: the directory of the first of them, when it is missing."""
    with contextlib.ExitStack() as stack:
        directories: dict[str, int | None] = {}
        first = os.path.dirname(paths[0])
        if make and not os.path.lexists(first):
            os.mkdir(first, 0o700)
            os.chown(first, account.pw_uid, account.pw_gid, follow_symlinks=False)
        for each in sorted({os.path.dirname(path) for path in paths}):
            directories[each] = None
            with contextlib.suppress(FileNotFoundError):
                descriptor, _status = _dirfd.open_directory(each)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                directories[each] = descriptor
        yield [KeyFile(path, directories[os.path.dirname(path)]) for path in paths]


__all__ = ("KeyFile", "opened")

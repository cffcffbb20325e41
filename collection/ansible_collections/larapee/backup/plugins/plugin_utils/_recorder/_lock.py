# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

from ._errors import JournalError, RunOwnedError

# A POSIX lock of this process looks free to this process, and closing any descriptor of the file gives it up:
# what is held here is never probed.
_HELD: set[str] = set()


class OwnerLock:
    """An exclusive POSIX lock for the life of the process; forked workers do not inherit it, and death frees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._descriptor = self._acquire()
        _HELD.add(str(path))

    def _acquire(self) -> int:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(self.path, descriptor):
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
        except BlockingIOError as error:
            raise RunOwnedError(
                f"Failed to lock {self.path}: another process owns this run. "
                "Start each run with an id of its own, or with none."
            ) from error
        except OSError as error:
            raise JournalError(
                f"Failed to lock {self.path}: {error.strerror}. Make the directory writable for this account."
            ) from error

    def release(self) -> None:
        """Give the lock up; a second time, and in a forked child, nothing happens."""
        if self._descriptor < 0 or self._pid != os.getpid():
            return
        descriptor, self._descriptor = self._descriptor, -1
        _HELD.discard(str(self.path))
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(descriptor)

    def __enter__(self) -> OwnerLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. What cannot be asked counts as held: a live run is left alone."""
    if str(path) in _HELD:
        return True
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_if_free(path: Path) -> None:
    """Remove the lock file that a killed owner left."""
    with contextlib.suppress(JournalError):
        OwnerLock(path).release()


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


__all__ = ("OwnerLock", "is_held", "remove_if_free")

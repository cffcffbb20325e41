# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module that notices when the run it belongs to is gone.

ansible-core's workers leave the session of ansible-playbook, so a module outlives a killed ansible-playbook and would
finish a backup that nobody records. On the controller's own host the callback exports the path of a lock file that it
holds for its life (POSIX record lock, not inherited by forks); when that lock is free, the run is over.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import typing as t

from ._errors import BackupError

ENVIRONMENT_VARIABLE = "LARAPEE_BACKUP_OWNER_LOCK"
_INTERVAL_SECONDS = 0.5


def owner_is_gone(path: str) -> bool:
    """True when the lock file *path* exists and nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # Removed by its owner at the end of the run, or not ours to read: no evidence of a death.
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def interruptible(environ: t.Mapping[str, str] | None = None) -> t.Iterator[None]:
    """Turn SIGTERM, SIGHUP, SIGINT and the owner's death into a BackupError in the main thread: cleaning up runs."""

    def interrupt(number: int, _frame: object) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        cause = "the run that started it is gone" if orphaned.is_set() else f"signal {number}"
        raise BackupError(f"Failed to finish: interrupted ({cause}). Start the run again.", reason="interrupted")

    orphaned = threading.Event()
    finished = threading.Event()
    previous: dict[int, t.Any] = {}
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        previous[number] = signal.signal(number, interrupt)
    path = (os.environ if environ is None else environ).get(ENVIRONMENT_VARIABLE, "")

    def watch() -> None:
        while not finished.wait(_INTERVAL_SECONDS):
            if owner_is_gone(path):
                orphaned.set()
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    if path:
        watcher.start()
    try:
        yield
    finally:
        finished.set()
        if watcher.is_alive():
            watcher.join()
        for each, handler in previous.items():
            signal.signal(each, handler)


__all__ = ("ENVIRONMENT_VARIABLE", "interruptible", "owner_is_gone")

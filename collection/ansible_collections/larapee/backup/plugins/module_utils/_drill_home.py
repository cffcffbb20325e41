# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory in which drills take place: one at a time, and nothing of one is left when the next begins.

A drill's processes bear its directory in their environment: by that they are found after a crash, and nothing else is.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import shutil
import signal
import stat
import time
import typing as t

from . import _clock, _io, _manifest
from ._errors import BackupError
from ._owner import owner_is_gone

ENVIRONMENT_VARIABLE: t.Final = "LARAPEE_BACKUP_DRILL"
_RUN: t.Final = "run-"
_LEASE: t.Final = "lease.json"
_STATE: t.Final = "state"
_MARK: t.Final = ".larapee-drill"
_END_SECONDS: t.Final = 30.0


class DrillHome:
    """``path``: made by the first drill, or empty until then. What is not a drill's is never touched."""

    def __init__(self, path: str) -> None:
        self.given = path
        self.path = os.path.realpath(path)

    @property
    def state_path(self) -> str:
        return os.path.join(self.path, _STATE)

    def run_path(self, run_id: str) -> str:
        return os.path.join(self.path, f"{_RUN}{run_id}")

    def begin(self, run_id: str, *, branch: str, owner_lock: str, lifetime: float) -> tuple[str, list[str]]:
        """Make the directory of this drill; return it, and the names of what crashed drills left, which is gone then.

        Raises BackupError when another drill lives (``lock_held``), or something else is there (``not_empty``).
        """
        self._require_own()
        with self._turn():
            names = sorted(name for name in os.listdir(self.path) if name.startswith(_RUN))
            for name in names:
                self._require_dead(os.path.join(self.path, name))
            for name in names:
                clear(os.path.join(self.path, name))
            path = self.run_path(run_id)
            os.mkdir(path, 0o700)
            lease = {
                "schema": 1,
                "run_id": run_id,
                "branch": branch,
                "owner_lock": owner_lock,
                "since": _manifest.format_time(_clock.now()),
                "until": _manifest.format_time(_clock.now() + dt.timedelta(seconds=lifetime)),
            }
            _io.write_json(os.path.join(path, _LEASE), lease)
        return path, names

    def end(self, run_id: str) -> bool:
        """Remove what this drill made; True when there was something."""
        path = self.run_path(run_id)
        if not os.path.lexists(path):
            return False
        clear(path)
        return True

    def _require_own(self) -> None:
        """Only what a drill made may lie here: anything else could be live."""
        if os.path.islink(self.given):
            raise self._refusal("it is a symbolic link")
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            status = os.stat(self.path)
            names = set(os.listdir(self.path))
        except OSError as exc:
            raise BackupError(
                f"Failed to use the drill's directory {self.given}: {exc.strerror}. Give it to the account that runs "
                "the drill, or set larapee_backup_drill_path.",
                reason="bad_target",
            ) from exc
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise self._refusal("others own it or can use it")
        if _MARK not in names:
            # What was fetched for a drill may come first.
            if names - {_STATE}:
                raise self._refusal(f"it holds {sorted(names - {_STATE})[0]}, and no drill made it")
            _io.write_file(os.path.join(self.path, _MARK), b"Drills of larapee.backup take place here.\n")
        strange = sorted(name for name in names - {_MARK, _STATE} if not name.startswith(_RUN))
        if strange:
            raise self._refusal(f"it holds {strange[0]}, which is no drill's")

    def _refusal(self, why: str) -> BackupError:
        return BackupError(
            f"Failed to use the drill's directory {self.given}: {why}. Nothing was done. Set larapee_backup_drill_path "
            "to a directory that does not exist yet; drills keep it for themselves.",
            reason="not_empty",
        )

    @contextlib.contextmanager
    def _turn(self) -> t.Iterator[None]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _require_dead(self, path: str) -> None:
        lease = _read_lease(path)
        if lease is None or not _lives(lease):
            return
        raise BackupError(
            f"Failed to take the lock drill: run {lease.get('run_id')} for {lease.get('branch')} since "
            f"{lease.get('since')} holds it. Nothing was done; run again when that run has ended.",
            reason="lock_held",
            facts={"holder": lease},
        )


def _read_lease(path: str) -> dict[str, t.Any] | None:
    try:
        return _io.read_json(os.path.join(path, _LEASE))
    except (OSError, ValueError, BackupError):
        # The lease is written under the turn: what has none is of a drill that died before.
        return None


def _lives(lease: t.Mapping[str, t.Any]) -> bool:
    """By the lock that the run's recorder holds for its life and then removes; of a run without one, by its time."""
    lock = str(lease.get("owner_lock") or "")
    if lock:
        return os.path.exists(lock) and not owner_is_gone(lock)
    try:
        return _clock.now() < _manifest.parse_time(str(lease["until"]))
    except (KeyError, ValueError):
        return False


def clear(path: str) -> None:
    """Kill the processes of the drill in *path* and remove it; raises BackupError (``drill_left``)."""
    deadline = time.monotonic() + _END_SECONDS
    while _kill(path):
        if time.monotonic() > deadline:
            raise _left(path, "its processes do not end")
        time.sleep(0.05)
    try:
        # A server that runs as another account keeps its socket elsewhere, and names the place.
        for each in _socket_directories(path):
            shutil.rmtree(each, ignore_errors=True)
        _remove_tree(path)
    except OSError as exc:
        raise _left(path, str(exc)) from exc


def _left(path: str, why: str) -> BackupError:
    return BackupError(
        f"Failed to clear the drill {path}: {why}. It holds the shop's rows in clear: end what works there and remove "
        "it.",
        reason="drill_left",
    )


def _socket_directories(path: str) -> list[str]:
    try:
        text = os.fsdecode(_io.read_small(os.path.join(path, "server", "socket-directory"), limit=4096))
    except (OSError, BackupError):
        return []
    known = os.path.basename(text).startswith("larapee-scratch-") and not os.path.islink(text)
    return [text] if known else []


def _kill(path: str) -> int:
    """Send SIGKILL to each process that bears *path*; return how many there were."""
    bears = os.fsencode(f"{ENVIRONMENT_VARIABLE}={path}")
    found = 0
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            descriptor = os.pidfd_open(int(name))
        except OSError:
            continue
        try:
            # Read after the descriptor was taken: that very process is meant, whoever gets its number later.
            with open(f"/proc/{name}/environ", "rb") as handle:
                if bears not in handle.read().split(b"\0"):
                    continue
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            found += 1
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return found


def _remove_tree(path: str) -> None:
    """Restored directories have the modes of the shop's: what may not be written to is made so first."""
    for directory, names, _files in os.walk(path):
        for name in names:
            inner = os.path.join(directory, name)
            if not os.path.islink(inner):
                with contextlib.suppress(PermissionError):
                    os.chmod(inner, 0o700)
    shutil.rmtree(path)


__all__ = ("ENVIRONMENT_VARIABLE", "DrillHome", "clear")

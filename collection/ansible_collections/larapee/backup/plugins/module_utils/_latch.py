# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The latch of a host that is being restored: until the shop is open, nothing there is backed up, and nothing goes.

A perfect backup of an empty database would else stand before the good ones.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os

from . import _clock, _epoch, _io, _manifest, _sequence
from ._errors import BackupError


@dataclasses.dataclass(frozen=True)
class Latch:
    """``because`` of what, since ``at`` (UTC; empty when nobody knows), set by the run ``run_id``."""

    because: str
    at: str
    run_id: str


def path_of(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "latch", f"{branch}.json")


def set_latch(state_path: str, *, branch: str, because: str, run_id: str) -> bool:
    """Set it; False when it is set already, and then it stays as it is."""
    if read_latch(state_path, branch=branch) is not None:
        return False
    path = path_of(state_path, branch)
    _io.ensure_state_directory(state_path, "latch")
    at = _manifest.format_time(_clock.now())
    _io.write_json(path, {"schema": 1, "because": because, "at": at, "run_id": run_id})
    return True


def is_untouched(state_path: str, *, branch: str) -> bool:
    """Whether nothing of *branch* was ever backed up by this host, restored to it, or declared open on it."""
    if _epoch.read_demand(state_path, branch=branch) is not None:
        return False
    try:
        return not any(_sequence.last_given(state_path, branch=branch, kind=kind) for kind in _manifest.KINDS)
    except _sequence.SequenceError:
        return False


def read_latch(state_path: str, *, branch: str) -> Latch | None:
    """What is set; None when nothing is. One that cannot be read is set."""
    try:
        document = _io.read_json(path_of(state_path, branch))
        return Latch(because=str(document["because"]), at=str(document["at"]), run_id=str(document["run_id"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        return Latch(because="the latch is unreadable", at="", run_id="")


def release(state_path: str, *, branch: str) -> bool:
    """Let backups go on, with a full of a new epoch; False when no latch was set."""
    if read_latch(state_path, branch=branch) is None:
        return False
    # In this order: between the two a crash leaves it set.
    _epoch.demand(state_path, branch=branch, because="the shop was opened after a restore")
    path = path_of(state_path, branch)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        _io.fsync_directory(os.path.dirname(path))
    except OSError as exc:
        raise BackupError(
            f"Failed to release the latch {path}: {exc.strerror}. Nothing is backed up while anything stands at that "
            "path. Let the latch be a file in a directory of the state directory's owner, or move aside what is there, "
            "and run larapee.backup.open again.",
            reason="bad_latch",
        ) from exc
    return True


def require_open(state_path: str, *, branch: str, what: str) -> None:
    """Raise BackupError (``latched``) while the latch is set. To be asked under the lock that a restore takes."""
    latch = read_latch(state_path, branch=branch)
    if latch is None:
        return
    since = f"has begun at {latch.at}" if latch.at else "has begun"
    raise BackupError(
        f"Failed to {what} of {branch}: a restore {since}, and the shop is not open yet ({latch.because}). Nothing was "
        "done. End that restore or roll it back; when the shop sells without one, run larapee.backup.open.",
        reason="latched",
    )


__all__ = ("Latch", "is_untouched", "path_of", "read_latch", "release", "require_open", "set_latch")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Up to when the newest artifact of a family is known to be the truth: a tree that did not change advances it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os

from . import _io, _manifest


def note(state_path: str, branch: str, family: str, artifact: str, at: dt.datetime, **more: str) -> None:
    """Remember that at the time *at* the *family* was as *artifact* has it, and *more* by name; raises BackupError."""
    path = _path(state_path, branch)
    _io.ensure_directory(os.path.dirname(path))
    # The uploads and the config are archived under locks of their own.
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        current = {**more, "artifact": artifact, "current_at": _manifest.format_time(at)}
        _io.write_json(path, {**read(state_path, branch), family: current})
    finally:
        os.close(descriptor)


def read(state_path: str, branch: str) -> dict[str, dict[str, str]]:
    """By family its ``artifact``, ``current_at`` (UTC) and what else was noted; without what is unreadable."""
    try:
        document = _io.read_json(_path(state_path, branch))
    except (OSError, ValueError):
        return {}
    known = {}
    for family, each in document.items():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            _manifest.parse_time(each["current_at"])
            known[family] = {"artifact": str(each["artifact"]), **{name: str(value) for name, value in each.items()}}
    return known


def _path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "files", branch, "current.json")


__all__ = ("note", "read")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a directory offsite is the one that was used before, and not the mount point that it left empty.

What is copied there otherwise fills central's own disk and is offsite only by name. The first use leaves a marker with
an id in the directory, and central remembers it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import typing as t
import uuid

from . import _io, _lock, _shelf
from ._errors import BackupError
from ._store._base import Store
from ._store._directory import DirectoryStore

MARKER: t.Final = ".larapee-backup-place.json"
_UNREADABLE: t.Final = ""
# For who makes the marker meanwhile.
_WAIT_SECONDS = 60.0


def require_mounted(store: Store, state_path: str, *, run_id: str, shelf: str, begin: bool = False) -> str | None:
    """The id of the directory that *store* is; raise BackupError when it is not the one that was used before.

    None is that of a bucket, and without *begin* that of a directory which nobody used. ``shelf`` is where central
    remembers what it put there, perhaps before there were markers.
    """
    if not isinstance(store, DirectoryStore):
        return None
    memory = memory_path(state_path, store.url)
    known = _id_in(memory)
    if known is None and begin:
        with _lock.hold(state_path, _lock_name(store.url), run_id=run_id, wait_seconds=_WAIT_SECONDS):
            return _begin(store.url, memory, shelf)
    found = _id_in(os.path.join(store.url, MARKER))
    if known is not None and found != known:
        raise _other_directory(store.url, _strange(memory))
    if found is None:
        _require_any(store.url, shelf)
    return found


def memory_path(state_path: str, directory: str) -> str:
    """Where central remembers the id of *directory*."""
    return os.path.join(state_path, "offsite", "places", f"{_digest(directory)}.json")


def _begin(directory: str, memory: str, shelf: str) -> str:
    """Take the id of the marker that is there, of which central may have lost its memory, or make one."""
    marker = os.path.join(directory, MARKER)
    known = _id_in(memory)
    found = _id_in(marker)
    # A marker that cannot be read is nobody's, not even when central has lost its memory.
    if found == _UNREADABLE or (known is not None and known != found):
        raise _other_directory(directory, _strange(memory))
    if found is None:
        _require_any(directory, shelf)
        found = str(uuid.uuid4())
        _io.ensure_directory(directory)
        _io.write_json(marker, {"schema": 1, "id": found})
    if known is None:
        _io.ensure_directory(os.path.dirname(memory))
        _io.write_json(memory, {"schema": 1, "id": found, "directory": directory})
    return found


def _require_any(directory: str, shelf: str) -> None:
    stored = _shelf.recall(shelf, directory)
    if stored and not any(os.path.lexists(os.path.join(directory, key)) for key in stored):
        raise _other_directory(directory, "Nothing is in it of what was copied there")


def _other_directory(directory: str, why: str) -> BackupError:
    return BackupError(
        f"Failed to use {directory}: it is not the directory that was used before: is it mounted? {why}. Mount the "
        "right one. Where that is gone for good, set larapee_backup_offsite_hot_url or larapee_backup_offsite_cold_url "
        "to a directory of another name, which begins anew.",
        reason="place_not_mounted",
    )


def _strange(memory: str) -> str:
    return f"Its {MARKER} is not the one that {memory} tells of"


def _id_in(path: str) -> str | None:
    """What the file says; None where there is no file."""
    try:
        return str(_io.read_json(path)["id"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError):
        return _UNREADABLE
    except OSError as exc:
        raise BackupError(
            f"Failed to read {path}: {exc.strerror}. Check that it is mounted, its free space and its owner.",
            reason="store_failed",
        ) from exc


def _lock_name(directory: str) -> str:
    return f"place-{_digest(directory)}"


def _digest(directory: str) -> str:
    return hashlib.sha256(os.path.normpath(directory).encode()).hexdigest()[:16]


__all__ = ("MARKER", "memory_path", "require_mounted")

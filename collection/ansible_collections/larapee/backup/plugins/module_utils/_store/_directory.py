# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory as a place offsite: a mounted disk of another building, or the embedded default of a small estate.

It cannot lock anything: whoever is root where it is mounted can remove what lies there.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import typing as t

from .. import _io
from .._errors import BackupError
from ._base import NotAsRecordedError, Version, blocks

_PART = ".part"
_BLOCK = 1024 * 1024


class DirectoryStore:
    """Objects are files, 0400; of each there is one version, which is never overwritten."""

    keeps_versions = False
    endpoint = ""

    def __init__(self, root: str) -> None:
        self.url = root
        self._root = root

    def list(self, prefix: str) -> t.Sequence[Version]:
        """As Store has it; *prefix* ends with a slash."""
        directory = os.path.join(self._root, prefix)
        found = []
        with self._errors("list", prefix), contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                    found.append(Version(prefix + entry.name, "", entry.stat(follow_symlinks=False).st_size))
        return sorted(found, key=lambda each: each.key)

    def put(self, key: str, path: str, *, size: int, sha256: str) -> Version:
        target = os.path.join(self._root, key)
        directory, name = os.path.split(target)
        part = os.path.join(directory, f".{name}{_PART}")
        with self._errors("store", key):
            if os.path.lexists(target):
                raise BackupError(
                    f"Failed to store {key} in {self.url}: another file of this name is there. Compare the two, and "
                    "move the wrong one away.",
                    reason="store_conflict",
                )
            _io.ensure_directory(directory)
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
                with open(path, "rb") as source, open(descriptor, "wb") as handle:
                    for block in blocks(source, _BLOCK, size=size, sha256=sha256):
                        handle.write(block)
                    handle.flush()
                    os.fsync(handle.fileno())
                os.rename(part, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part)
                raise
            _io.fsync_directory(directory)
        return Version(key, "", size)

    @contextlib.contextmanager
    def open(self, version: Version) -> t.Iterator[t.IO[bytes]]:
        with self._errors("read", version.key), open(os.path.join(self._root, version.key), "rb") as handle:
            yield handle

    def attested(self, version: Version) -> str | None:
        return None

    def delete(self, version: Version) -> None:
        with self._errors("remove", version.key):
            os.unlink(os.path.join(self._root, version.key))

    def abandon(self, wanted: t.Container[str]) -> None:
        """Nothing to do: what is begun here ends or goes with its run."""

    def require_versions(self) -> None:
        """Nothing to ask: only root can write here, and no file is replaced."""

    def require_lock(self) -> None:
        raise BackupError(
            f"Failed to lock what is stored in {self.url}: a directory cannot do that, and whoever is root there can "
            "remove it. Name a bucket with Object Lock, or accept it with larapee_backup_offsite_unlocked.",
            reason="no_object_lock",
        )

    def locked_until(self, version: Version) -> dt.datetime | None:
        return None

    def lock(self, version: Version, until: dt.datetime) -> None:
        self.require_lock()

    @contextlib.contextmanager
    def _errors(self, verb: str, key: str) -> t.Iterator[None]:
        try:
            yield
        except NotAsRecordedError:
            raise
        except OSError as exc:
            raise BackupError(
                f"Failed to {verb} {key} in {self.url}: {exc.strerror}. Check that it is mounted, its free space and "
                "its owner.",
                reason="store_failed",
            ) from exc


__all__ = ("DirectoryStore",)

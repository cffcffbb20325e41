# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a place offsite can do, whatever it is made of.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import typing as t

from .. import _io


class NotAsRecordedError(Exception):
    """What was to be sent is not what its manifest says; nothing of it counts at the place."""


class UnreadableError(Exception):
    """The place refuses to give this one version, to anybody who asks as we do: encrypted with a key, or put away."""


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of one object. ``version`` names it for good; ``size`` in bytes."""

    key: str
    version: str
    size: int


class Source(t.Protocol):
    """What can be read of a place. Keys are relative; ``url`` is for messages."""

    url: str

    def list(self, prefix: str) -> t.Sequence[Version]:
        """Every version of every object whose key begins with *prefix*, the newest of a key first."""

    def open(self, version: Version) -> contextlib.AbstractContextManager[t.IO[bytes]]:
        """The bytes, as a stream; raises UnreadableError where others would be given."""


class Store(Source, t.Protocol):
    """A bucket, or a directory."""

    # The server of the bucket, where the settings name one: another may have a bucket of the same name.
    endpoint: str
    # Whether the bytes of a version are never others.
    keeps_versions: bool

    def put(self, key: str, path: str, *, size: int, sha256: str) -> Version:
        """Store the file at *path*; raise NotAsRecordedError, and store nothing, when its bytes are others."""

    def attested(self, version: Version) -> str | None:
        """The SHA-256 that the place itself made of all the bytes; None when it vouches for none."""

    def delete(self, version: Version) -> None:
        """Remove one version for good."""

    def abandon(self, wanted: t.Container[str]) -> None:
        """Give up what was begun to be stored under other keys than *wanted*, and never ended."""

    def require_versions(self) -> None:
        """Raise BackupError where what is stored could be replaced under the same name and version."""

    def require_lock(self) -> None:
        """Raise BackupError unless what is stored here is locked by itself."""

    def locked_until(self, version: Version) -> dt.datetime | None:
        """Until when nobody can remove *version*, None when somebody can now."""

    def lock(self, version: Version, until: dt.datetime) -> None:
        """Let nobody remove *version* before *until*; never shortens."""


class Listing:
    """What is listed of the objects whose key begins with *prefix*, with all their versions."""

    def __init__(self, store: Source, prefix: str) -> None:
        self._versions: dict[str, list[Version]] = {}
        for version in store.list(prefix):
            self._versions.setdefault(version.key, []).append(version)

    def __iter__(self) -> t.Iterator[str]:
        """The keys."""
        return iter(self._versions)

    def versions(self, key: str) -> t.Sequence[Version]:
        """The newest first."""
        return self._versions.get(key, ())

    def find(self, key: str, fact: t.Mapping[str, t.Any]) -> Version | None:
        """The ``version`` of *fact*, when it is still there and has its ``size``."""
        found = (each for each in self.versions(key) if each.version == fact["version"])
        return next((each for each in found if each.size == fact["size"]), None)

    def add(self, version: Version) -> None:
        self._versions.setdefault(version.key, []).insert(0, version)

    def remove(self, version: Version) -> None:
        self._versions[version.key].remove(version)
        if not self._versions[version.key]:
            del self._versions[version.key]


def digest_of(store: Store, version: Version) -> str:
    """The SHA-256 of the bytes, all of them read: what the place says of them, whoever can write there can say."""
    with store.open(version) as stream:
        return _io.sha256_stream(stream)


def holds(store: Store, version: Version, sha256: str) -> bool:
    """Whether *version* has these bytes, all of them read; what the place does not give has none."""
    try:
        return digest_of(store, version) == sha256
    except UnreadableError:
        return False


def blocks(handle: t.IO[bytes], block_size: int, *, size: int, sha256: str) -> t.Iterator[bytes]:
    """The blocks of *handle*, the last one only after all of them turned out to be those of *sha256*."""
    digest = hashlib.sha256()
    held = b""
    count = 0
    while True:
        block = handle.read(block_size)
        digest.update(block)
        count += len(block)
        if count > size or (not block and (count != size or digest.hexdigest() != sha256)):
            raise NotAsRecordedError("its bytes are not those of its manifest")
        if held:
            yield held
        if not block:
            return
        held = block


__all__ = (
    "Listing",
    "NotAsRecordedError",
    "Source",
    "Store",
    "UnreadableError",
    "Version",
    "blocks",
    "digest_of",
    "holds",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What central knows of a place offsite: which version of each object it stored, and until when that is locked.

A listing tells names, versions and sizes, but not what is in them, and metadata is what its writer says. This memory
spares reading each object; when it is lost, they are read again.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import os
import typing as t

from . import _io, _manifest
from ._store._base import Listing, Store, Version, holds

LIMIT: t.Final = 256 * _io.BLOCK_SIZE


class Shelf:
    """The objects of one branch at one place. ``there`` maps a key to the version that central vouches for."""

    def __init__(self, store: Store, prefix: str, memory_path: str) -> None:
        self.store = store
        self.prefix = prefix
        self._path = memory_path
        self._memory = recall(memory_path, store.url)
        self._listed = Listing(store, prefix)
        # Nothing is remembered of what is not there any more.
        self._memory = {key: fact for key, fact in self._memory.items() if self._listed.find(key, fact) is not None}

    def find(self, name: str, *, size: int, sha256: str) -> Version | None:
        """The version of *name* with these bytes, which central stored or has read; None when there is none."""
        key = self.prefix + name
        fact = self._memory.get(key)
        if fact is not None and fact["sha256"] == sha256:
            return self._listed.find(key, fact)
        for version in self._listed.versions(key):
            if version.size == size and holds(self.store, version, sha256):
                self._note(version, sha256)
                return version
        return None

    def put(self, name: str, path: str, *, size: int, sha256: str) -> Version:
        version = self.store.put(self.prefix + name, path, size=size, sha256=sha256)
        self._listed.add(version)
        self._note(version, sha256)
        return version

    def abandon(self, wanted: t.Iterable[str]) -> None:
        """Give up uploads of this branch that were cut off and that no run will end: only *wanted* are tried again."""
        self.store.abandon({self.prefix + name for name in wanted})

    def names(self) -> set[str]:
        return {key[len(self.prefix) :] for key in self._listed}

    def versions(self, name: str) -> t.Sequence[Version]:
        return self._listed.versions(self.prefix + name)

    def locked_until(self, version: Version) -> dt.datetime | None:
        """What was read back when it was locked last: a COMPLIANCE lock only ever grows."""
        fact = self._memory.get(version.key)
        known = fact.get("locked_until") if fact is not None and fact["version"] == version.version else None
        return _manifest.parse_time(known) if known else None

    def note_lock(self, version: Version, until: dt.datetime) -> None:
        fact = self._memory.get(version.key)
        if fact is not None and fact["version"] == version.version:
            fact["locked_until"] = _manifest.format_time(until)

    def contents(self, name: str) -> set[tuple[str, str]] | None:
        """What :meth:`note_contents` said of a bundle whose version is still there; None when nothing is known."""
        fact = self._memory.get(self.prefix + name)
        return None if fact is None or "artifacts" not in fact else {(each[0], each[1]) for each in fact["artifacts"]}

    def note_contents(self, version: Version, artifacts: t.Iterable[tuple[str, str]], *, sha256: str) -> None:
        """Remember that the bundle *version* holds *artifacts*, each a name with its SHA-256."""
        known = self._memory.get(version.key)
        if known is None or known["version"] != version.version:
            self._note(version, sha256)
        self._memory[version.key]["artifacts"] = sorted(artifacts)

    def save(self) -> None:
        _io.ensure_directory(os.path.dirname(self._path))
        _io.write_json(self._path, {"schema": 1, "url": self.store.url, "objects": self._memory}, durable=False)

    def _note(self, version: Version, sha256: str) -> None:
        self._memory[version.key] = {"version": version.version, "size": version.size, "sha256": sha256}


def recall(path: str, url: str) -> dict[str, dict[str, t.Any]]:
    """By key, what central remembers at *path* to have stored at *url*; nothing when the file does not tell."""
    try:
        document = _io.read_json(path, limit=LIMIT)
        if document["url"] != url:
            return {}
        facts = {key: dict(fact) for key, fact in document["objects"].items()}
        return {key: fact for key, fact in facts.items() if _is_usable(fact)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _is_usable(fact: t.Mapping[str, t.Any]) -> bool:
    if not {"version", "size", "sha256"} <= fact.keys():
        return False
    for name in ("locked_until", "proven_at"):
        if fact.get(name) is not None:
            _manifest.parse_time(fact[name])
    return isinstance(fact.get("artifacts", []), list)


def memory_path(state_path: str, target: str, branch: str) -> str:
    """Where the memory of the branch's first place is."""
    return os.path.join(state_path, "offsite", f"{target}-{branch}.json")


def mirror_path(state_path: str, target: str, branch: str) -> str:
    """Where central keeps the manifests that are at the branch's first place, and the ledger of its retention."""
    return os.path.join(state_path, "offsite", target, branch)


__all__ = ("LIMIT", "Shelf", "memory_path", "mirror_path", "recall")

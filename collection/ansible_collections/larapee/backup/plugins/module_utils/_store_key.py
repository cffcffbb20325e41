# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Central's keys to the storage, one file for each identity, and how one gives way to the next.

Keys are made and removed at the storage, by its administrator. Here the new one is proved to do what its identity does
before it is used, and the old one to be refused before it is forgotten.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import typing as t
import uuid

from . import _io, _rotation
from ._errors import BackupError
from ._rotation import Slot
from ._store._base import Listing, Store, Version, digest_of
from ._store._s3 import read_credentials

WRITER, AUDITOR, PRUNER = "writer", "auditor", "pruner"
IDENTITIES = (WRITER, AUDITOR, PRUNER)
_CANARY = ".canary/"
# Opens each bucket with the credentials of a file.
Opener = t.Callable[[str], t.Sequence[Store]]


def slot(directory: str, identity: str) -> Slot:
    path = os.path.join(directory, f"{identity}.ini")
    return Slot(path, f"{path}.next", f"{path}.old", comment=identity)


def begin(key: Slot, credentials: str, *, overlap_seconds: float, check_mode: bool) -> bool:
    """Take in the credentials that follow, unless they are in use or another rotation is under way."""
    wanted = _parsed(credentials, directory=os.path.dirname(key.current))
    if os.path.exists(key.current) and read_credentials(key.current) == wanted:
        return False
    stage = key.stage(overlap_seconds=overlap_seconds)
    if stage == _rotation.ADDED and read_credentials(key.next) == wanted:
        return False
    if stage not in (_rotation.AT_REST, _rotation.ADDED):
        raise BackupError(
            f"Failed to begin the rotation of {key.current}: the last one is not over, its old key is still there. "
            "Have the old key removed at the storage, and run the rotation again when its overlap is over.",
            reason="rotation_under_way",
        )
    if not check_mode:
        _io.write_file(key.next, credentials.encode())
    return True


def switch(key: Slot, opener: Opener) -> None:
    """Prove the credentials that follow in each bucket, then put them into use."""
    directory = os.path.dirname(key.current)
    fresh = opener(key.next)
    # What is read and removed is stored by the writer that is in use; his successor stores it himself.
    writers = fresh if key.comment == WRITER else opener(slot(directory, WRITER).current)
    for store, writer in zip(fresh, writers):
        _prove(key.comment, store, writer)
    if os.path.exists(key.current):
        _rotation.switch(key)
    else:
        os.rename(key.next, key.current)
        _io.fsync_directory(directory)


def finish(key: Slot, opener: Opener) -> None:
    """Forget the credentials before, of which no bucket may know any more."""
    for store in opener(key.old):
        try:
            store.list(_CANARY)
        except BackupError as exc:
            if exc.reason != "store_refused":
                raise
        else:
            raise BackupError(
                f"Failed to end the rotation of {key.current}: {store.url} still takes the old key. Have it removed at "
                "the storage, then run the rotation again.",
                reason="old_key_counts",
            )
    _rotation.finish(key)


def _prove(identity: str, store: Store, writer: Store) -> None:
    """Have *store* do what *identity* is for; raises BackupError."""
    version, digest = _stored(writer)
    if digest_of(store, version) != digest:
        raise BackupError(
            f"Failed to prove the new key of the {identity}: {store.url} gives back other bytes than were stored. See "
            "what lies between central and the storage.",
            reason="key_not_proved",
        )
    if identity == PRUNER:
        store.delete(version)
        if version in Listing(store, version.key).versions(version.key):
            raise BackupError(
                f"Failed to prove the new key of the {identity}: what it removed in {store.url} is still there. See "
                "whether the identity's policy has s3:DeleteObjectVersion.",
                reason="key_not_proved",
            )


def _stored(store: Store) -> tuple[Version, str]:
    content = f"{uuid.uuid4()}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    with tempfile.NamedTemporaryFile(prefix="larapee-backup-canary-") as handle:
        handle.write(content)
        handle.flush()
        return store.put(f"{_CANARY}rotation", handle.name, size=len(content), sha256=digest), digest


def _parsed(credentials: str, *, directory: str) -> tuple[str, str]:
    # Beside the others, where only root reads.
    with tempfile.NamedTemporaryFile(prefix=".new-", dir=directory) as handle:
        handle.write(credentials.encode())
        handle.flush()
        return read_credentials(handle.name)


__all__ = ("AUDITOR", "IDENTITIES", "PRUNER", "WRITER", "begin", "finish", "slot", "switch")

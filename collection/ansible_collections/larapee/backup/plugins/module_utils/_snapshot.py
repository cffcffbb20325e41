# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tree looked like when an artifact was made of it, for the next increment.

One line of JSON, padded to a fixed length: which artifact, and size and hash of what follows. Then words that end with
a zero byte, which no name holds: ``/`` and the path of each directory in the order of the walk, followed by the name
and the signature of each of its entries, in bytewise order. The first directory is the empty path, whose entries are
the roots. A signature of nothing but the mode equals none: that entry is taken again. Behind the tree, the paths of
what could not be read.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t

from . import _io, _names
from ._errors import BackupError

_FORMAT: t.Final = 1
_HEADER_BYTES: t.Final = 1024
_CHUNK: t.Final = 256 * 1024
_END: t.Final = b"\0"
_HELD_WORDS: t.Final = 10_000
_DIRECTORY: t.Final = b"/"
SUFFIX: t.Final = ".snapshot"
# More paths than this are not held; the next run makes a full.
RETAKEN_LIMIT: t.Final = 10_000


class SnapshotError(Exception):
    """Why a snapshot cannot be used."""


def order_key(path: bytes) -> bytes:
    """Orders paths as the walk does: the root before all, what is below a directory right after it."""
    return b"" if path == b"." else path.replace(b"/", b"\0")


def directory_of(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "files", branch)


class SnapshotWriter:
    """Writes a snapshot under a temporary name; use as a context manager, which removes what was not saved.

    The caller holds the lock of *content*: what a killed run left under that name is overwritten.
    """

    def __init__(self, directory: str, *, content: str) -> None:
        self._directory = directory
        self._temporary = os.path.join(directory, f".{content}.new")
        self._hash = hashlib.sha256()
        self._size = 0
        self._words: list[bytes] = []
        self._retaken: set[bytes] = set()
        self._links = 0

    def __enter__(self) -> SnapshotWriter:
        descriptor = os.open(
            self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        self._handle = os.fdopen(descriptor, "wb")
        self._handle.write(bytes(_HEADER_BYTES))
        return self

    def __exit__(self, *_exc: object) -> None:
        # What is still buffered may not fit on a full disk, and is not wanted any more.
        with contextlib.suppress(OSError):
            self._handle.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def directory(self, path: bytes) -> None:
        """What :meth:`entry` notes from now on lies in *path*."""
        self._words.append(_DIRECTORY + path)
        if len(self._words) > _HELD_WORDS:
            self._flush()

    def entry(self, name: bytes, signature: bytes, *, linked: bool = False) -> None:
        """*linked*: a file of more than one name."""
        self._links += linked
        self._words += (name, signature)
        if len(self._words) > _HELD_WORDS:
            self._flush()

    def retake(self, path: bytes) -> None:
        """Have *path* taken by the next increment, whatever its signature says."""
        if len(self._retaken) <= RETAKEN_LIMIT:
            self._retaken.add(path)

    def save(self, artifact: str, *, sha256: str) -> bool:
        """Make it the snapshot of *artifact*, durable; False when too much could not be read to be of use."""
        if len(self._retaken) > RETAKEN_LIMIT:
            return False
        self._flush()
        tree_size = self._size
        self._words += sorted(self._retaken)
        self._flush()
        document = {
            "format": _FORMAT,
            "artifact": artifact,
            "sha256": sha256,
            "size": self._size,
            "tree_size": tree_size,
            "links": self._links,
            "body_sha256": self._hash.hexdigest(),
        }
        self._handle.seek(0)
        self._handle.write(json.dumps(document).encode().ljust(_HEADER_BYTES - 1) + b"\n")
        self._handle.flush()
        os.fsync(self._handle.fileno())
        os.replace(self._temporary, os.path.join(self._directory, artifact + SUFFIX))
        _io.fsync_directory(self._directory)
        return True

    def _flush(self) -> None:
        self._words.append(b"")
        block = _END.join(self._words)
        self._words.clear()
        self._hash.update(block)
        self._size += len(block)
        self._handle.write(block)


class Snapshot:
    """The snapshot of one artifact, whole and unchanged; use as a context manager. Raises SnapshotError.

    ``links`` counts the names of files with more than one; a snapshot that does not say it counts as having some.
    """

    def __init__(self, directory: str, artifact: str, *, sha256: str) -> None:
        path = os.path.join(directory, artifact + SUFFIX)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as exc:
            raise SnapshotError(f"the snapshot of {artifact} is missing") from exc
        except OSError as exc:
            raise SnapshotError(f"the snapshot of {artifact} cannot be opened: {exc.strerror}") from exc
        with contextlib.ExitStack() as stack:
            self._handle = stack.enter_context(os.fdopen(descriptor, "rb"))
            self._tree_size = self._check(artifact, sha256)
            self._handle.seek(_HEADER_BYTES + self._tree_size)
            self.retaken = frozenset(self._handle.read().split(_END)[:-1])
            stack.pop_all()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._handle.close()

    def words(self) -> t.Iterator[bytes]:
        """Directories, each followed by names and signatures."""
        self._handle.seek(_HEADER_BYTES)
        left = self._tree_size
        rest = b""
        while left:
            chunk = self._handle.read(min(_CHUNK, left))
            if not chunk:
                raise BackupError("Failed to read the snapshot: it was cut while it was read. Run again.")
            left -= len(chunk)
            words = (rest + chunk).split(_END)
            rest = words.pop()
            yield from words

    def _check(self, artifact: str, sha256: str) -> int:
        """The number of bytes that say the tree."""
        damaged = SnapshotError(f"the snapshot of {artifact} is damaged")
        try:
            header = json.loads(self._handle.read(_HEADER_BYTES).decode("ascii"))
            expected = (header["format"], header["size"], header["body_sha256"])
            of, tree_size = (header["artifact"], header["sha256"]), header["tree_size"]
            self.links = header.get("links", 1)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise damaged from exc
        if of != (artifact, sha256):
            raise SnapshotError(f"the snapshot under the name of {artifact} is that of another artifact")
        digest, size = hashlib.sha256(), 0
        for chunk in iter(lambda: self._handle.read(_CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
        if (_FORMAT, size, digest.hexdigest()) != expected:
            raise damaged
        if not isinstance(tree_size, int) or not isinstance(self.links, int):
            raise damaged
        return tree_size


def remove_others(directory: str, *, than: str, kinds: t.Container[str]) -> None:
    """Remove the snapshots of artifacts of *kinds*, except that of the artifact *than*."""
    for name in os.listdir(directory):
        parsed = _names.parse_name(name[: -len(SUFFIX)]) if name.endswith(SUFFIX) else None
        if parsed is not None and parsed.kind in kinds and name != than + SUFFIX:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


__all__ = (
    "RETAKEN_LIMIT",
    "SUFFIX",
    "Snapshot",
    "SnapshotError",
    "SnapshotWriter",
    "directory_of",
    "order_key",
    "remove_others",
)

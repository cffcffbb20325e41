# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one object a day that holds a branch's increments in the cold archive: a plain tar of whole artifacts.

An archive that charges by object and locks each of them holds few large ones: hundreds of increments a day become one.
Every artifact in it has its own manifest and signature beside it, so that the tar itself proves nothing and needs no
key: ``tar -x`` makes it a place.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import io
import os
import re
import tarfile
import tempfile
import typing as t

from . import _io, _names
from ._catalog import Entry
from ._store._base import NotAsRecordedError

SUFFIX: t.Final = ".tar"
CONTENTS_SUFFIX: t.Final = ".contents.json"
NAME: t.Final = re.compile(r"increments-\d{8}-\d{4}(-\d{2})?\.tar", re.ASCII)

_LARGEST_HEADER = 64 * 1024
_SMALL_ENDINGS = (_names.MANIFEST_SUFFIX, _names.SIGNATURE_SUFFIX)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A tar at ``path``, which is this process's alone, and the small list of what it holds."""

    name: str
    path: str
    size: int
    sha256: str
    contents: bytes


def name_of(now: dt.datetime, taken: t.Container[str]) -> str:
    """The name of a bundle made *now* (UTC), beside those that are there."""
    for form in ("%Y%m%d-%H%M", "%Y%m%d-%H%M-%S"):
        name = f"increments-{now.strftime(form)}{SUFFIX}"
        if name not in taken:
            return name
    return name_of(now + dt.timedelta(seconds=1), taken)


@contextlib.contextmanager
def packed(name: str, entries: t.Sequence[Entry], directory: str) -> t.Iterator[Bundle]:
    """The bundle *name* of *entries*, in a file in *directory* that has no name; raises NotAsRecordedError.

    Each artifact is hashed as it passes: what is damaged at central is not buried in an archive as if it were whole.
    """
    with tempfile.TemporaryFile(prefix=".increments-", dir=directory) as handle:
        digest = _Digest(handle)
        with tarfile.open(fileobj=t.cast("t.IO[bytes]", digest), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for entry in entries:
                _add(tar, entry)
        handle.flush()
        contents = _io.json_bytes(
            {
                "schema": 1,
                "artifact": name,
                "size": digest.size,
                "sha256": digest.hexdigest(),
                "artifacts": [{"name": each.name, "sha256": each.manifest.sha256} for each in entries],
            }
        )
        yield Bundle(name, f"/proc/self/fd/{handle.fileno()}", digest.size, digest.hexdigest(), contents)


OnManifest = t.Callable[[str, bytes, bytes, t.Mapping[str, str]], None]
# Gets the name and the bytes of a file that is no manifest, and returns their SHA-256.
OnFile = t.Callable[[str, t.IO[bytes]], str]


def _hash(_name: str, content: t.IO[bytes]) -> str:
    return _io.sha256_stream(content)


def read(
    stream: t.IO[bytes], on_manifest: OnManifest | None = None, on_file: OnFile = _hash
) -> tuple[dict[str, str], str]:
    """By name, the SHA-256 of each file in a tar, and that of the tar; what is no tar holds nothing.

    *on_manifest* gets each artifact's name, manifest and signature, and the files that came before: all of its own.
    """
    reader = _Hashing(stream)
    found: dict[str, str] = {}
    signature = "", b""
    with (
        # Whoever has the writer's key can store a tar that is made to harm its reader.
        contextlib.suppress(tarfile.TarError, ValueError, RecursionError, OverflowError),
        tarfile.open(
            fileobj=t.cast("t.IO[bytes]", reader), mode="r|", bufsize=_io.BLOCK_SIZE, tarinfo=_PlainMember
        ) as tar,
    ):
        for member in tar:
            if member.issparse():
                raise tarfile.ReadError("it is not a tar of plain files")
            content = tar.extractfile(member)
            if content is None:
                continue
            if not member.name.endswith(_SMALL_ENDINGS) or member.size > _io.BLOCK_SIZE:
                found[member.name] = on_file(member.name, content)
                continue
            raw = content.read()
            found[member.name] = hashlib.sha256(raw).hexdigest()
            if member.name.endswith(_names.SIGNATURE_SUFFIX):
                signature = member.name, raw
            elif on_manifest is not None:
                name = member.name[: -len(_names.MANIFEST_SUFFIX)]
                own = signature[0] == name + _names.SIGNATURE_SUFFIX
                on_manifest(name, raw, signature[1] if own else b"", found)
    for _block in iter(lambda: reader.read(_io.BLOCK_SIZE), b""):
        pass
    return found, reader.hexdigest()


class _PlainMember(tarfile.TarInfo):
    """What our own tars are made of: files and short extended headers; sparse files and long names come from others."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _PlainMember:
        """As that of the parent, which the reader calls for each header before it does what the header says."""
        found = super().frombuf(buf, encoding, errors)
        plain = found.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not plain and not (found.type == tarfile.XHDTYPE and found.size <= _LARGEST_HEADER):
            raise tarfile.ReadError("it is not a tar of plain files")
        return found


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    facts = [(entry.path, entry.manifest.size, entry.manifest.sha256)]
    if entry.companion_path is not None:
        companion = entry.manifest.document["companion"]
        facts.append((entry.companion_path, companion["size"], companion["sha256"]))
    for path, size, sha256 in facts:
        with open(path, "rb") as handle:
            hashing = _Hashing(handle)
            if os.fstat(handle.fileno()).st_size != size:
                raise NotAsRecordedError(f"the size of {os.path.basename(path)} is not that of its manifest")
            tar.addfile(_member(os.path.basename(path), size), t.cast("t.IO[bytes]", hashing))
            if hashing.hexdigest() != sha256 or handle.read(1):
                raise NotAsRecordedError(f"the bytes of {os.path.basename(path)} are not those of its manifest")
    signature = entry.signature() or b""
    for suffix, content in ((_names.SIGNATURE_SUFFIX, signature), (_names.MANIFEST_SUFFIX, entry.raw)):
        tar.addfile(_member(entry.name + suffix, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


class _Hashing:
    def __init__(self, handle: t.IO[bytes]) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._handle.read(size)
        self._digest.update(block)
        return block

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Digest:
    def __init__(self, handle: t.IO[bytes]) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        self._digest.update(block)
        self.size += len(block)
        return self._handle.write(block)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


__all__ = ("CONTENTS_SUFFIX", "NAME", "SUFFIX", "Bundle", "name_of", "packed", "read")

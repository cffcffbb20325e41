# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening the artifacts of a chain of files, one after the other, into one directory.

Each is judged while it passes, and only bytes that the manifest vouches for, to the last, count as restored. The
directory is nobody's yet: what is refused half-way goes with it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import tempfile
import typing as t

from . import _manifest, _open
from ._attributes import Attributes
from ._catalog import Entry
from ._errors import BackupError
from ._extract import Extractor, LinkTargetError
from ._index_reader import IndexReader
from ._member_names import printable
from ._members import Member, MemberReader, Sink
from ._selection import Selection

_ZEROS = memoryview(bytes(1024 * 1024))


@dataclasses.dataclass
class Unpacked:
    """What was unpacked; ``torn`` names members that changed while they were archived."""

    attributes: Attributes = dataclasses.field(default_factory=Attributes)
    torn: list[str] = dataclasses.field(default_factory=list)


class _Judged:
    """A sink between reader and extractor: what the index says, and only what is wanted."""

    def __init__(self, extractor: Sink, *, index: IndexReader | None, selection: Selection | None) -> None:
        self._extractor = extractor
        self._index = index
        self._selection = selection
        self._taken = False
        self._digest = hashlib.sha256()
        self._reached = 0
        self.entries = 0

    def begin(self, member: Member) -> None:
        self.entries += 1
        if self._index is not None:
            self._index.begin(member)
        self._taken = self._selection is None or self._selection.takes(member.parts)
        if self._taken:
            self._take(member)
        if member.kind == "file":
            self._digest = hashlib.sha256()
            self._reached = 0

    def _take(self, member: Member) -> None:
        try:
            self._extractor.begin(member)
        except LinkTargetError:
            if self._selection is None or not self._selection.needs(tuple(member.target.split(b"/"))):
                raise
            self._taken = False

    def write(self, block: memoryview, offset: int) -> None:
        if self._index is not None:
            self._pass_hole(offset)
            self._digest.update(block)
            self._reached = offset + len(block)
        if self._taken:
            self._extractor.write(block, offset)

    def end(self, member: Member) -> None:
        if self._index is not None and member.kind == "file":
            self._pass_hole(member.size)
            self._index.end(member, self._digest.hexdigest())
        if self._taken:
            self._extractor.end(member)

    def _pass_hole(self, end: int) -> None:
        while self._reached < end:
            zeros = _ZEROS[: end - self._reached]
            self._digest.update(zeros)
            self._reached += len(zeros)


class _FileTap:
    def __init__(self, file: t.IO[bytes]) -> None:
        self._file = file

    def feed(self, block: memoryview) -> None:
        self._file.write(block)


def unpack_chain(
    entries: t.Sequence[Entry],
    top: int,
    *,
    identity: str | None,
    scratch: str,
    selection: Selection | None,
    without_index: t.Container[str],
) -> Unpacked:
    """Put the state after the last of *entries* below the empty directory *top* (a descriptor).

    *scratch* is a directory that nobody else can read, for the plain index while it is compared. Raises BackupError.
    """
    unpacked = Unpacked()
    for number, entry in enumerate(entries):
        with contextlib.ExitStack() as stack:
            index = None
            if entry.companion_path is not None and entry.name not in without_index:
                lines = stack.enter_context(_plain_index(entry, identity=identity, scratch=scratch))
                index = IndexReader(lines, artifact=entry.name)
            extractor = stack.enter_context(
                Extractor(
                    top,
                    attributes=unpacked.attributes,
                    following=number > 0,
                    make_parents=entry.manifest.kind == "config",
                )
            )
            _unpack(entry, extractor, index=index, identity=identity, selection=selection)
            if index is not None and index.torn:
                more = index.torn_count - len(index.torn)
                unpacked.torn += [*index.torn, *([f"and {more} more"] if more else [])]
        if selection is not None:
            selection.look(top, when=_manifest.format_time(entry.manifest.recovery_point))
    return unpacked


def _unpack(
    entry: Entry,
    extractor: Extractor,
    *,
    index: IndexReader | None,
    identity: str | None,
    selection: Selection | None,
) -> None:
    _read(entry, _Judged(extractor, index=index, selection=selection), index=index, identity=identity)
    extractor.finish()


def _read(entry: Entry, judged: _Judged, *, index: IndexReader | None, identity: str | None) -> None:
    reader = MemberReader(judged)
    _open.open_artifact(entry, identity=identity, following=[reader])
    reader.finish()
    document = entry.manifest.document
    if entry.manifest.adopted_moment is None and judged.entries != document["entries"]:
        raise BackupError(
            f"Failed to restore {entry.name}: it holds {judged.entries} members, its manifest says "
            f"{document['entries']}. Nothing was changed on the target. Use another set.",
            reason="index_mismatch",
        )
    if index is not None:
        index.finish(entries=document["entries"], deletions=document["deletions"])


class _Nowhere:
    """Takes members and keeps nothing."""

    def begin(self, member: Member) -> None: ...

    def write(self, block: memoryview, offset: int) -> None: ...

    def end(self, member: Member) -> None: ...


def examine(entry: Entry, *, identity: str | None, scratch: str) -> None:
    """Read the archive *entry* to its end and compare it with its index, where it has one; raises BackupError."""
    with contextlib.ExitStack() as stack:
        index = None
        if entry.companion_path is not None:
            lines = stack.enter_context(_plain_index(entry, identity=identity, scratch=scratch))
            index = IndexReader(lines, artifact=entry.name)
        _read(entry, _Judged(_Nowhere(), index=index, selection=None), index=index, identity=identity)


@contextlib.contextmanager
def _plain_index(entry: Entry, *, identity: str | None, scratch: str) -> t.Iterator[t.IO[bytes]]:
    """The lines of the index of *entry*, in a file without a name: it holds the names of all files."""
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            _open.open_companion(entry, identity=identity, following=[_FileTap(file)])
            file.flush()
            file.seek(0, os.SEEK_SET)
            yield file
    except OSError as exc:
        raise BackupError(
            f"Failed to restore {printable(os.fsencode(entry.name))}: its index could not be kept: {exc.strerror}. "
            "Nothing was changed on the target. Free space on the target's filesystem and run again.",
            reason="disk_full",
        ) from exc


__all__ = ("Unpacked", "examine", "unpack_chain")

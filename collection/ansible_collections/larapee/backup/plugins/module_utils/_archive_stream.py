# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a walk finds, written as a tar: each file and the whole stream hashed in the same pass.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import typing as t

from . import _tar
from ._digest import Digest
from ._index import Index
from ._outlet import Outlet
from ._outward import OutwardLinks
from ._problems import CHANGED, Problems
from ._walk import Directory, Leaf, Walk, open_file

# A file up to this size is read again when it changed meanwhile; nothing of it was written yet.
SMALL: t.Final = 1024 * 1024
_ATTEMPTS: t.Final = 3
_PART: t.Final = 256 * 1024
_ZEROS: t.Final = bytes(_PART)
# A file with more pieces than this is stored with its holes filled.
_EXTENTS: t.Final = 20_000
_KEPT_XATTRS: t.Final = ("user.", "system.posix_acl_")


class TreeArchive:
    """The producer of an archive's pipeline; ``plain`` is the digest of the tar. *outward* is told of every link."""

    def __init__(self, walk: Walk, *, index: Index, problems: Problems, outward: OutwardLinks, increment: bool) -> None:
        self._walk = walk
        self._index = index
        self._problems = problems
        self._outward = outward
        self._increment = increment
        self._links: dict[tuple[int, int], bytes] = {}
        self.plain = Digest()

    def write_to(self, descriptor: int) -> None:
        self._outlet = Outlet(descriptor, self.plain)
        with contextlib.closing(self._walk.events()) as events:
            for event in events:
                if isinstance(event, Directory):
                    self._add_directory(event)
                elif event.is_link:
                    self._add_link(event)
                else:
                    self._add_file(event)
        self._outlet.put(_tar.ending(self._outlet.position))
        self._outlet.flush()

    def _add_directory(self, found: Directory) -> None:
        if not found.take:
            return
        records = _xattrs(found.descriptor)
        if self._increment:
            records.append((_tar.DUMPDIR, found.dumpdir))
        self._outlet.put(_tar.header(found.path + b"/", _tar.DIRECTORY, found.status, records=records))
        self._index.directory(found.path, found.status)

    def _add_link(self, leaf: Leaf) -> None:
        try:
            status = os.stat(leaf.name, dir_fd=leaf.parent, follow_symlinks=False)
            target = os.readlink(leaf.name, dir_fd=leaf.parent)
        except OSError as exc:
            replaced = exc.errno == errno.EINVAL
            self._walk.lost(leaf.path, OSError(errno.ENOENT, "replaced") if replaced else exc)
            return
        self._outlet.put(_tar.header(leaf.path, _tar.SYMBOLIC_LINK, status, target=target))
        self._index.link(leaf.path, status, "symlink", target)
        self._outward.see(leaf.path, target)

    def _add_file(self, leaf: Leaf) -> None:
        try:
            descriptor, status = open_file(leaf)
        except OSError as exc:
            self._walk.lost(leaf.path, exc)
            return
        try:
            inode = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and inode in self._links:
                first = self._links[inode]
                self._outlet.put(_tar.header(leaf.path, _tar.HARD_LINK, status, target=first))
                self._index.link(leaf.path, status, "hardlink", first)
                return
            if self._add_content(leaf.path, descriptor, status) and status.st_nlink > 1:
                self._links[inode] = leaf.path
        finally:
            os.close(descriptor)

    def _add_content(self, path: bytes, descriptor: int, status: os.stat_result) -> bool:
        """Archive a file's bytes; False when there is no member for it."""
        records = _xattrs(descriptor)
        for attempt in range(1, _ATTEMPTS + 1):
            extents = _extents(descriptor, status)
            if extents is not None:
                self._add_sparse(path, descriptor, status, extents, records)
                return True
            head = _tar.header(path, _tar.REGULAR, status, size=status.st_size, records=records)
            padding = -status.st_size % _tar.BLOCK
            if status.st_size > SMALL or len(head) + status.st_size + padding > Outlet.LARGEST:
                self._add_large(path, descriptor, status, head)
                return True
            room = self._outlet.room(len(head) + status.st_size + padding)
            content = room[len(head) : len(head) + status.st_size]
            try:
                read = _read_into(descriptor, content)
            except OSError as exc:
                self._walk.lost(path, exc)
                return False
            after = os.fstat(descriptor)
            whole = read == status.st_size and _same(status, after)
            if whole or attempt == _ATTEMPTS:
                break
            status = after
            os.lseek(descriptor, 0, os.SEEK_SET)
        room[: len(head)] = head
        content[read:] = bytes(len(content) - read)
        room[len(head) + status.st_size :] = bytes(padding)
        self._note(path, status, hashlib.sha256(content).hexdigest(), torn=not whole)
        self._outlet.took(len(room))
        return True

    def _add_large(self, path: bytes, descriptor: int, status: os.stat_result, head: bytes) -> None:
        self._outlet.put(head)
        digest = hashlib.sha256()
        error = self._copy(descriptor, status.st_size, digest)
        self._outlet.put(_tar.padding(status.st_size))
        self._note_read(path, descriptor, status, digest.hexdigest(), error)

    def _add_sparse(
        self,
        path: bytes,
        descriptor: int,
        status: os.stat_result,
        extents: t.Sequence[tuple[int, int]],
        records: _tar.Records,
    ) -> None:
        listed = _tar.sparse_map(extents)
        size = len(listed) + sum(length for _offset, length in extents)
        records = [*_tar.sparse_records(path, status.st_size), *records]
        self._outlet.put(_tar.header(path, _tar.REGULAR, status, size=size, records=records))
        self._outlet.put(listed)
        digest = hashlib.sha256()
        error = None
        position = 0
        for offset, length in extents:
            _add_zeros(digest, offset - position)
            os.lseek(descriptor, offset, os.SEEK_SET)
            error = self._copy(descriptor, length, digest) or error
            position = offset + length
        self._outlet.put(_tar.padding(size))
        self._note_read(path, descriptor, status, digest.hexdigest(), error)

    def _copy(self, descriptor: int, size: int, digest: t.Any) -> OSError | None:
        """Copy exactly *size* bytes from where *descriptor* stands; zeros stand for what could not be read."""
        error = None
        readable = True
        while size:
            room = self._outlet.room(min(size, _PART))
            read = 0
            if readable:
                try:
                    read = os.readv(descriptor, [room])
                except OSError as exc:
                    error = exc
                readable = read > 0
            if not readable:
                room[:] = _ZEROS[: len(room)]
                read = len(room)
            digest.update(room[:read])
            self._outlet.took(read)
            size -= read
        return error

    def _note_read(
        self, path: bytes, descriptor: int, status: os.stat_result, sha256: str, error: OSError | None
    ) -> None:
        self._note(path, status, sha256, torn=error is not None or not _same(status, os.fstat(descriptor)))
        if error is not None:
            self._walk.unreadable(path, error)

    def _note(self, path: bytes, status: os.stat_result, sha256: str, *, torn: bool) -> None:
        if torn:
            self._problems.add(CHANGED, path, "it was written to while it was read")
        self._index.file(path, status, size=status.st_size, sha256=sha256, torn=torn)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file was left alone in between."""
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _read_into(descriptor: int, content: memoryview) -> int:
    """Fill *content* as far as the file goes; return how far that is."""
    filled = 0
    while filled < len(content):
        count = os.readv(descriptor, [content[filled:]])
        if not count:
            break
        filled += count
    return filled


def _extents(descriptor: int, status: os.stat_result) -> list[tuple[int, int]] | None:
    """Where the bytes of a sparse file lie, an empty piece at its end for a hole there; None for one without holes."""
    size = status.st_size
    if status.st_blocks * 512 >= size:
        return None
    found: list[tuple[int, int]] = []
    end = 0
    try:
        while end < size and len(found) < _EXTENTS:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
            if start < end:
                found.append((start, end - start))
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            found = [(0, size)]
    os.lseek(descriptor, 0, os.SEEK_SET)
    if found == [(0, size)] or len(found) >= _EXTENTS:
        return None
    if not found or sum(found[-1]) < size:
        found.append((size, 0))
    return found


def _add_zeros(digest: t.Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[:count])
        count -= len(_ZEROS)


def _xattrs(descriptor: int) -> _tar.Records:
    """What users and access lists have put beside a file; none where the filesystem has no such thing."""
    records: _tar.Records = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listxattr(descriptor)):
            if name.startswith(_KEPT_XATTRS):
                records.append((_tar.xattr_keyword(name), os.getxattr(descriptor, name)))
    return records


__all__ = ("SMALL", "TreeArchive")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree walked by directory descriptors: depth first, siblings in bytewise order, what changed since a snapshot.

Every directory is listed, and each of its entries looked at, before anything in it is opened: its dumpdir stands
before its entries in the archive. No symbolic link below a root is followed. Held in memory: the names of the open
directories.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import time
import typing as t

from . import _tar
from ._compare import Comparison, EntryComparison, join
from ._errors import BackupError
from ._problems import SKIPPED, UNREADABLE, VANISHED, Problems, printable
from ._snapshot import SnapshotWriter, order_key

# What changed this shortly before may change again and show the same time.
RACY_NS: t.Final = 2 * 10**9
_OPEN: t.Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_GONE: t.Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
# Of open directories, one above the other: what programs can name has no more (PATH_MAX).
DEEPEST: t.Final = 2048
_KINDS: t.Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


@dataclasses.dataclass(frozen=True)
class Root:
    """A path to archive: *leaf* in *directory*, called *name* in the archive."""

    name: bytes
    directory: bytes
    leaf: bytes


class Directory(t.NamedTuple):
    """A directory that was entered: its open descriptor and status; ``take`` when it belongs into the archive."""

    path: bytes
    descriptor: int
    status: os.stat_result
    take: bool
    dumpdir: bytearray


class Leaf(t.NamedTuple):
    """A file or symbolic link to archive: *name* in the open directory *parent*."""

    path: bytes
    parent: int
    name: bytes
    is_link: bool


class _Todo:
    """What to visit in a directory, with little more memory than the names take."""

    FILE, LINK, SAME_DIRECTORY, DIRECTORY = range(4)

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.codes = bytearray()

    def add(self, name: bytes, code: int) -> None:
        self.names.append(name)
        self.codes.append(code)

    def __iter__(self) -> t.Iterator[tuple[bytes, int]]:
        return zip(self.names, self.codes)


class _Level(t.NamedTuple):
    descriptor: int
    todo: t.Iterator[tuple[bytes, int]]
    path: bytes


class Walk:
    """One walk; iterate over :meth:`events` once. ``entries`` and ``size`` count the whole tree as it was seen.

    With a *comparison*, only what changed is to be taken, and every name of a file whose device and inode *relinked*
    holds; *writer* notes the tree for the next one.
    """

    def __init__(
        self,
        roots: t.Sequence[Root],
        *,
        problems: Problems,
        comparison: Comparison | None = None,
        writer: SnapshotWriter | None = None,
        relinked: t.Collection[tuple[int, int]] = frozenset(),
    ) -> None:
        self._roots = sorted(roots, key=lambda root: order_key(root.name))
        self._problems = problems
        self._comparison = comparison
        self._writer = writer
        self._relinked = relinked
        self._start = time.time_ns()
        self.entries = 0
        self.size = 0

    def lost(self, path: bytes, error: OSError) -> None:
        """Note that *path*, an entry that was counted, cannot be archived."""
        self.entries -= 1
        if error.errno in _GONE:
            self._problems.add(VANISHED, path, "it was gone, or something else, when it was to be opened")
        else:
            self.unreadable(path, error)

    def unreadable(self, path: bytes, error: OSError) -> None:
        """Note that *path* could not be read: the next increment tries again."""
        self._problems.add(UNREADABLE, path, error.strerror or str(error))
        if self._writer is not None:
            self._writer.retake(path)

    def events(self) -> t.Generator[Directory | Leaf, None, None]:
        """What to archive, in order. A descriptor is good until the next event."""
        stack: list[_Level] = []
        try:
            for root, code in self._look_at_roots():
                stack.append(_Level(_open_root(root), iter(()), b""))
                yield from self._visit(stack, root, code)
                os.close(stack.pop().descriptor)
            if self._comparison is not None:
                self._comparison.finish()
        finally:
            for level in stack:
                os.close(level.descriptor)

    def _look_at_roots(self) -> list[tuple[Root, int]]:
        seen = self._enter_block(b"")
        found = []
        for root in self._roots:
            descriptor = _open_root(root)
            todo = _Todo()
            try:
                self._look(descriptor, root.leaf, root.name, seen, todo, bytearray())
            finally:
                os.close(descriptor)
            found += [(root, code) for _name, code in todo]
        if seen is not None:
            seen.finish()
        return found

    def _visit(self, stack: list[_Level], root: Root, code: int) -> t.Iterator[Directory | Leaf]:
        """All of a root; *stack* holds the directory that it lies in."""
        if code <= _Todo.LINK:
            yield Leaf(root.name, stack[-1].descriptor, root.leaf, code == _Todo.LINK)
            return
        entered = self._enter(stack, root.leaf, root.name, code == _Todo.DIRECTORY)
        if entered is not None:
            yield entered
        while len(stack) > 1:
            level = stack[-1]
            for name, code in level.todo:
                path = join(level.path, name)
                if code <= _Todo.LINK:
                    yield Leaf(path, level.descriptor, name, code == _Todo.LINK)
                    continue
                entered = self._enter(stack, name, path, code == _Todo.DIRECTORY)
                if entered is not None:
                    yield entered
                    break
            else:
                os.close(stack.pop().descriptor)

    def _enter(self, stack: list[_Level], name: bytes, path: bytes, take: bool) -> Directory | None:
        """Open and look through a directory; None when that cannot be done."""
        try:
            if len(stack) > DEEPEST:
                raise OSError(errno.EMFILE, f"it lies deeper than {DEEPEST} directories")
            descriptor = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=stack[-1].descriptor)
        except OSError as exc:
            self._not_entered(path, exc)
            return None
        todo = _Todo()
        stack.append(_Level(descriptor, iter(todo), path))
        try:
            # By its name, which needs the right to search it: else each entry would be there, and none could be seen.
            status = os.stat(b".", dir_fd=descriptor)
            names = _sorted_names(descriptor)
        except OSError as exc:
            os.close(stack.pop().descriptor)
            self._not_entered(path, exc)
            return None
        seen = self._enter_block(path)
        dumpdir = bytearray()
        for each in names:
            self._look(descriptor, each, each, seen, todo, dumpdir, path)
        if seen is None:
            return Directory(path, descriptor, status, True, dumpdir)
        seen.finish()
        dumpdir += b"\0"
        # Whoever puts a changed file into its place changes the time of the directory, which has to be set again.
        take = take or seen.names_changed or min(todo.codes, default=_Todo.DIRECTORY) <= _Todo.LINK
        return Directory(path, descriptor, status, take, dumpdir)

    def _enter_block(self, path: bytes) -> EntryComparison | None:
        if self._writer is not None:
            self._writer.directory(path)
        return self._comparison.enter(path) if self._comparison is not None else None

    def _not_entered(self, path: bytes, error: OSError) -> None:
        if path == b".":
            raise _root_lost(self._roots[0].directory, error) from error
        if self._comparison is not None:
            self._comparison.not_entered(path)
        self.lost(path, error)

    def _look(
        self,
        parent: int,
        leaf: bytes,
        name: bytes,
        seen: EntryComparison | None,
        todo: _Todo,
        dumpdir: bytearray,
        path: bytes = b"",
    ) -> None:
        """Look at one entry: what it is, whether it changed, what the archive and the snapshot say of it."""
        try:
            status = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            self._problems.add(VANISHED, join(path, name), "it was gone when it was looked at")
            return
        except OSError as exc:
            # There, but nothing more is known: neither it nor what is below it counts as gone.
            self.unreadable(join(path, name), exc)
            if seen is not None and self._comparison is not None:
                seen.step(name, b"")
                was_directory = stat.S_ISDIR(seen.mode_before)
                dumpdir += (_tar.SUBDIRECTORY if was_directory else _tar.NOT_IN_ARCHIVE) + name + b"\0"
                self._comparison.not_entered(join(path, name))
            return
        kind = stat.S_IFMT(status.st_mode)
        if kind in _KINDS:
            self._problems.add(SKIPPED, join(path, name), _KINDS[kind])
            return
        signature = signature_of(status)
        self.entries += 1
        linked = kind == stat.S_IFREG and status.st_nlink > 1
        if kind == stat.S_IFREG:
            self.size += status.st_size
        if self._writer is not None:
            racy = self._is_racy(status.st_ctime_ns)
            self._writer.entry(name, b"%x" % status.st_mode if racy else signature, linked=linked)
        same = seen is not None and seen.step(name, signature)
        if linked and (status.st_dev, status.st_ino) in self._relinked:
            same = False
        letter = _tar.IN_ARCHIVE
        if kind == stat.S_IFDIR:
            letter = _tar.SUBDIRECTORY
            todo.add(name, _Todo.SAME_DIRECTORY if same else _Todo.DIRECTORY)
        elif same:
            letter = _tar.NOT_IN_ARCHIVE
        else:
            todo.add(name, _Todo.LINK if kind == stat.S_IFLNK else _Todo.FILE)
        if seen is not None:
            dumpdir += letter + name + b"\0"

    def _is_racy(self, changed_ns: int) -> bool:
        now = time.time_ns()
        # A time ahead of the clock, left by a clock that was wrong, is no sign of a recent change.
        return min(self._start, now) - RACY_NS <= changed_ns <= now + RACY_NS


def _sorted_names(descriptor: int) -> list[bytes]:
    # In place: a directory may hold more names than there is room for twice.
    names: list[t.Any] = os.listdir(descriptor)
    for position, name in enumerate(names):
        names[position] = os.fsencode(name)
    names.sort()
    return names


def signature_of(status: os.stat_result) -> bytes:
    """What tells that an entry changed. Not its device, whose number may be another after a reboot."""
    return b"%x %x %x %x %x %x %x %x" % (
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
    )


def _open_root(root: Root) -> int:
    """Open the directory of *root*; raises BackupError when the root itself is not there any more."""
    try:
        descriptor = os.open(root.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.stat(root.leaf, dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as exc:
        raise _root_lost(os.path.join(root.directory, root.leaf), exc) from exc
    return descriptor


def _root_lost(path: bytes, error: OSError) -> BackupError:
    return BackupError(
        f"Failed to read {printable(path)}: {error.strerror}. Nothing was kept; see that it is there, and that the "
        "account that takes backups may list it.",
        reason="source_unreadable",
    )


def open_file(leaf: Leaf) -> tuple[int, os.stat_result]:
    """Open a regular file, and nothing else that came into its place; raises OSError."""
    descriptor = os.open(leaf.name, _OPEN, dir_fd=leaf.parent)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.ENOENT, "replaced")
    return descriptor, status


__all__ = ("DEEPEST", "RACY_NS", "Directory", "Leaf", "Root", "Walk", "open_file", "signature_of")

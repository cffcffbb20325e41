# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of one archive put below an open directory that is nobody else's.

What an increment holds is made anew, never written into: the old file may be another name's content too. A directory
gets its attributes when the archive has left it, and one that is only passed keeps its time.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import typing as t

from . import _dirfd, _pipeline
from ._attributes import Attributes, has_default_acl
from ._errors import BackupError
from ._member_names import MemberError, printable
from ._members import Member

_T = t.TypeVar("_T")

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclasses.dataclass
class _Level:
    """A directory that the archive is in. ``status`` is how it was found, ``member`` what it shall be."""

    name: bytes
    descriptor: int
    status: os.stat_result
    inherits: bool
    member: Member | None = None
    changed: bool = False


class Extractor:
    """A sink that puts members below the directory *top* (a descriptor, which stays the caller's).

    *following*: the archive changes what earlier ones put there; else nothing may be there yet. *make_parents*: the
    archive has members whose directories it does not hold.
    """

    def __init__(self, top: int, *, attributes: Attributes, following: bool, make_parents: bool = False) -> None:
        self._attributes = attributes
        self._following = following
        self._make_parents = make_parents
        self._levels = [_level(b"", (os.dup(top), os.fstat(top)))]
        self._last: tuple[bytes, ...] | None = None
        self._file = -1
        self._file_path = b""

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._file >= 0:
            os.close(self._file)
        for level in self._levels:
            os.close(level.descriptor)

    def begin(self, member: Member) -> None:
        with _failing(member):
            self._require_order(member)
            if not member.parts:
                self._make_top(member)
                return
            level = self._enter(member.parts[:-1])
            name = member.parts[-1]
            if member.kind == "directory":
                self._make_directory(level, name, member)
            elif member.kind == "file":
                self._file_path = member.path
                self._file = self._make(level, name, lambda: os.open(name, _CREATE, 0o600, dir_fd=level.descriptor))
            elif member.kind == "symlink":
                self._make(level, name, lambda: os.symlink(member.target, name, dir_fd=level.descriptor))
                self._attributes.apply_to_link(name, member, parent=level.descriptor)
            else:
                self._link(level, name, member)

    def write(self, block: memoryview, offset: int) -> None:
        try:
            while block:
                count = os.pwrite(self._file, block, offset)
                block, offset = block[count:], offset + count
        except OSError as exc:
            raise _failure(exc, printable(self._file_path)) from exc

    def end(self, member: Member) -> None:
        if member.kind != "file":
            return
        with _failing(member):
            os.ftruncate(self._file, member.size)
            self._attributes.apply(self._file, member, inherited=self._levels[-1].inherits)
            os.close(self._file)
            self._file = -1

    def finish(self) -> None:
        """Give the directories that are still open their attributes."""
        while self._levels:
            self._leave()

    def _require_order(self, member: Member) -> None:
        # In a directory that was empty, a second member of a name cannot be made; here it would replace the first.
        if self._following and self._last is not None and member.parts <= self._last:
            raise MemberError(
                f"Failed to accept the member '{printable(member.path)}': it comes after "
                f"'{printable(b'/'.join(self._last))}', so it is there twice or out of order."
            )
        self._last = member.parts

    def _make_top(self, member: Member) -> None:
        if member.kind != "directory":
            raise MemberError(f"Failed to accept the member '.': the top is a {member.kind}.")
        while len(self._levels) > 1:
            self._leave()
        if self._levels[0].member is not None:
            raise MemberError("Failed to accept the member '.': it is there twice.")
        self._open_for(self._levels[0], member)

    def _make_directory(self, level: _Level, name: bytes, member: Member) -> None:
        found = _dirfd.status_of(name, parent=level.descriptor) if self._following else None
        if found is None or not stat.S_ISDIR(found.st_mode):
            self._make(level, name, lambda: os.mkdir(name, 0o700, dir_fd=level.descriptor))
        below = self._push(level, name)
        self._open_for(below, member)

    def _open_for(self, level: _Level, member: Member) -> None:
        level.member = member
        if self._following and member.names is not None:
            _remove_unlisted(level, member.names)

    def _link(self, level: _Level, name: bytes, member: Member) -> None:
        *parents, first = member.target.split(b"/")
        opened: list[int] = []
        try:
            parent = self._levels[0].descriptor
            for each in parents:
                parent, _status = _dirfd.open_directory(each, parent=parent)
                opened.append(parent)
            found = _dirfd.status_of(first, parent=parent)
            if found is None or not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                raise FileNotFoundError
            source = parent
            self._make(
                level,
                name,
                lambda: os.link(first, name, src_dir_fd=source, dst_dir_fd=level.descriptor, follow_symlinks=False),
            )
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise LinkTargetError(member) from exc
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _make(self, level: _Level, name: bytes, create: t.Callable[[], _T]) -> _T:
        level.changed = True
        try:
            return create()
        except FileExistsError:
            if not self._following:
                raise MemberError(
                    f"Failed to accept the member '{printable(b'/'.join((*self._path(), name)))}': it is there twice."
                ) from None
        _dirfd.remove(name, parent=level.descriptor)
        return create()

    def _path(self) -> tuple[bytes, ...]:
        return tuple(level.name for level in self._levels[1:])

    def _enter(self, parents: tuple[bytes, ...]) -> _Level:
        """The level of the directory *parents*; those that the archive has left are closed."""
        depth = 0
        for level, name in zip(self._levels[1:], parents):
            if level.name != name:
                break
            depth += 1
        while len(self._levels) > depth + 1:
            self._leave()
        for name in parents[depth:]:
            level = self._levels[-1]
            try:
                self._push(level, name)
            except FileNotFoundError:
                if not self._make_parents:
                    raise
                os.mkdir(name, 0o755, dir_fd=level.descriptor)
                self._push(level, name)
        return self._levels[-1]

    def _push(self, level: _Level, name: bytes) -> _Level:
        below = _level(name, _dirfd.open_directory(name, parent=level.descriptor, force=True))
        self._levels.append(below)
        return below

    def _leave(self) -> None:
        level = self._levels.pop()
        try:
            if level.member is not None:
                self._attributes.apply(level.descriptor, level.member, inherited=True)
                return
            if level.changed:
                os.utime(level.descriptor, ns=(level.status.st_atime_ns, level.status.st_mtime_ns))
            if _dirfd.is_locked(level.status):
                os.fchmod(level.descriptor, stat.S_IMODE(level.status.st_mode))
        finally:
            os.close(level.descriptor)


class LinkTargetError(MemberError):
    """A hard link comes before what it is another name of, or that is not in the archive."""

    def __init__(self, member: Member) -> None:
        super().__init__(
            f"Failed to accept the member '{printable(member.path)}': it is a hard link to "
            f"'{printable(member.target)}', which is no file that was there before it."
        )
        self.member = member


class _failing:  # noqa: N801 - reads as what it does
    """Turns OSError into what a person can act on, named by the member."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (NotADirectoryError, FileNotFoundError)) or _is_loop(error):
            raise MemberError(
                f"Failed to accept the member '{printable(self._member.path)}': it lies below what is not a directory."
            ) from error
        if isinstance(error, OSError):
            raise _failure(error, printable(self._member.path)) from error


def _is_loop(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ELOOP


def _failure(error: OSError, what: str) -> BackupError:
    full = _pipeline.disk_full(error)
    advice = "Free space on the target's filesystem" if full else "Check the target's filesystem and permissions"
    return BackupError(
        f"Failed to restore {what}: {error.strerror}. Nothing was changed on the target. {advice} and run again.",
        reason="disk_full" if full else "restore_failed",
    )


def _level(name: bytes, opened: tuple[int, os.stat_result]) -> _Level:
    descriptor, status = opened
    return _Level(name=name, descriptor=descriptor, status=status, inherits=has_default_acl(descriptor))


def _remove_unlisted(level: _Level, names: frozenset[bytes]) -> None:
    """Remove what the directory did not hold when it was archived, or held as something else."""
    unlisted = []
    with os.scandir(level.descriptor) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            codes = (b"D",) if entry.is_dir(follow_symlinks=False) else (b"Y", b"N")
            if not any(code + name in names for code in codes):
                unlisted.append(name)
    for name in unlisted:
        _dirfd.remove(name, parent=level.descriptor)
        level.changed = True


__all__ = ("Extractor", "LinkTargetError")

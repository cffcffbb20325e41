# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some files of a tree: which members they take, and whether they were there.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from . import _dirfd
from ._errors import BackupError
from ._member_names import MemberError, printable, split_path

Parts = tuple[bytes, ...]


class Selection:
    """The *paths* below the top that are wanted. Whatever lies on the way to one of them is taken along."""

    def __init__(self, paths: t.Sequence[str], *, absolute: bool) -> None:
        wanted = sorted({_split(path, absolute=absolute) for path in paths})
        self.wanted = [each for each in wanted if not any(_below(each, other) for other in wanted if other != each)]
        self._needed: set[Parts] = set()
        self._asked: set[Parts] = set()
        self.last_seen: dict[Parts, str] = {}
        self.missing: list[Parts] = []

    def takes(self, parts: Parts) -> bool:
        return any(_below(parts, each) or _below(each, parts) for each in (*self.wanted, *self._needed))

    def needs(self, parts: Parts) -> bool:
        """Note what a wanted hard link is another name of; False when that was taken, and is not there all the same."""
        if parts in self._needed or any(_below(parts, each) for each in self.wanted):
            return False
        self._asked.add(parts)
        return True

    def grow(self) -> bool:
        """True when something more turned out to be needed: all has to be read again."""
        self._needed |= self._asked
        grown = bool(self._asked)
        self._asked = set()
        return grown

    def unwanted(self) -> list[Parts]:
        """What was taken only for a hard link's content."""
        return [each for each in sorted(self._needed) if not any(_below(each, other) for other in self.wanted)]

    def look(self, top: int, *, when: str) -> None:
        """Note which of the wanted exist below *top* in the state of that time."""
        self.missing = []
        for each in self.wanted:
            if exists(top, each):
                self.last_seen[each] = when
            else:
                self.missing.append(each)

    def require_all(self) -> None:
        """Raise BackupError that says when each missing path was there last."""
        if not self.missing:
            return
        parts = [
            f"{printable(b'/'.join(each))} (there last at {self.last_seen[each]})"
            if each in self.last_seen
            else f"{printable(b'/'.join(each))} (in none of the artifacts of this chain)"
            for each in self.missing
        ]
        raise BackupError(
            f"Failed to restore {'; '.join(parts)}: not there at the chosen time. Nothing was changed on the target. "
            "Give an earlier time as to, or another path.",
            reason="path_not_found",
            facts={"paths": [printable(b"/".join(each)) for each in self.missing]},
        )


def exists(top: int, parts: Parts) -> bool:
    """True when *parts* is there below *top*, without following a link on the way."""
    descriptors = []
    try:
        parent = top
        for each in parts[:-1]:
            parent, _status = _dirfd.open_directory(each, parent=parent)
            descriptors.append(parent)
        return _dirfd.status_of(parts[-1], parent=parent) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _split(path: str, *, absolute: bool) -> Parts:
    raw = os.fsencode(path)
    try:
        parts = split_path(raw.lstrip(b"/") if absolute else raw, directory=True)
    except MemberError as exc:
        raise BackupError(
            f"Failed to use the path {path!r}: it must be plain, "
            f"{'as it was on the branch' if absolute else 'below the directory of the uploads'}, without '..'.",
            reason="bad_path",
        ) from exc
    if not parts:
        raise BackupError(
            "Failed to use the path '.': it means everything. Leave paths away to restore everything.",
            reason="bad_path",
        )
    return parts


def _below(parts: Parts, other: Parts) -> bool:
    """True when *parts* is *other*, or below it."""
    return parts[: len(other)] == other


__all__ = ("Parts", "Selection", "exists")

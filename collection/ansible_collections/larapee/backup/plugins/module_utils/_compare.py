# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree as it is, joined with its snapshot: both come in one order, so that neither is held.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from ._snapshot import Snapshot, order_key


class Comparison:
    """Told of every directory and entry in the order of the walk; tells what changed, and *gone* what is no more."""

    def __init__(self, snapshot: Snapshot, *, gone: t.Callable[[bytes], None]) -> None:
        self._words = snapshot.words()
        self._retaken = snapshot.retaken
        self._gone = gone
        self._next = next(self._words, None)
        self._unread = b""

    def not_entered(self, path: bytes) -> None:
        """*path* is there, but what is in it cannot be told: nothing below it counts as gone."""
        self._unread = path

    def enter(self, path: bytes) -> EntryComparison:
        self._pass_until(order_key(path), path)
        present = self._next == b"/" + path
        if present:
            self._next = next(self._words, None)
        return EntryComparison(self._entries() if present else iter(()), path, retaken=self._retaken, gone=self._gone)

    def finish(self) -> None:
        """Nothing follows: the rest of the snapshot is gone."""
        while self._next is not None:
            self._skip_directory()

    def _pass_until(self, key: bytes, path: bytes) -> None:
        while self._next is not None and self._next[1:] != path and order_key(self._next[1:]) < key:
            self._skip_directory()

    def _skip_directory(self) -> None:
        path = t.cast(bytes, self._next)[1:]
        self._next = next(self._words, None)
        known = self._unread and (path == self._unread or path.startswith(self._unread + b"/"))
        for name, _signature in self._entries():
            if not known:
                self._gone(join(path, name))

    def _entries(self) -> t.Iterator[tuple[bytes, bytes]]:
        """Names and signatures up to the next directory."""
        while self._next is not None and not self._next.startswith(b"/"):
            name, signature = self._next, next(self._words, b"")
            self._next = next(self._words, None)
            yield name, signature


class EntryComparison:
    """The entries of one directory, told in order; ``names_changed`` when one is new or gone."""

    def __init__(
        self,
        entries: t.Iterator[tuple[bytes, bytes]],
        path: bytes,
        *,
        retaken: t.Collection[bytes],
        gone: t.Callable[[bytes], None],
    ) -> None:
        self._entries = entries
        self._path = path
        self._retaken = retaken
        self._gone = gone
        self._name: bytes | None
        self._name, self._signature = next(entries, (None, b""))
        self.names_changed = False
        self._before = b""

    @property
    def mode_before(self) -> int:
        """The mode that the last one told of had before; 0 when it is new."""
        return int(self._before.partition(b" ")[0] or b"0", 16)

    def step(self, name: bytes, signature: bytes) -> bool:
        """True when *name* is as it was before."""
        if name != self._name:
            # Roots are paths, in the order of paths.
            key = name.replace(b"/", b"\0")
            while self._name is not None and self._name.replace(b"/", b"\0") < key:
                self._lose()
            if name != self._name:
                self.names_changed = True
                self._before = b""
                return False
        self._before = self._signature
        self._name, self._signature = next(self._entries, (None, b""))
        if self._before != signature:
            return False
        return not self._retaken or join(self._path, name) not in self._retaken

    def finish(self) -> None:
        """No entry follows."""
        while self._name is not None:
            self._lose()

    def _lose(self) -> None:
        self.names_changed = True
        self._gone(join(self._path, t.cast(bytes, self._name)))
        self._name, self._signature = next(self._entries, (None, b""))


def join(path: bytes, name: bytes) -> bytes:
    """The path in the archive of *name* in the directory *path*."""
    return name if path in (b"", b".") else path + b"/" + name


__all__ = ("Comparison", "EntryComparison", "join")

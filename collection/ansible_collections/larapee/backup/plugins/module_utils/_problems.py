# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What could not be archived as it was, by path: all of it in the companion, the first of each kind for messages.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

CHANGED: t.Final = "changed"
VANISHED: t.Final = "vanished"
UNREADABLE: t.Final = "unreadable"
SKIPPED: t.Final = "skipped"
KINDS: t.Final = (CHANGED, VANISHED, UNREADABLE, SKIPPED)
NAMED: t.Final = 20


class Problems:
    """``counts`` by kind; ``named`` the first paths of each, with the reason; *record* is told of every one."""

    def __init__(self, record: t.Callable[[bytes, str, str], None] | None = None) -> None:
        self._record = record
        self.counts = dict.fromkeys(KINDS, 0)
        self.named: dict[str, list[str]] = {kind: [] for kind in KINDS}

    def add(self, kind: str, path: bytes, why: str) -> None:
        self.counts[kind] += 1
        if len(self.named[kind]) < NAMED:
            self.named[kind].append(f"{printable(path)} ({why})")
        if self._record is not None:
            self._record(path, kind, why)

    def warnings(self) -> list[str]:
        """One line for each kind that is not a failure of its own."""
        lines = []
        for kind, says in (
            (CHANGED, "changed while they were read, and are taken again by the next increment"),
            (VANISHED, "vanished while the tree was read"),
            (SKIPPED, "are neither files, directories nor links, and are not archived"),
        ):
            if self.counts[kind]:
                lines.append(f"{self.counts[kind]} {says}: {self.listed(kind)}.")
        return lines

    def listed(self, kind: str) -> str:
        more = self.counts[kind] - len(self.named[kind])
        return ", ".join(self.named[kind]) + (f" and {more} more" if more else "")


def printable(path: bytes) -> str:
    """*path* for a message: one line, also when its bytes are no text."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


__all__ = ("CHANGED", "KINDS", "NAMED", "SKIPPED", "UNREADABLE", "VANISHED", "Problems", "printable")

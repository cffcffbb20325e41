# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taps that hash, count and keep the ends of a stream.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib

from ._pipeline import Tap


class Digest:
    """SHA-256 and size of what passed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def feed(self, block: memoryview) -> None:
        self._hash.update(block)
        self.size += len(block)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class Ends:
    """The first and last bytes of what passed (64 KiB and 4 KiB)."""

    HEAD = 64 * 1024
    TAIL = 4 * 1024

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""

    def feed(self, block: memoryview) -> None:
        if len(self.head) < self.HEAD:
            self.head += bytes(block[: self.HEAD - len(self.head)])
        self.tail = (self.tail + bytes(block[-self.TAIL :]))[-self.TAIL :]


class Both:
    """Shows each block to two taps in one stage: a stage of its own costs a pipe and a thread."""

    def __init__(self, first: Tap, second: Tap) -> None:
        self._taps = (first, second)

    def feed(self, block: memoryview) -> None:
        for tap in self._taps:
            tap.feed(block)


__all__ = ("Both", "Digest", "Ends")

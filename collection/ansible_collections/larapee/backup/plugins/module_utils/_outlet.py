# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes of many members gathered into large blocks, hashed, and written to a pipe.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from ._digest import Digest

# Fits the processor's cache together with what the next stage works on.
_BLOCK: t.Final = 256 * 1024


class Outlet:
    """``digest`` has seen all that was put here, in order, once it is flushed."""

    # What can be asked for by :meth:`room` at once.
    LARGEST: t.Final = 1280 * 1024

    def __init__(self, descriptor: int, digest: Digest) -> None:
        self._descriptor = descriptor
        self.digest = digest
        self._whole = memoryview(bytearray(self.LARGEST + _BLOCK))
        self._filled = 0

    def put(self, raw: bytes) -> None:
        if len(raw) > len(self._whole):
            self.flush()
            self._write(memoryview(raw))
            return
        if self._filled + len(raw) > len(self._whole):
            self.flush()
        self._whole[self._filled : self._filled + len(raw)] = raw
        self._filled += len(raw)

    def room(self, size: int) -> memoryview:
        """*size* bytes (LARGEST at most) to be filled; they count when :meth:`took` says so."""
        if self._filled + size > len(self._whole):
            self.flush()
        return self._whole[self._filled : self._filled + size]

    def took(self, size: int) -> None:
        self._filled += size
        if self._filled >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        block, self._filled = self._whole[: self._filled], 0
        if block:
            self._write(block)

    @property
    def position(self) -> int:
        """The number of bytes that were put here."""
        return self.digest.size + self._filled

    def _write(self, block: memoryview) -> None:
        self.digest.feed(block)
        while block:
            block = block[os.write(self._descriptor, block) :]


__all__ = ("Outlet",)

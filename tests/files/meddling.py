# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else at work in the uploads, at exactly the worst moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def after_read(monkeypatch: pytest.MonkeyPatch, path: Path, act: Callable[[], object], *, times: int = 1) -> None:
    """Call *act* after each of the first *times* reads of the file *path*."""
    _after(monkeypatch, "readv", os.fsencode(path), act, times)


def after_listing(monkeypatch: pytest.MonkeyPatch, path: Path, act: Callable[[], object]) -> None:
    """Call *act* when the names in the directory *path* were read, and nothing else of them."""
    _after(monkeypatch, "listdir", os.fsencode(path), act, 1)


def unreadable_sector(monkeypatch: pytest.MonkeyPatch, path: Path, *, after: int = 0) -> None:
    """Reads of *path* fail as those of a broken disk, from read number *after* on."""
    real, seen = os.readv, [0]

    def readv(descriptor: int, buffers: Any) -> int:
        if _path(descriptor) == os.fsencode(path):
            seen[0] += 1
            if seen[0] > after:
                raise OSError(5, "Input/output error")
        return real(descriptor, buffers)

    monkeypatch.setattr(os, "readv", readv)


def _after(monkeypatch: pytest.MonkeyPatch, call: str, path: bytes, act: Callable[[], object], times: int) -> None:
    real = getattr(os, call)
    left = [times]

    def wrapped(descriptor: int, *arguments: Any) -> Any:
        result = real(descriptor, *arguments)
        if left[0] and isinstance(descriptor, int) and _path(descriptor) == path:
            left[0] -= 1
            act()
        return result

    monkeypatch.setattr(os, call, wrapped)


def _path(descriptor: int) -> bytes:
    return os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}"))

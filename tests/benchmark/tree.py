# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads of a given size, the same for the same seed: photos, which do not compress, documents and tables."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MB = 1_000_000
KIB = 1024
CHANGED_SHARE = 0.01
# A file that changed in the two seconds before a full is taken again by the increment after it, in case it still does.
SETTLED_S = 3.0
# A photo is as good as random; of a document, so much is compressed inside.
PACKED_SHARE = 0.75
_WORDS = (
    "factura",
    "cliente",
    "fecha",
    "total",
    "pago",
    "recibo",
    "sucursal",
    "firma",
    "garantía",
    "entrega",
    "cantidad",
)


def _rng(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - uploads, not secrets; the seed must give the same tree again


def _photo(rng: random.Random) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + rng.randbytes(rng.randint(100 * KIB, 300 * KIB))


def _document(rng: random.Random) -> bytes:
    parts = [b"%PDF-1.7\n"]
    for number in range(rng.randint(4, 24)):
        stream = rng.randbytes(rng.randint(2 * KIB, 10 * KIB))
        text = " ".join(rng.choices(_WORDS, k=int(len(stream) * (1 / PACKED_SHARE - 1) / 8)))
        parts += [
            f"{number} 0 obj <</Length {len(stream)}>> ({text}) stream\n".encode(),
            stream,
            b"\nendstream endobj\n",
        ]
    return b"".join(parts)


def _table(rng: random.Random) -> bytes:
    rows = ["date;number;product;quantity;price;reference\n"]
    for _row in range(rng.randint(500, 8000)):
        rows.append(
            f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02};B{rng.randrange(10**8):08};"
            f"SKU-{rng.randrange(4000):06};{rng.randint(1, 9)};{rng.randrange(45, 5000) / 100:.2f};"
            f"{rng.choice(_WORDS)}\n"
        )
    return "".join(rows).encode()


# Directory, ending, share of the bytes, maker.
_KINDS: tuple[tuple[str, str, float, Callable[[random.Random], bytes]], ...] = (
    ("products", "jpg", 0.80, _photo),
    ("invoices", "pdf", 0.12, _document),
    ("exports", "csv", 0.08, _table),
)


class Tree:
    """The directory of uploads; ``bytes`` is what its files hold."""

    def __init__(self, path: Path, *, megabytes: int, seed: int) -> None:
        self.path = path
        self._seed = seed
        self._files: list[tuple[Path, Callable[[random.Random], bytes]]] = []
        rng = _rng(f"{seed} uploads")
        self.bytes = 0
        for directory, ending, share, make in _KINDS:
            written = 0
            while written < megabytes * MB * share:
                number = len(self._files)
                file = path / directory / f"{number % 64:02}" / f"{rng.getrandbits(64):016x}.{ending}"
                file.parent.mkdir(parents=True, exist_ok=True)
                written += file.write_bytes(make(rng))
                self._files.append((file, make))
            self.bytes += written
        self._written_at = time.monotonic()

    @property
    def entries(self) -> int:
        return len(self._files)

    def change(self, number: int) -> None:
        """Give one file in a hundred new content, in round *number*."""
        rng = _rng(f"{self._seed} round {number}")
        for file, make in rng.sample(self._files, k=max(1, round(len(self._files) * CHANGED_SHARE))):
            file.write_bytes(make(rng))
        self._written_at = time.monotonic()

    def settle(self) -> None:
        """Wait until nothing has changed for a while, as in a shop that has closed."""
        time.sleep(max(0.0, self._written_at + SETTLED_S - time.monotonic()))


__all__ = ("CHANGED_SHARE", "Tree")

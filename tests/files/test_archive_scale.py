# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""200,000 small files, and one file larger than all memory that may be used."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.shop_files import ShopFiles

FILES = 200_000
MANY = 150_000
# Of one process of ours: any size of a tree, of a directory, of a file.
LIMIT_KIB = 64 * 1024


def fill(uploads: Path) -> None:
    """Most of them in one directory, the others in fifty."""
    for number in range(FILES):
        directory = uploads / ("all" if number < MANY else f"{number // 1000:03d}")
        if number in (0, MANY) or (number > MANY and number % 1000 == 0):
            directory.mkdir()
        descriptor = os.open(f"{directory}/receipt-{number:06d}.txt", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(descriptor, b"%d\n" % number)
        os.close(descriptor)


def test_200_000_small_files(shop: ShopFiles) -> None:
    fill(shop.uploads)
    full = shop.run()
    assert full["counts"] == {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0}
    assert full["kib"] <= LIMIT_KIB
    manifest = next(path for path in shop.local.iterdir() if path.name.endswith(".manifest.json"))
    assert f'"entries": {FILES + 52}' in manifest.read_text()
    time.sleep(2.1)  # what was written last may be taken again until then
    shop.run(increment=True)
    (shop.uploads / "all" / "new").write_bytes(b"x")
    start = time.monotonic()
    increment = shop.run(increment=True)
    seconds = time.monotonic() - start
    assert increment["artifact"] is not None
    assert increment["kib"] <= LIMIT_KIB
    # Generous: a scan takes a second on a machine with nothing else to do.
    assert seconds < 30
    assert shop.paths(increment["artifact"]) == [b"all", b"all/new"]


def test_a_file_larger_than_memory(shop: ShopFiles) -> None:
    path = shop.uploads / "video"
    with open(path, "wb") as handle:
        for _part in range(300):
            handle.write(os.urandom(1024 * 1024))
    said = shop.run()
    assert said["kib"] <= LIMIT_KIB
    assert shop.index(said["artifact"])[1]["size"] == path.stat().st_size

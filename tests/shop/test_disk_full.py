# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No room for a shop's restore is found before it is closed; what fills later leaves all as it was, and it goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.shop.shop import Shop

PHOTOGRAPH = os.urandom(700_000)
LEFT = 100_000


@pytest.fixture
def small_disk(shop: Shop) -> Iterator[Path]:
    """The filesystem that the uploads lie on, with room for them twice."""
    place = shop.lab.public.parent
    aside = place.with_name("moved")
    place.rename(aside)
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], check=True)
    try:
        shutil.copytree(aside, place, dirs_exist_ok=True, symlinks=True)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def server_disk(tmp_path: Path) -> Iterator[Path]:
    """The filesystem of the database's server. Asked for before the shop, which begins there."""
    place = tmp_path / "server"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    status = os.statvfs(place)
    filler.write_bytes(bytes(status.f_bavail * status.f_frsize - LEFT))
    return filler


@pytest.fixture
def sold(shop: Shop, small_disk: Path, slip: bytes) -> tuple[list[str], dict[str, bytes]]:
    """What a restore brings back: receipts and uploads."""
    (shop.lab.public / "photograph").write_bytes(PHOTOGRAPH)
    shop.sell(2, slip=slip)
    shop.back_up("full")
    found = shop.invoices(), shop.uploads()
    shop.sell(1)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_disk_without_room_is_found_before_the_shop_is_closed(
    shop: Shop, small_disk: Path, sold: tuple[list[str], dict[str, bytes]]
) -> None:
    fill(small_disk)
    code, started = shop.restore()
    assert code != 0
    assert "Free space on that filesystem" in started.words
    row = shop.branch.rows()[0]
    assert (row.status, row.details["reason"]) == ("failed", "disk_full")
    assert shop.steps() == {}
    assert shop.worker_runs
    assert not shop.latched
    assert shop.invoices()[:2] == sold[0]
    assert len(shop.invoices()) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_disk_that_fills_while_the_shop_is_restored(
    shop: Shop, small_disk: Path, sold: tuple[list[str], dict[str, bytes]]
) -> None:
    promised, files = sold
    started = shop.start_restore()
    shop.wait_for_step("database", started)
    filler = fill(small_disk)
    assert started.wait() != 0
    row = shop.branch.rows()[0]
    assert (row.status, row.details["reason"]) == ("failed", "disk_full"), row
    assert (shop.steps()["database"], shop.steps()["files"]) == ("OK", "FAILED")
    # The uploads are where they were, and nobody sells on what is half restored.
    assert shop.uploads() == files
    assert [path.name for path in small_disk.iterdir() if "restore" in path.name] == []
    assert shop.latched
    assert not shop.worker_runs

    filler.unlink()
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() == promised
    assert shop.uploads() == files
    assert shop.worker_runs
    assert not shop.latched


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_disk_of_the_database_fills_while_it_is_restored(server_disk: Path, shop: Shop) -> None:
    shop.sell(2)
    shop.back_up("full")
    promised = shop.invoices()
    before = [*promised, *shop.sell(1)]
    started = shop.start_restore()
    shop.wait_for_step("stop", started)
    filler = fill(server_disk)
    assert started.wait() != 0
    row = shop.branch.rows()[0]
    assert row.status == "failed"
    assert re.search(r"No more room|No space left|is full", str(row.error)), row.error
    assert shop.steps() == {"stop": "OK", "database": "FAILED"}
    assert shop.latched
    assert not shop.worker_runs

    filler.unlink()
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() == promised
    assert shop.worker_runs
    # Not a row of what stood there before was lost by a step that failed half-way.
    code, started = shop.restore(playbook="larapee.backup.restore_rollback")
    assert code == 0, started.output
    assert shop.invoices() == before

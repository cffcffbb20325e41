# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk at each stage: a small tmpfs, and every amount of free space between nothing and enough."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.estate import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.database.estate import Estate

PAGE = 4096


@pytest.fixture
def small_disk(estate: Estate) -> Iterator[Estate]:
    estate.local.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", str(estate.local)], check=True)
    try:
        yield estate
    finally:
        subprocess.run(["umount", str(estate.local)], check=True)


def test_the_reserve_is_checked_before_anything_is_written(small_disk: Estate) -> None:
    with pytest.raises(BackupError, match=r"\d+ bytes are free, \d+ are needed") as caught:
        small_disk.dump()
    assert caught.value.reason == "disk_full"
    assert small_disk.files() == set()


def test_the_size_of_the_last_full_is_checked(small_disk: Estate) -> None:
    small_disk.dump(reserve_bytes=0)
    before = small_disk.files()
    filler = small_disk.local / "filler"
    filler.write_bytes(b"x" * (free_bytes(small_disk) - PAGE))
    with pytest.raises(BackupError, match="the expected size and the reserve") as caught:
        small_disk.dump(reserve_bytes=0)
    assert caught.value.reason == "disk_full"
    assert small_disk.files() == before | {"filler"}


def test_the_disk_fills_while_the_dump_is_written(small_disk: Estate) -> None:
    fill = "INSERT INTO orders (slip) SELECT RANDOM_BYTES(1000) FROM seq_1_to_2000"
    sql(small_disk.source, fill, database="larapos")
    with pytest.raises(BackupError, match="No space left on device|bytes are free") as caught:
        small_disk.dump(reserve_bytes=0)
    assert caught.value.reason == "disk_full"
    assert small_disk.files() == set()


def test_at_every_amount_of_free_space_there_is_a_complete_pair_or_nothing(small_disk: Estate) -> None:
    filler = small_disk.local / "filler"
    whole = free_bytes(small_disk)
    outcomes = set()
    for pages in range(9):
        filler.write_bytes(b"x" * (whole - pages * PAGE))
        try:
            outcome = small_disk.dump(reserve_bytes=0)
        except BackupError:
            assert small_disk.files() == {"filler"}, f"with {pages} pages free"
            outcomes.add("nothing")
            continue
        assert outcome.manifest is not None
        filler.unlink()
        assert small_disk.verify(identity=small_disk.keys.identity).failures == []
        outcomes.add("complete")
        for path in small_disk.local.iterdir():
            path.unlink()
        subprocess.run(["rm", "-r", str(small_disk.state)], check=True)
    assert outcomes == {"nothing", "complete"}


def free_bytes(estate: Estate) -> int:
    import os

    status = os.statvfs(estate.local)
    return status.f_bavail * status.f_frsize

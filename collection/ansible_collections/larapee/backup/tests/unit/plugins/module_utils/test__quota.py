# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _io, _quota
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

MEBIBYTE = 1024 * 1024
BLOCK = memoryview(bytes(MEBIBYTE))


def allowance(directory: Path, *, quota: int = 0, reserve: int = 0) -> _quota.Allowance:
    return _quota.Allowance(str(directory), quota_bytes=quota, reserve_bytes=reserve)


def sparse(path: Path, size: int) -> None:
    with open(path, "wb") as handle:
        handle.truncate(size)


def write(path: Path, given: _quota.Allowance, *, blocks: int = 100, block: memoryview = BLOCK) -> None:
    """As a pipeline does: shown first, then written."""
    with open(path, "wb", buffering=0) as part:
        for _number in range(blocks):
            given.feed(block)
            part.write(block)


def refused(given: _quota.Allowance, expected: int) -> BackupError:
    with pytest.raises(BackupError) as caught:
        given.require(expected, what="dump into the place")
    return caught.value


def test_every_file_counts_against_the_quota_also_hidden_and_foreign_ones(tmp_path: Path) -> None:
    for name in ("db-20261122-1432.sql.gz", ".hidden.part", "notes"):
        sparse(tmp_path / name, 1000)
    allowance(tmp_path, quota=4000).require(1000, what="dump")
    error = refused(allowance(tmp_path, quota=3999), 1000)
    assert error.reason == "quota_reached"
    assert "Failed to dump into the place: " in str(error)
    assert "holds 3000 bytes, about 1000 are to come, and its quota is 3999" in str(error)


def test_a_links_target_does_not_count(tmp_path: Path) -> None:
    sparse(tmp_path / "elsewhere", 10 * MEBIBYTE)
    place = tmp_path / "local"
    place.mkdir()
    (place / "link").symlink_to(tmp_path / "elsewhere")
    allowance(place, quota=MEBIBYTE).require(1000, what="dump")


def test_without_a_quota_only_the_disk_limits(tmp_path: Path) -> None:
    sparse(tmp_path / "large", 2**40)
    allowance(tmp_path).require(0, what="dump")


def test_the_reserve_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_io, "free_bytes", lambda _path: 5000)
    allowance(tmp_path, reserve=4000).require(1000, what="dump")
    error = refused(allowance(tmp_path, reserve=4001), 1000)
    assert error.reason == "disk_full"
    assert "5000 bytes are free, 5001 are needed by the expected size and the reserve" in str(error)


def test_a_place_that_is_not_made_yet_is_on_the_disk_of_what_is_above_it(tmp_path: Path) -> None:
    allowance(tmp_path / "not" / "made", quota=1000).require(1000, what="dump")
    assert refused(allowance(tmp_path / "not" / "made", reserve=2**62), 0).reason == "disk_full"


def test_while_bytes_pass_the_quota_is_never_exceeded(tmp_path: Path) -> None:
    part = tmp_path / "part"
    with pytest.raises(BackupError, match="Failed to go on writing") as caught:
        write(part, allowance(tmp_path, quota=20 * MEBIBYTE))
    assert caught.value.reason == "quota_reached"
    assert part.stat().st_size == 20 * MEBIBYTE


def test_a_short_stream_stops_where_the_quota_is(tmp_path: Path) -> None:
    sparse(tmp_path / "db-20261122-1432.sql.gz", 20 * MEBIBYTE - 100_000)
    given = allowance(tmp_path, quota=20 * MEBIBYTE)
    with pytest.raises(BackupError) as caught:
        write(tmp_path / "part", given, blocks=1200, block=BLOCK[:10_000])
    assert caught.value.reason == "quota_reached"
    assert (tmp_path / "part").stat().st_size == 100_000


def test_a_short_stream_leaves_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "part"
    monkeypatch.setattr(_io, "free_bytes", lambda _path: 60 * MEBIBYTE - part.stat().st_size)
    with pytest.raises(BackupError) as caught:
        write(part, allowance(tmp_path, reserve=50 * MEBIBYTE, quota=40 * MEBIBYTE), blocks=12)
    assert caught.value.reason == "disk_full"
    assert part.stat().st_size == 10 * MEBIBYTE


def test_the_place_is_looked_at_seldom_while_much_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(_io, "free_bytes", lambda path: looks.append(path) or 2**40)
    write(tmp_path / "part", allowance(tmp_path, quota=2**40), blocks=64)
    assert len(looks) == 4


def test_while_bytes_pass_the_reserve_ends_the_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [100 * MEBIBYTE]
    monkeypatch.setattr(_io, "free_bytes", lambda _path: free[0])
    given = allowance(tmp_path, reserve=50 * MEBIBYTE)
    write(tmp_path / "part", given, blocks=40)
    free[0] = 49 * MEBIBYTE
    with pytest.raises(BackupError) as caught:
        write(tmp_path / "part", given, blocks=16)
    assert caught.value.reason == "disk_full"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from ansible_collections.larapee.backup.plugins.module_utils._binlog import _container, _walker
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._log_check import LogCheck
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.binlog_files import LogFile
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import manifest_document

NAME = "db-20261122-1432.binlog.zst"
NAMES = ["mysql-bin.000007", "mysql-bin.000008", "mysql-bin.000009"]


def three_files() -> list[bytes]:
    """A day that ends with a crash: the last event is not whole."""
    first = LogFile().listed([(0, 1, 4)]).transaction(number=5).transaction(number=6).rotate(NAMES[1])
    idle = LogFile().listed([(0, 1, 6)]).rotate(NAMES[2])
    last = LogFile(started=True).listed([(0, 1, 6)])
    last.definition("ALTER TABLE t ADD x INT", number=7).transaction(number=8)
    return [bytes(first.raw), bytes(idle.raw), bytes(last.raw) + b"torn"]


def container(files: list[bytes], directory: Path, *, names: list[str] | None = None) -> bytes:
    pairs, found = [], bytearray()
    for name, content in zip(names or NAMES, files):
        (directory / name).write_bytes(content)
        pairs.append((name, str(directory / name)))
    _container.write_container(pairs, found.extend)
    return bytes(found)


def described(files: list[bytes], *, changes: dict[str, Any] | None = None, **of_first: Any) -> _manifest.Manifest:
    """The manifest of these files, as a sealing run would write it."""
    walked = []
    for content in files:
        walker = _walker.Walker("mariadb")
        walker.feed(content)
        walked.append(walker.facts())
    each_file = [
        {
            "name": name,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "identity": facts.identity,
            "end": "crash" if facts.end == "open" else facts.end,
        }
        for name, content, facts in zip(NAMES, files, walked)
    ]
    each_file[0].update(of_first)
    time = "2026-11-22T14:32:00Z"
    fields = {
        "files": each_file,
        "start": {"file": NAMES[0], "position": 4, "gtid": str(walked[0].before), "time": time},
        "end": {"file": NAMES[2], "position": len(files[2]), "gtid": str(walked[-1].after), "time": time},
        "transactions": sum(facts.groups for facts in walked),
        "definitions": sum(facts.definitions for facts in walked),
        "largest_event": max(facts.largest_event for facts in walked),
        "time_went_back": False,
        **(changes or {}),
    }
    return _manifest.check_manifest(manifest_document(NAME, **fields))


def check(manifest: _manifest.Manifest, plain: bytes, *, block: int = 700) -> None:
    log_check = LogCheck(manifest)
    for start in range(0, len(plain), block):
        log_check.feed(memoryview(plain)[start : start + block])
    log_check.finish()


def refused(manifest: _manifest.Manifest, plain: bytes) -> str:
    with pytest.raises(BackupError) as caught:
        check(manifest, plain)
    assert caught.value.reason == "log_mismatch"
    return str(caught.value)


@pytest.mark.parametrize("block", [1, 700, 10**6])
def test_files_that_are_what_the_manifest_says_pass(tmp_path: Path, block: int) -> None:
    files = three_files()
    check(described(files), container(files, tmp_path), block=block)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"transactions": 3}, "transactions is 4, its manifest says 3"),
        ({"definitions": 0}, "definitions is 1"),
        ({"largest_event": 1}, "largest_event is"),
        (
            {"start": {"file": NAMES[0], "position": 4, "gtid": "0-1-3", "time": "2026-11-22T14:32:00Z"}},
            "its start is GTID 0-1-4",
        ),
        (
            {"end": {"file": NAMES[2], "position": 9, "gtid": "0-1-9", "time": "2026-11-22T14:32:00Z"}},
            "its end is GTID 0-1-8",
        ),
    ],
    ids=["transactions", "definitions", "largest", "start", "end"],
)
def test_a_count_or_state_that_differs_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    files = three_files()
    assert why in refused(described(files, changes=changes), container(files, tmp_path))


@pytest.mark.parametrize(
    ("of_first", "why"),
    [
        ({"sha256": "0" * 64}, f"{NAMES[0]}: its SHA-256 is not that of the manifest"),
        ({"identity": "0" * 64}, f"{NAMES[0]}: it is of another life of the server"),
        ({"size": 5}, "which its manifest does not name there"),
        ({"end": "stop"}, f"{NAMES[0]}: its last event is not the one"),
        ({"end": "crash"}, f"{NAMES[0]}: its last event is not the one"),
    ],
    ids=["sha256", "identity", "size", "stop", "crash"],
)
def test_a_file_that_is_not_the_one_described_is_refused(tmp_path: Path, of_first: dict[str, Any], why: str) -> None:
    files = three_files()
    assert why in refused(described(files, **of_first), container(files, tmp_path))


def test_a_file_too_few_or_too_many_is_refused(tmp_path: Path) -> None:
    files = three_files()
    assert "it holds 2 files, its manifest names 3" in refused(described(files), container(files[:2], tmp_path))
    whole = described(files)
    fewer = _manifest.check_manifest(
        {**whole.document, "files": whole.document["files"][:2], "end": {**whole.document["end"], "file": NAMES[1]}}
    )
    assert f"it holds {NAMES[2]}" in refused(fewer, container(files, tmp_path))


def test_files_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    first, idle, last = three_files()
    skipped = bytes(LogFile().listed([(0, 1, 7)]).rotate(NAMES[2]).raw)
    assert f"{NAMES[1]}: it begins at GTID 0-1-7" in refused(
        described([first, skipped, last]), container([first, skipped, last], tmp_path)
    )
    astray = bytes(LogFile().listed([(0, 1, 6)]).rotate("mysql-bin.000010").raw)
    assert f"{NAMES[1]}: it leads to mysql-bin.000010" in refused(
        described([first, astray, last]), container([first, astray, last], tmp_path)
    )


def test_damage_that_the_sum_of_the_manifest_does_not_tell_is_found_by_the_walk(tmp_path: Path) -> None:
    files = three_files()
    flipped = bytearray(files[0])
    flipped[-60] ^= 1
    damaged = [bytes(flipped), *files[1:]]
    said = described(files, sha256=hashlib.sha256(flipped).hexdigest())
    assert f"{NAMES[0]}: the checksum of the event" in refused(said, container(damaged, tmp_path))


def test_only_a_crash_may_leave_an_event_that_is_not_whole(tmp_path: Path) -> None:
    files = three_files()
    manifest = described(files)
    manifest.document["files"][2]["end"] = "rotate"
    assert f"{NAMES[2]}: it is cut off" in refused(manifest, container(files, tmp_path))


def test_times_that_go_back_must_be_told(tmp_path: Path) -> None:
    back = LogFile().listed([(0, 1, 4)]).transaction(number=5).transaction(number=6, at=5).rotate(NAMES[1])
    files = [bytes(back.raw), *three_files()[1:]]
    assert "its times go back" in refused(described(files), container(files, tmp_path))
    check(described(files, changes={"time_went_back": True}), container(files, tmp_path))


def test_a_container_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    files = three_files()
    assert "cut off" in refused(described(files), container(files, tmp_path)[:-600])


def test_a_gigabyte_of_events_would_need_no_more_memory_than_a_little(tmp_path: Path) -> None:
    log = LogFile().listed([(0, 1, 4)])
    for number in range(60):
        log.transaction(sizes=[321_123], number=5 + number)
    first = bytes(log.rotate(NAMES[1]).raw)
    idle = bytes(LogFile().listed([(0, 1, 64)]).rotate(NAMES[2]).raw)
    last = bytes(LogFile().listed([(0, 1, 64)]).stop().raw)
    manifest = described([first, idle, last])
    plain = container([first, idle, last], tmp_path)
    assert len(plain) > 16 * 2**20
    tracemalloc.start()
    check(manifest, plain, block=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 2**20

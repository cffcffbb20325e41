# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, Place

FULL = "db-20261122-1432.sql.gz"
MANIFEST, SIGNATURE = ".manifest.json", ".manifest.json.sig"


def read(place: Place) -> _catalog.Catalogue:
    return _catalog.read_catalogue(str(place.directory))


def touch(place: Place, *names: str) -> None:
    for name in names:
        (place.directory / name).write_bytes(b"x")


def test_an_empty_place_has_an_empty_catalogue(place: Place) -> None:
    assert read(place) == _catalog.Catalogue(directory=str(place.directory), entries=(), problems={}, unmanaged=())


def test_entries_come_in_the_order_of_their_numbers_and_not_of_their_clocks(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", sequence=2)
    place.put("db-20271122-1432.sql.gz", sequence=1)
    place.put("config-20261122-1432.tar.zst", sequence=5)
    catalogue = read(place)
    assert [entry.manifest.sequence for entry in catalogue.of_kind("db_full", branch=BRANCH)] == [1, 2]
    assert [entry.name for entry in catalogue.entries][0] == "config-20261122-1432.tar.zst"
    assert catalogue.last_sequence("db_full", branch=BRANCH) == 2
    assert catalogue.last_sequence("db_full", branch="branch-002") == 0


def test_another_branch_is_in_the_catalogue_and_not_among_this_ones(place: Place) -> None:
    place.put(FULL, sequence=4, branch="branch-002")
    assert [entry.manifest.branch for entry in read(place).of_kind("db_full")] == ["branch-002"]
    assert read(place).of_kind("db_full", branch=BRANCH) == []


def test_an_entry_holds_what_was_signed(place: Place) -> None:
    path = place.put(FULL)
    (entry,) = read(place).entries
    assert entry.path == str(path)
    assert entry.raw == Path(f"{path}{MANIFEST}").read_bytes()
    assert entry.signature() == Path(f"{path}{SIGNATURE}").read_bytes()
    os.unlink(f"{path}{SIGNATURE}")
    assert entry.signature() is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{}", "the field schema"),
        (b"not json", "not JSON"),
        pytest.param(b"[" * 200_000, "not JSON", id="deep"),
        (b" " * (4 * 1024 * 1024 + 1), "larger than 4194304 bytes"),
    ],
    ids=["field", "text", "deep", "large"],
)
def test_an_unusable_manifest_is_a_problem_and_hides_no_other(place: Place, content: bytes, why: str) -> None:
    place.put(FULL)
    (place.directory / f"db-20261122-1500.sql.gz{MANIFEST}").write_bytes(content)
    catalogue = read(place)
    assert [entry.name for entry in catalogue.entries] == [FULL]
    assert why in catalogue.problems[f"db-20261122-1500.sql.gz{MANIFEST}"]


def test_a_manifest_under_another_name_is_a_problem(place: Place) -> None:
    path = place.put(FULL)
    os.rename(f"{path}{MANIFEST}", f"{place.directory}/db-20261122-1500.sql.gz{MANIFEST}")
    os.unlink(f"{path}{SIGNATURE}")
    assert f"describes {FULL}" in read(place).problems[f"db-20261122-1500.sql.gz{MANIFEST}"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("elsewhere"), os.mkfifo])
def test_what_is_not_a_regular_file_is_no_manifest(place: Place, make: object) -> None:
    path = place.directory / f"{FULL}{MANIFEST}"
    make(path)  # type: ignore[operator]
    assert "not a regular file" in read(place).problems[path.name]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([f"{FULL}{SIGNATURE}"], f"{FULL}{SIGNATURE}"),
        ([FULL, f"{FULL}{SIGNATURE}"], FULL),
        ([f"{FULL}.age"], f"{FULL}.age"),
    ],
)
def test_what_lost_its_manifest_is_a_problem(place: Place, names: list[str], problem: str) -> None:
    touch(place, *names)
    assert problem in read(place).problems


def test_a_cron_lines_dump_is_unmanaged_and_no_problem(place: Place) -> None:
    touch(place, "db-20260101-0000.sql.gz", "notes.txt", "db.sql.gz", "SHA256SUMS", f".x{MANIFEST}")
    catalogue = read(place)
    assert catalogue.unmanaged == ("db-20260101-0000.sql.gz",)
    assert catalogue.problems == {}
    assert catalogue.entries == ()


def test_what_is_just_being_published_is_neither_a_problem_nor_unmanaged(place: Place) -> None:
    touch(place, f"{FULL}.age", f".{FULL}.age.intent", f"{FULL}.age{SIGNATURE}", f".{FULL}.age.part")
    catalogue = read(place)
    assert catalogue.problems == {}
    assert catalogue.unmanaged == ()


def test_a_missing_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="No such file or directory") as caught:
        _catalog.read_catalogue(str(tmp_path / "gone"))
    assert caught.value.reason == "no_directory"


def test_the_checksums_are_those_that_sha256sum_checks(place: Place) -> None:
    place.put_days(3, 1, 2)
    _catalog.write_checksums(read(place))
    lines = (place.directory / "SHA256SUMS").read_text().splitlines()
    assert [line[66:] for line in lines] == [f"db-202611{day:02d}-0300.sql.gz" for day in (1, 2, 3)]
    command = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    assert subprocess.run(command, cwd=place.directory, capture_output=True, check=False).returncode == 0
    (place.directory / lines[0][66:]).write_bytes(b"changed")
    assert subprocess.run(command, cwd=place.directory, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("ending", ["", ".age"])
def test_a_companion_is_among_the_checksums(place: Place, ending: str) -> None:
    name = f"public-uploads-20261122-1432.tar.zst{ending}"
    companion = f"public-uploads-20261122-1432.tar.zst{ending}.index.zst{ending}"
    facts = {"size": 5, "sha256": hashlib.sha256(b"index").hexdigest(), "plain_size": 1, "plain_sha256": "1" * 64}
    place.put(name, companion=facts)
    (place.directory / companion).write_bytes(b"index")
    place.put(FULL)
    catalogue = read(place)
    assert [entry.companion_path for entry in catalogue.entries] == [None, str(place.directory / companion)]
    assert (catalogue.problems, catalogue.unmanaged) == ({}, ())
    _catalog.write_checksums(catalogue)
    names = [line[66:] for line in (place.directory / "SHA256SUMS").read_text().splitlines()]
    assert names == [FULL, name, companion]
    command = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    assert subprocess.run(command, cwd=place.directory, capture_output=True, check=False).returncode == 0


def test_an_adopted_artifact_comes_before_all_numbers(place: Place) -> None:
    place.put(FULL, sequence=1)
    place.put("db-20261101-0300.sql.gz", sequence=7, created_at="2020-01-01T00:00:00Z")
    for day in (22, 21):
        moment = {"moment": f"2026-12-{day}T14:30:00Z", "at": "2026-12-24T12:00:00Z"}
        place.put(f"db-202612{day}-1530.sql.gz", sequence=0, adopted=moment)
    fulls = read(place).of_kind("db_full", branch=BRANCH)
    assert [entry.name[3:11] for entry in fulls] == ["20261221", "20261222", "20261122", "20261101"]
    assert read(place).last_sequence("db_full", branch=BRANCH) == 7


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("elsewhere"), os.mkfifo])
def test_what_is_not_a_regular_file_is_no_signature(place: Place, make: object) -> None:
    path = place.put(FULL)
    os.unlink(f"{path}{SIGNATURE}")
    make(Path(f"{path}{SIGNATURE}"))  # type: ignore[operator]
    (entry,) = read(place).entries
    assert entry.signature() is None


def test_a_name_of_other_bytes_is_written_out(place: Place) -> None:
    for name in (b"\xff.manifest.json", b"a\nb.manifest.json.sig"):
        Path(os.fsdecode(os.fsencode(place.directory) + b"/" + name)).write_bytes(b"x")
    problems = read(place).problems
    assert set(problems) == {"\\udcff.manifest.json", "a\\nb.manifest.json.sig"}
    assert "".join(problems).encode()

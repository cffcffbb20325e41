# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from larapee_runner.demo.application import Application
from larapee_runner.demo.errors import DemoError
from larapee_runner.demo.file_picture import FilePicture, file_differences, take_file_picture
from larapee_runner.demo.uploads import Upload


@pytest.fixture
def application(tmp_path: Path) -> Application:
    made = Application(tmp_path / "shop")
    made.install(database="larapos", user="larapee-app", password="secret")
    made.uploads.put(Upload("products/SKU-00001/pan.png", b"picture"))
    return made


@pytest.fixture
def before(application: Application, tmp_path: Path) -> FilePicture:
    return take_file_picture(application.uploads.directory, ["."], aside=tmp_path / "aside")


def compare(application: Application, before: FilePicture, tmp_path: Path) -> list[str]:
    return file_differences(before, application.uploads.directory, aside=tmp_path / "after")


def flip_byte(root: Path) -> None:
    path = root / "products/SKU-00001/pan.png"
    times = path.stat()
    path.write_bytes(b"pictuse")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def touch(path: Path, *, later: int = 1) -> None:
    times = path.lstat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + later), follow_symlinks=False)


def keep_time(path: Path, change: Callable[[], None]) -> None:
    times = path.stat()
    change()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def split_hard_link(root: Path) -> None:
    path = root / "catalogue/current.pdf"

    def split() -> None:
        subprocess.run(["cp", "--archive", path, path.with_suffix(".new")], check=True)
        path.with_suffix(".new").replace(path)

    keep_time(path.parent, split)


def turn_link(root: Path) -> None:
    link = root / "imports/gone"

    def turn() -> None:
        link.unlink()
        link.symlink_to("another file of that year.png")

    keep_time(link.parent, turn)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "byte": (flip_byte, "pan.png differ"),
    "missing file": (lambda root: (root / "imports/nothing.csv").unlink(), "nothing.csv"),
    "risen file": (lambda root: (root / "imports/risen.csv").touch(), "Only in"),
    "missing directory": (lambda root: (root / "imports/empty").rmdir(), "empty"),
    "file for a directory": (lambda root: shutil.rmtree(root), "is not in"),
    "mode": (lambda root: (root / "imports/nothing.csv").chmod(0o604), "f 604 "),
    "directory's mode": (lambda root: (root / "imports").chmod(0o700), "d 700 "),
    "nanosecond": (lambda root: touch(root / "products/SKU-00001/pan.png"), "pan.png\t"),
    "directory's time": (lambda root: touch(root / "products"), "./products\t"),
    "link's time": (lambda root: touch(root / "catalogue/latest"), "./catalogue/latest\t"),
    "link's target": (turn_link, "Symbolic links"),
    "hard link": (split_hard_link, "./catalogue/current.pdf\t"),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_notices(application: Application, before: FilePicture, tmp_path: Path, change: str) -> None:
    spoil, seen = CHANGES[change]
    spoil(application.uploads.directory)
    assert [line for line in compare(application, before, tmp_path) if seen in line] != []


def test_notices_another_owner(application: Application, before: FilePicture, tmp_path: Path) -> None:
    """Said the other way round, since only root gives files away."""
    status = (application.uploads.directory / "catalogue/latest").lstat()
    owner = f" {status.st_uid}:{status.st_gid} ".encode()
    lines = before.listing.read_bytes().splitlines(keepends=True)
    changed = [line.replace(owner, b" 34:35 ") if b"catalogue/latest\t" in line else line for line in lines]
    before.listing.write_bytes(b"".join(changed))
    found = compare(application, before, tmp_path)
    assert len(found) == 2
    assert " 34:35 " in found[0]


def test_a_stock_copy_is_equal(application: Application, before: FilePicture, tmp_path: Path) -> None:
    for archive_format in ("posix", "gnu"):
        (tmp_path / archive_format).mkdir()
        archive = subprocess.run(
            ["tar", f"--format={archive_format}", "-c", "."],
            cwd=application.uploads.directory,
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run(["tar", "-x", "-p"], cwd=tmp_path / archive_format, input=archive, check=True)
    assert file_differences(before, tmp_path / "posix", aside=tmp_path / "after") == []
    # The older format has whole seconds.
    assert len(file_differences(before, tmp_path / "gnu", aside=tmp_path / "after")) == 2 * before.entries
    assert before.counts == {"f": 11, "d": 6, "l": 3}
    assert str(before) == "11 files, 6 directories, 3 symbolic links"
    assert before.size > 2 * 2**20


def test_names_stay_apart(application: Application, before: FilePicture) -> None:
    """Every odd name is one entry of the listing, a line break in it notwithstanding."""
    listed = before.listing.read_bytes()
    for name in os.listdir(os.fsencode(application.uploads.directory / "imports")):
        assert listed.count(b"./imports/" + name + b"\t") == 1


def test_work_goes_unnoticed_nowhere(application: Application, before: FilePicture, tmp_path: Path) -> None:
    application.work_on()
    found = "\n".join(compare(application, before, tmp_path))
    assert found.count("-rf is a regular file while file") == 1
    assert found.count("empty is a directory while file") == 1
    assert found.count("Only in") == 3


def test_paths_of_the_root(application: Application, tmp_path: Path) -> None:
    paths = [str(path.relative_to("/")) for path in application.config_paths]
    before = take_file_picture(Path("/"), paths, aside=tmp_path / "aside")
    assert before.counts == {"f": 2, "d": 3, "l": 1}
    assert file_differences(before, before.copy, aside=tmp_path / "after") == []
    environment = before.copy / paths[0]
    assert environment.stat().st_mode & 0o777 == 0o640
    environment.chmod(0o644)
    assert [line for line in file_differences(before, before.copy, aside=tmp_path / "after") if " 644 " in line] != []
    environment.unlink()
    assert file_differences(before, Path("/"), aside=tmp_path / "after") == [f"./{paths[0]} is not in {before.copy}"]


def test_a_comparison_of_nothing_is_no_equality(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    empty = take_file_picture(tmp_path / "nothing", ["."], aside=tmp_path / "aside")
    found = file_differences(empty, tmp_path / "nothing", aside=tmp_path / "after")
    assert found == ["nothing was compared: the first picture holds no file"]


def test_a_tool_that_fails_is_no_equality(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="cp says: .*nowhere.*No such file"):
        take_file_picture(tmp_path, ["nowhere"], aside=tmp_path / "aside")

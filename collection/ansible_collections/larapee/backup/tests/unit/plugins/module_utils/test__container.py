# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of binary log files: stock tar reads it, and nothing else is taken for one."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _container
from ansible_collections.larapee.backup.plugins.module_utils._binlog._errors import BinlogError
from ansible_collections.larapee.backup.plugins.module_utils._pipeline import Command, run_pipeline

if t.TYPE_CHECKING:
    from pathlib import Path


class Collected:
    """What a reader was told."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ended: list[str] = []
        self.sizes: dict[str, int] = {}
        self._name = ""

    def begin(self, name: str, size: int) -> None:
        self._name, self.sizes[name], self.files[name] = name, size, b""

    def data(self, block: memoryview) -> None:
        self.files[self._name] += block

    def read(self, raw: bytes, cuts: t.Sequence[int] = ()) -> tuple[str, ...]:
        reader = _container.ContainerReader(begin=self.begin, data=self.data, end=self.ended.append)
        edges = [0, *sorted(cuts), len(raw)]
        for start, end in zip(edges, edges[1:]):
            reader.feed(memoryview(raw)[start:end])
        return reader.close()


def files_in(directory: Path, contents: t.Sequence[bytes], first: int = 7) -> list[tuple[str, str]]:
    files = []
    for number, content in enumerate(contents, first):
        path = directory / f"mysql-bin.{number:06d}"
        path.write_bytes(content)
        files.append((path.name, str(path)))
    return files


def written(files: t.Sequence[tuple[str, str]]) -> bytes:
    sink = io.BytesIO()
    _container.write_container(files, sink.write)
    return sink.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, bytes]]:
    contents = [b"", b"x" * 512, b"y" * 700, b"z" * 300_000, b"q"]
    files = files_in(tmp_path_factory.mktemp("logs"), contents)
    return written(files), {name: content for (name, _path), content in zip(files, contents)}


@given(data=st.data())
def test_any_blocks_give_the_same_files(made: tuple[bytes, dict[str, bytes]], data: st.DataObject) -> None:
    raw, contents = made
    collected = Collected()
    assert collected.read(raw, data.draw(st.lists(st.integers(0, len(raw)), max_size=40))) == tuple(contents)
    assert collected.files == contents
    assert collected.ended == list(contents)
    assert collected.sizes == {name: len(content) for name, content in contents.items()}


def test_byte_by_byte(tmp_path: Path) -> None:
    raw = written(files_in(tmp_path, [b"abc", b""]))
    collected = Collected()
    collected.read(raw, range(len(raw)))
    assert collected.files == {"mysql-bin.000007": b"abc", "mysql-bin.000008": b""}


def test_stock_tar_reads_it(made: tuple[bytes, dict[str, bytes]], tmp_path: Path) -> None:
    raw, contents = made
    subprocess.run(["tar", "-x", "-C", tmp_path], input=raw, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
    listed = subprocess.run(["tar", "-tv"], input=raw, check=True, capture_output=True)
    assert listed.stderr == b""
    assert all(line.startswith(b"-rw-------") for line in listed.stdout.splitlines())


@pytest.mark.parametrize("form", ["ustar", "gnu"])
def test_what_stock_tar_makes_is_read(form: str, tmp_path: Path) -> None:
    contents = [b"a" * 1000, b"b" * 512]
    files = files_in(tmp_path, contents)
    argv = ["tar", "-c", f"--format={form}", "-C", str(tmp_path), *(name for name, _path in files)]
    collected = Collected()
    collected.read(subprocess.run(argv, check=True, capture_output=True).stdout)
    assert list(collected.files.values()) == contents


def test_a_pipeline_writes_it(tmp_path: Path) -> None:
    files = files_in(tmp_path, [b"a" * 3_000_000, b"b"])
    collected = Collected()
    reader = _container.ContainerReader(begin=collected.begin, data=collected.data, end=collected.ended.append)
    run_pipeline([_container.ContainerWriter(files), Command(name="cat", argv=("cat",)), reader])
    assert reader.close() == ("mysql-bin.000007", "mysql-bin.000008")


def test_sizes_beyond_eight_gigabytes(tmp_path: Path) -> None:
    size = (1 << 33) + 5
    path = tmp_path / "mysql-bin.000001"
    path.touch()
    os.truncate(path, size)

    class Header(Exception):  # noqa: N818 - it stops the writer after the header
        pass

    def head(block: bytes | memoryview) -> None:
        found: dict[str, int] = {}
        reader = _container.ContainerReader(begin=found.__setitem__, data=lambda _block: None, end=lambda _name: None)
        reader.feed(block)
        assert found == {"mysql-bin.000001": size}
        assert tarfile.TarInfo.frombuf(bytes(block), "ascii", "strict").size == size
        raise Header

    with pytest.raises(Header):
        _container.write_container([(path.name, str(path))], head)


@pytest.mark.parametrize(
    "names",
    [
        ["mysql-bin.000001", "mysql-bin.000003"],
        ["mysql-bin.000002", "mysql-bin.000001"],
        ["mysql-bin.000001", "mysql-bin.000001"],
        ["mysql-bin.000001", "binlog.000002"],
        ["mysql-bin.index"],
        ["../mysql-bin.000001"],
    ],
)
def test_names_that_cannot_lie_in_one(names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(BinlogError, match=r"does not follow|not a name"):
        written([(name, str(path)) for name in names])
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            tar.add(path, arcname=name)
    with pytest.raises(BinlogError, match=r"does not follow|not a name"):
        Collected().read(archive.getvalue())


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    ((name, path),) = files_in(tmp_path, [b"x" * 1000])
    changes = {"shorter": lambda: os.truncate(path, 10), "longer": lambda: os.truncate(path, 5000)}
    for word, change in changes.items():
        os.truncate(path, 1000)

        def write(_block: bytes | memoryview, change: t.Callable[[], None] = change) -> None:
            change()

        with pytest.raises(BinlogError, match=f"{name} became {word}"):
            _container.write_container([(name, path)], write)


def member(**changes: t.Any) -> bytes:
    info = tarfile.TarInfo("mysql-bin.000001")
    for field, value in changes.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def in_directory() -> bytes:
    """The same file below a directory: a prefix that stock tar puts before the name."""
    raw = bytearray(member())
    raw[345:350] = b"other"
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    assert tarfile.TarInfo.frombuf(bytes(raw), "ascii", "strict").name == "other/mysql-bin.000001"
    return bytes(raw)


@pytest.mark.parametrize(
    "header",
    [
        member(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member(type=tarfile.LNKTYPE, linkname="x"),
        member(type=tarfile.DIRTYPE),
        member(type=tarfile.FIFOTYPE),
        member(type=tarfile.XHDTYPE, size=10),
        member(type=tarfile.GNUTYPE_LONGNAME, size=10),
        member(linkname="x"),
        in_directory(),
    ],
    ids=["symlink", "hard link", "directory", "fifo", "extended", "long name", "link name", "prefix"],
)
def test_nothing_but_plain_files(header: bytes) -> None:
    with pytest.raises(BinlogError, match="something else than a plain file at 0"):
        Collected().read(header)


def test_damage(made: tuple[bytes, dict[str, bytes]]) -> None:
    raw = made[0]
    end = raw.rindex(b"q") + 512
    cases = {
        "cut off": raw[:-10240],
        "no member at 0": b"\x01" + raw[1:],
        "holds no member": b"mysql-bin.000001" * 32,
        "something after its end": raw + raw,
        "bytes of no member": raw[: end - 1] + b"x" + raw[end:],
    }
    for match, damaged in cases.items():
        with pytest.raises(BinlogError, match=match):
            Collected().read(damaged)


@given(data=st.data())
def test_a_container_that_is_cut_off_is_noticed(made: tuple[bytes, dict[str, bytes]], data: st.DataObject) -> None:
    raw = made[0]
    # Behind the two empty blocks only the filling of the last record follows.
    end = raw.rindex(b"q") + 511 + 1024
    with pytest.raises(BinlogError, match="cut off"):
        Collected().read(raw[: data.draw(st.integers(0, end - 1))])


def test_an_empty_container_is_none() -> None:
    with pytest.raises(BinlogError, match="the container is empty"):
        Collected().read(bytes(10240))

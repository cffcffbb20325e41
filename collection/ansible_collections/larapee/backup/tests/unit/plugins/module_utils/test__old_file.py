# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _names, _old_file
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._old_file import NotAdoptableError, NotSettledError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils import cron_files as cron

DUMP, UPLOADS = "db-20261121-2315.sql.gz", "public-uploads-20261121-2315.tar.zst"


def read(path: Path, **changes: Any) -> _old_file.OldFile:
    parsed = _names.parse_name(path.name)
    assert parsed is not None
    return _old_file.read_old_file(str(path), parsed, **{"now": cron.NOW, "database": "larapos", **changes})


def refused(path: Path, **changes: Any) -> str:
    with pytest.raises(NotAdoptableError) as caught:
        read(path, **changes)
    return str(caught.value)


def test_a_whole_dump_tells_what_it_holds(tmp_path: Path) -> None:
    text = cron.HEADER + cron.BODY + "-- " + "x" * 1_200_000 + "\n" + cron.TRAILER
    path = cron.put(tmp_path / DUMP, cron.gzip(text))
    found = read(path)
    assert (found.stored.size, found.stored.sha256) == (
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert found.plain.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.written_at == cron.NOW - dt.timedelta(hours=1)
    assert found.facts == {
        "engine": "mariadb",
        "version": "10.11.19-MariaDB-0+deb12u1-log",
        "database": "larapos",
        "objects": {"tables": 1, "views": 1, "sequences": 0, "triggers": 1, "routines": 0, "events": 0},
        "longest_line": 1_200_000 + len(b"-- "),
        "tool_versions": {
            "dump": "MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
            "compressor": "unknown",
        },
    }


@pytest.mark.parametrize(
    ("client", "server", "engine"),
    [
        ("MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)", "8.0.36", "mysql"),
        ("MySQL dump 10.19  Distrib 10.3.39-MariaDB, for debian-linux-gnu (x86_64)", "10.3.39-MariaDB-0", "mariadb"),
        ("MariaDB dump 10.19-11.4.2-MariaDB, for debian-linux-gnu (x86_64)", "8.4.0", "mysql"),
    ],
)
def test_the_server_and_not_the_client_is_the_engine(tmp_path: Path, client: str, server: str, engine: str) -> None:
    head = f"-- {client}\n--\n-- Host: db.example    Database: larapos\n-- ---\n-- Server version\t{server}\n"
    facts = read(cron.put(tmp_path / DUMP, cron.gzip(head + cron.BODY + cron.TRAILER))).facts
    assert (facts["engine"], facts["version"], facts["tool_versions"]["dump"]) == (engine, server, client)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (cron.HEADER + cron.BODY, "it ends without '-- Dump completed', so it is cut short"),
        (cron.DUMP + "-- more\n", "it ends without '-- Dump completed'"),
        (cron.BODY + cron.TRAILER, "it does not begin like a dump"),
        ("\n" + cron.DUMP, "it does not begin like a dump"),
        (cron.DUMP.replace("-- Server version", "-- Version"), "it does not begin like a dump"),
        (
            cron.DUMP.replace("Database: larapos", "Database: larapos2"),
            "it is of the database larapos2, not of larapos",
        ),
        (cron.DUMP.replace("Database: larapos", "Database: "), "it is of the database of no name, not of larapos"),
        (cron.HEADER + "\n-- Current Database: `larapos`\n" + cron.BODY + cron.TRAILER, "it holds whole databases"),
        (cron.HEADER + "\nUSE `mysql`;\n" + cron.BODY + cron.TRAILER, "it holds whole databases"),
        (cron.HEADER + "\nCREATE DATABASE x;\n" + cron.BODY + cron.TRAILER, "it holds whole databases"),
        (cron.HEADER + cron.TRAILER, "it holds no table"),
        ("", "it does not begin like a dump"),
    ],
)
def test_what_is_no_whole_dump_of_the_database_is_refused(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(cron.put(tmp_path / DUMP, cron.gzip(text)))


def test_a_statement_for_another_schema_is_found_wherever_a_block_ends() -> None:
    text = f"{cron.HEADER}\n-- Current Database: `x`\n{cron.BODY}{cron.TRAILER}".encode()
    begin = text.index(b"-- Current")
    for end in range(begin - 5, begin + 30):
        dump = _old_file._Dump("larapos")
        for part in (text[:end], text[end:]):
            dump.feed(memoryview(part))
        with pytest.raises(NotAdoptableError, match="whole databases"):
            dump.facts()


def cut(content: bytes) -> bytes:
    return content[:-6]


def flip(content: bytes) -> bytes:
    return content[:-12] + bytes([content[-12] ^ 1]) + content[-11:]


@pytest.mark.parametrize("damage", [cut, flip, lambda content: content + b"rubbish", lambda _content: b""])
@pytest.mark.parametrize(("name", "content"), [(DUMP, cron.gzip(cron.DUMP)), (UPLOADS, cron.zstd(cron.archive()))])
def test_what_does_not_open_to_its_end_is_refused(
    tmp_path: Path, name: str, content: bytes, damage: Callable[[bytes], bytes]
) -> None:
    assert refused(cron.put(tmp_path / name, damage(content)))


def test_a_whole_archive_tells_what_it_holds(tmp_path: Path) -> None:
    found = read(cron.put(tmp_path / UPLOADS, cron.zstd(cron.archive())))
    assert found.plain.sha256 == hashlib.sha256(cron.archive()).hexdigest()
    assert found.facts["entries"] == 4
    assert found.facts["tree"] == {"entries": 4, "bytes": 5}
    assert found.facts["companion"] is None


def odd(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (cron.archive(odd("../x", tarfile.REGTYPE)), "failed to accept the member '../x': its name holds '..'"),
        (cron.archive(odd("./pipe", tarfile.FIFOTYPE)), "it is a FIFO"),
        (cron.archive()[:-10240], "it ends before its end mark"),
        (cron.archive() + b"x" * 512, "there are bytes after its end"),
        (b"\0" * 1024, "it holds nothing"),
        (b"no archive" * 100, "failed to read the archive"),
    ],
    ids=["outside", "pipe", "cut", "more", "empty", "other"],
)
def test_an_archive_that_no_restore_would_take_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    said = refused(cron.put(tmp_path / UPLOADS, cron.zstd(content)))
    assert why in said
    assert "target" not in said


@pytest.mark.parametrize("name", ["public-uploads-20261121-2315.incr.tar.zst", "db-20261121-2315.binlog.zst"])
def test_increments_were_never_made_by_cron(tmp_path: Path, name: str) -> None:
    assert "no older cron line made increments" in refused(cron.put(tmp_path / name, cron.zstd(cron.archive())))


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / DUMP)
    assert refused(tmp_path / DUMP) in (
        "it is not a regular file",
        "it cannot be read: Too many levels of symbolic links",
    )


@pytest.mark.parametrize(("minutes", "settled"), [(-9, False), (0, False), (9, False), (11, True), (-11, True)])
def test_what_was_written_to_just_now_is_left(tmp_path: Path, minutes: int, settled: bool) -> None:
    path = cron.put(tmp_path / DUMP, cron.gzip(cron.DUMP)[:100], age=dt.timedelta(minutes=minutes))
    with pytest.raises(NotAdoptableError if settled else NotSettledError):
        read(path)


def test_what_grows_while_it_is_read_is_left_and_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cron.put(tmp_path / DUMP, cron.gzip(cron.DUMP)[:-20])
    run = _old_file._pipeline.run_pipeline

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        with open(path, "ab") as handle:
            handle.write(b"more")
        return run(*arguments, **options)

    monkeypatch.setattr(_old_file._pipeline, "run_pipeline", meanwhile)
    with pytest.raises(NotSettledError, match="written to while it was read"):
        read(path)


@pytest.mark.parametrize("replaced", [True, False])
def test_what_is_replaced_or_removed_while_it_is_read_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    path = cron.put(tmp_path / DUMP, cron.gzip(cron.DUMP))
    run = _old_file._pipeline.run_pipeline

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        if replaced:
            cron.put(path, cron.gzip(cron.DUMP))
        return run(*arguments, **options)

    monkeypatch.setattr(_old_file._pipeline, "run_pipeline", meanwhile)
    with pytest.raises(NotSettledError, match="replaced|removed"):
        read(path)


def test_a_missing_tool_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cron.put(tmp_path / UPLOADS, cron.zstd(cron.archive()))
    monkeypatch.setattr(_old_file._compress._process, "search_path", lambda: "/nonexistent")
    with pytest.raises(BackupError) as caught:
        read(path)
    assert caught.value.reason == "tool_missing"

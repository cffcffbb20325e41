# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private directories: fresh, closed to others, rotated, and without values that might be secrets."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest

from larapee_runner.workdir import private_directory, redact_command, rotate, tail


def test_directory_is_fresh_and_private(tmp_path: Path) -> None:
    os.umask(0o022)
    run_id = str(uuid.uuid4())
    directory = private_directory(tmp_path / "state", run_id)
    assert directory == tmp_path / "state" / "runner" / run_id
    assert [path.stat().st_mode & 0o777 for path in (directory, directory.parent, directory.parent.parent)] == [
        0o700
    ] * 3


def test_a_directory_that_was_used_is_not_used_again(tmp_path: Path) -> None:
    run_id = str(uuid.uuid4())
    first, second = private_directory(tmp_path, run_id), private_directory(tmp_path, run_id)
    assert first != second
    second.rmdir()


def test_state_that_cannot_be_written_sends_the_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = private_directory(tmp_path / "file", str(uuid.uuid4()))
    assert directory.is_dir()
    assert not directory.is_relative_to(tmp_path / "file")
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.rmdir()


def test_rotation_keeps_the_newest_and_whatever_is_not_a_run(tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    names = [str(uuid.uuid4()) for _ in range(6)]
    for age, name in enumerate(names):
        (runner / name / "artifacts").mkdir(parents=True)
        os.utime(runner / name, (1_000_000 - age, 1_000_000 - age))
    (runner / "notes").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (runner / str(uuid.uuid4())).symlink_to(elsewhere)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"run-{names[5]}.wrapper.lock").touch()
    rotate(tmp_path, keep=3)
    left = {path.name for path in runner.iterdir() if not path.is_symlink()}
    assert left == {*names[:3], names[5], "notes"}
    assert elsewhere.is_dir()


def test_rotation_of_nothing(tmp_path: Path) -> None:
    rotate(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("password=hunter2", "password=(not kept)"),
        ('{"password": "hunter2"}', "(not kept)"),
        ("a=1 password=hunter2", "a=(not kept)"),
        ("@vars.yml", "@vars.yml"),
    ],
)
def test_values_do_not_stay_in_the_record_of_the_command(given: str, kept: str, tmp_path: Path) -> None:
    command = {
        "command": ["ansible-playbook", "-e", given, "x.yml"],
        "cwd": "/",
        "env": {"TOKEN": "hunter2", "PATH": "/bin"},
    }
    (tmp_path / "command").write_text(json.dumps(command))
    redact_command(tmp_path)
    text = (tmp_path / "command").read_text()
    assert "hunter2" not in text
    assert json.loads(text) == {
        "command": ["ansible-playbook", "-e", kept, "x.yml"],
        "cwd": "/",
        "env": ["PATH", "TOKEN"],
    }


def test_tail(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    assert tail(path, lines=3) == ""
    path.write_bytes(b"x" * 200_000 + b"\n\none\r\n \ntwo\xff\n")
    assert tail(path, lines=2) == "one\ntwo\ufffd"

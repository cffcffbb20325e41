# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _compress, _process
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program

STARTER = """
from subprocess import DEVNULL
from ansible_collections.larapee.backup.plugins.module_utils import _process
child = _process.start(["/bin/sleep", "60"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
say(child.pid)
wait()
"""


def test_a_command_does_not_outlive_the_module_that_was_killed() -> None:
    with Program(STARTER) as module:
        child = Path("/proc") / module.hear()
        assert child.exists()
        module.kill()
        deadline = time.monotonic() + 10
        while child.exists() and "Z" not in (child / "stat").read_text().rpartition(")")[2]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_commands_get_no_secrets_and_no_configuration_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MYSQL_PWD", "MYSQL_HOME", "MYSQL_TEST_LOGIN_FILE", "AGE_IDENTITY", "LD_PRELOAD", "LANG"):
        monkeypatch.setenv(name, "/x")
    monkeypatch.setenv("HOME", "/root")
    seen = _process.run(["/usr/bin/env"]).stdout.decode().splitlines()
    assert sorted(line.partition("=")[0] for line in seen) == ["HOME", "LC_ALL", "PATH", "TZ"]
    assert "HOME=/nonexistent" in seen


def test_the_standard_directories_are_searched_when_path_lacks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert _process.has_tool("ssh-keygen")
    assert _process.find_tool("no-such-tool", "ssh-keygen").endswith("/ssh-keygen")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("igzip",), "the command igzip: it is not installed. Install the package isal."),
        (("mariadb-dump", "mysqldump"), "mariadb-dump or mysqldump: it is not installed. Install the package mariadb"),
        (("no-such-tool",), "Install the package no-such-tool."),
    ],
)
def test_a_missing_tool_names_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: tuple[str, ...], why: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_process, "_STANDARD_DIRECTORIES", ())
    with pytest.raises(BackupError, match=why) as caught:
        _process.find_tool(*names)
    assert caught.value.reason == "tool_missing"


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(BackupError, match="Failed to run sleep: .*timed out"):
        _process.run(["/bin/sleep", "60"], timeout=0.1)


def test_a_command_that_cannot_be_started_is_said() -> None:
    with pytest.raises(BackupError, match="Failed to run tool: .*No such file"):
        _process.run(["/nonexistent/tool"])


def test_short_commands_have_no_terminal_to_ask_on() -> None:
    assert os.getsid(0) != int(_process.run(["/bin/sh", "-c", "ps -o sid= -p $$"]).stdout)


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [(("igzip", "pigz", "gzip"), "igzip"), (("pigz", "gzip"), "pigz"), (("gzip",), "gzip")],
)
def test_the_fastest_maker_of_gzip_that_is_installed_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: tuple[str, ...], chosen: str
) -> None:
    for name in installed:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_process, "_STANDARD_DIRECTORIES", ())
    command = _compress.compressor("gzip")
    assert (command.name, command.argv[0]) == (chosen, str(tmp_path / chosen))


def test_a_missing_compressor_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_process, "_STANDARD_DIRECTORIES", ())
    for compression in _compress.FORMATS:
        with pytest.raises(BackupError, match="Install the package"):
            _compress.compressor(compression)

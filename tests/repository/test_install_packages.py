# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bootstrap installs only what is missing, only as root, and otherwise says what root has to install."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Only programs of these names are there for the script, so that a command can be missing on any machine.
TOOLS = ("bash", "cat", "chmod", "mktemp", "rm", "sort")
COMMANDS = (
    "mariadbd",
    "mariadb-install-db",
    "mariadb",
    "mariadb-dump",
    "mariadb-binlog",
    "age",
    "zstd",
    "igzip",
    "ssh-keygen",
    "setpriv",
)


def _program(directory: Path, name: str, body: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"{name} is not in PATH: every Debian has it"
        (directory / name).symlink_to(found)
    for name in COMMANDS:
        _program(directory, name, "exit 0")
    _program(directory, "apt-get", f'echo "$*" >>"{tmp_path}/calls"')
    return directory


def _install(programs: Path, top: Path, *, uid: int, part: str = "demo") -> subprocess.CompletedProcess[str]:
    _program(programs, "id", f"echo {uid}")
    # The second one keeps the script from root's own directories, in which this machine may have what is missing.
    environment = {"PATH": f"{programs}:{programs}/sbin", "HOME": str(programs)}
    return subprocess.run(
        ["bash", "scripts/install-packages", part],
        cwd=top,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_installed_when_nothing_is_missing(programs: Path, top: Path, tmp_path: Path) -> None:
    done = _install(programs, top, uid=0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "calls").exists()


def test_root_gets_only_what_is_missing_and_loses_nothing(programs: Path, top: Path, tmp_path: Path) -> None:
    (programs / "age").unlink()
    (programs / "igzip").unlink()
    done = _install(programs, top, uid=0)
    assert done.returncode == 0, done.stderr
    update, install = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert update.startswith("update")
    assert install.startswith("install -y --no-install-recommends --no-remove age isal ")


def test_another_user_is_told_what_root_has_to_install(programs: Path, top: Path, tmp_path: Path) -> None:
    (programs / "age").unlink()
    (programs / "mariadb-dump").unlink()
    done = _install(programs, top, uid=1000)
    assert done.returncode == 1
    command = "apt-get install -y --no-install-recommends --no-remove age mariadb-client"
    assert f"As root run:\n  apt-get update && {command}\n" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_what_comes_with_a_service_is_not_started(programs: Path, top: Path, tmp_path: Path) -> None:
    for name in ("pigz", "git", "ps", "mount", "mkfs.xfs", "rsync"):
        _program(programs, name, "exit 0")
    _program(programs, "systemctl", f'echo "systemctl $*" >>"{tmp_path}/calls"')
    refusal = "no policy"
    _program(programs, "apt-get", f'[ -x /usr/sbin/policy-rc.d ] || {{ echo "{refusal}"; exit 1; }}')
    done = _install(programs, top, uid=0, part="test")
    assert done.returncode == 0, done.stderr
    disabled = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert {f"systemctl --quiet disable {unit}.service" for unit in ("ssh", "nginx")} <= set(disabled)

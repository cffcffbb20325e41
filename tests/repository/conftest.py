# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repository's own tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def top() -> Path:
    return TOP


@pytest.fixture(scope="session")
def collection() -> Path:
    return TOP / "collection/ansible_collections/larapee/backup"


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file that a commit of everything would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = [TOP / name for name in listed.split("\0") if name]
    return [path for path in found if path.is_symlink() or path.is_file()]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which Ansible sees nothing of this checkout or of the user's home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LARAPEE_"))}
    bin_directory = str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join([bin_directory, kept.get("PATH", os.defpath)]),
        "HOME": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "ansible-home"),
        "ANSIBLE_NOCOLOR": "1",
    }

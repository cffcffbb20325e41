# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.retention.branch import Branch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signing keys of two branches, and who may sign as whom."""
    directory = tmp_path_factory.mktemp("keys")
    lines = []
    for branch in ("branch-001", "branch-002"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / branch)], check=True)
        public = (directory / f"{branch}.pub").read_text().strip()
        lines.append(f'{branch} namespaces="larapee-backup" {public}\n')
    (directory / "allowed_signers").write_text("".join(lines))
    return directory


@pytest.fixture(scope="session")
def ten_days(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Branch:
    """A full a day for ten days; only to be copied."""
    branch = Branch(tmp_path_factory.mktemp("ten-days"), keys)
    branch.days(10)
    return branch


@pytest.fixture
def shop(ten_days: Branch, tmp_path: Path) -> Branch:
    """A branch of its own with a full a day for ten days; the last one was a day ago."""
    return ten_days.copy(tmp_path)


@pytest.fixture
def branch(tmp_path: Path, keys: Path) -> Branch:
    return Branch(tmp_path, keys)

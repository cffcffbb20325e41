# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place

# The second key of branch-001 takes over in 2027.
_VALIDITY = {"branch-001": 'valid-before="20270101Z",', "branch-001-next": 'valid-after="20270101Z",', "branch-002": ""}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the SSH keys of two branches and their ``allowed_signers``."""
    directory = tmp_path_factory.mktemp("keys")
    lines = []
    for name, validity in _VALIDITY.items():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
        public = (directory / f"{name}.pub").read_text().strip()
        lines.append(f'{name[:10]} {validity}namespaces="larapee-backup" {public}\n')
    (directory / "allowed_signers").write_text("".join(lines))
    return directory


@pytest.fixture
def place(tmp_path: Path, keys: Path) -> Place:
    return Place(tmp_path / "local", keys)

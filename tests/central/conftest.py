# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.central.central import CODES, Central

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signing key for each branch, and who may sign as whom."""
    directory = tmp_path_factory.mktemp("keys")
    lines = []
    for code in CODES:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / code)], check=True)
        lines.append(f'{code} namespaces="larapee-backup" {(directory / f"{code}.pub").read_text().strip()}\n')
    (directory / "allowed_signers").write_text("".join(lines))
    return directory


@pytest.fixture
def central(tmp_path: Path, keys: Path) -> Central:
    return Central(tmp_path, keys)


@pytest.fixture
def reachable(keys: Path) -> Iterator[Central]:
    """A central whose parents every account may pass: only what it does by itself protects it."""
    root = Path(tempfile.mkdtemp(prefix="larapee-central-"))
    root.chmod(0o755)
    try:
        yield Central(root, keys)
    finally:
        shutil.rmtree(root)


@pytest.fixture
def reflinking(tmp_path: Path, keys: Path) -> Iterator[Central]:
    """A central on a filesystem that shares blocks."""
    image, root = tmp_path / "image", tmp_path / "disk"
    root.mkdir()
    with image.open("wb") as handle:
        handle.truncate(400 * 1024 * 1024)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(root)], check=True)
    try:
        yield Central(root, keys)
    finally:
        subprocess.run(["umount", str(root)], check=True)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_ssh
from tests.central.central import CODES, Central
from tests.central.conftest import keys
from tests.pull.restorer import Restorer
from tests.pull.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("keys",)


@pytest.fixture
def new_shop(keys: Path) -> Iterator[Shop]:
    """A branch without backups and closed, in a directory that other accounts can get to."""
    root = Path(tempfile.mkdtemp(prefix="larapee-pull-"))
    root.chmod(0o755)
    found = Shop(root, keys, CODES[0])
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(root)


@pytest.fixture
def shop(new_shop: Shop) -> Shop:
    """An open branch with one full set."""
    new_shop.branch.run("full")
    new_shop.tip()
    return new_shop.open()


@pytest.fixture
def restorer(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    monkeypatch.setattr(_fetch_ssh, "_PAUSE_SECONDS", 0)
    found = Restorer(Central(tmp_path, keys), tmp_path)
    yield found
    found.sshd.close()

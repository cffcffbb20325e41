# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch's files for each test; keys are made once a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _walk
from tests.database.estate import Keys, make_keys
from tests.files.shop_files import ShopFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> ShopFiles:
    (tmp_path / "uploads").mkdir()
    return ShopFiles(tmp_path, keys)


@pytest.fixture
def settled() -> Iterator[None]:
    """Take what was written just before a walk for settled: only what changes in the walk itself is taken again."""
    # Not the test's own monkeypatch, which it may undo.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_walk, "RACY_NS", 0)
        yield

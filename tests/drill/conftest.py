# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch whose rows name files, with a full and an increment, and staging, which reads what the branch made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer
from tests.drill.staging import Staging
from tests.end_to_end import conftest as branches
from tests.end_to_end.branch import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.branch import Branch

make_branch = branches.make_branch
branch = branches.branch


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def staging(branch: Branch, tmp_path: Path) -> Iterator[Staging]:
    made = Staging(branch, tmp_path / "staging")
    yield made
    made.end()

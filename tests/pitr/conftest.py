# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers shared by a worker, and a shop of its own for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import Keys, make_keys
from tests.pitr.sealed_shop import SealedShop
from tests.pitr.sealing import SealingBranch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("source")) as server:
        yield server


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("target"), server_id=2) as server:
        yield server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def shop(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealedShop:
    return SealedShop(source=source, target=target, keys=keys, root=tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThrowawayServer]:
    """For a test that breaks it."""
    running = ThrowawayServer(tmp_path / "server")
    running.start()
    try:
        yield running
    finally:
        running.destroy()


@pytest.fixture
def branch(server: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=server, target=target, keys=keys, root=tmp_path)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One estate a test: two real servers shared by a worker, a database, keys and a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer
from tests.database.aside_shop import Live, clear, make_live
from tests.database.estate import Estate, FakeTools, Keys, make_keys

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
def estate(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> Estate:
    return Estate(source=source, target=target, keys=keys, root=tmp_path)


@pytest.fixture
def live(target: ThrowawayServer, tmp_path: Path) -> Iterator[Live]:
    found = make_live(target, tmp_path)
    yield found
    clear(found)


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    return FakeTools(tmp_path / "bin", monkeypatch)

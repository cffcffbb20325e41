# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server for all tests of the demo's parts; each test has a schema of its own."""

from __future__ import annotations

import itertools
from datetime import date
from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import Shop, open_shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAST_DAY = date(2026, 11, 21)
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def make_shop(server: ThrowawayServer) -> Callable[[], Shop]:
    def make() -> Shop:
        return open_shop(server, database=f"shop_{next(_numbers)}", orders=450, seed=11, last_day=LAST_DAY)

    return make


@pytest.fixture
def shop(make_shop: Callable[[], Shop]) -> Shop:
    return make_shop()


@pytest.fixture(scope="session")
def unchanged_shop(make_shop: Callable[[], Shop]) -> Shop:
    """For tests that only read."""
    return make_shop()

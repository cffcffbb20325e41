# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of the engine that is installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.branch import Keys, make_keys
from tests.engines.servers import Server, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Server]:
    engine = installed()
    template = engine.make_template(tmp_path_factory.mktemp("template") / "data")

    def make(*arguments: str) -> Server:
        return engine(*arguments, template=template)

    return make


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Iterator[Server]:
    with make_server("--server-id=1", "--event-scheduler=OFF") as started:
        yield started


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One shop for all tests that sell in it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.goods import receipt_image
from larapee_runner.demo.server import ThrowawayServer
from tests.lab_pos.lab import LabPos

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPos]:
    server = ThrowawayServer(tmp_path_factory.mktemp("server"))
    with server, LabPos(server, tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def token(lab: LabPos) -> str:
    return lab.login()


@pytest.fixture(scope="session")
def png() -> bytes:
    return receipt_image(random.Random(11))  # noqa: S311  # grey noise

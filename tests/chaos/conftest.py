# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    """Where the shop comes back."""
    with ThrowawayServer(tmp_path_factory.mktemp("target"), server_id=2000, log_bin=False) as server:
        yield server

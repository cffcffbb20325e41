# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.goods import receipt_image
from tests.end_to_end.branch import Keys
from tests.shop.shop import Shop, opened_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Iterator[Shop]:
    with opened_shop(tmp_path, keys) as opened:
        yield opened


@pytest.fixture(scope="session")
def slip() -> bytes:
    return receipt_image(random.Random(11))  # noqa: S311 - repeated by its seed

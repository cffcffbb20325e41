# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop whose backups were, until today, made by the plan's own cron lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adoption.cron_shop import CronShop
from tests.database.conftest import estate, keys, source, target

if TYPE_CHECKING:
    from tests.database.estate import Estate

__all__ = ("estate", "keys", "source", "target")


@pytest.fixture
def cron_shop(estate: Estate) -> CronShop:
    return CronShop(estate)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.retention.conftest import keys, shop, ten_days

__all__ = ("keys", "shop", "ten_days")

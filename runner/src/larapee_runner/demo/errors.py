# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class DemoError(RuntimeError):
    """The demo cannot go on; the text says why and what to do."""


__all__ = ("DemoError",)

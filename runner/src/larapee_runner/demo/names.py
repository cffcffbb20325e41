# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names inside SQL statements."""

from __future__ import annotations


def quote_identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


__all__ = ("quote_identifier",)

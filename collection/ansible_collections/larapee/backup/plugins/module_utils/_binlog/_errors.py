# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a binary log file, and where.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations


class BinlogError(ValueError):
    """Says what is wrong, in words to put after a file's name and a colon; ``offset`` is where in it, in bytes."""

    def __init__(self, text: str, *, offset: int = 0) -> None:
        super().__init__(text)
        self.offset = offset


__all__ = ("BinlogError",)

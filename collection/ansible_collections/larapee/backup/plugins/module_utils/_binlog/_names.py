# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of binary log files, as the server counts them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ._errors import BinlogError

# Six digits, more once they are used up; a name is one part of a path and never an option.
_NAME: t.Final = re.compile(r"(?P<stem>[^/\x00-\x1f\x7f.-][^/\x00-\x1f\x7f]*)\.(?P<number>[0-9]{6}|[1-9][0-9]{6,9})")


def is_log_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def log_number(name: str) -> int:
    """42 for ``mysql-bin.000042``. Raises BinlogError for a name that no server gives."""
    return int(_parts(name)["number"])


def next_name(name: str) -> str:
    """The name that the server gives to the file after *name*."""
    parts = _parts(name)
    return f"{parts['stem']}.{int(parts['number']) + 1:06d}"


def _parts(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise BinlogError(f"{name!r} is not a name of a binary log file")
    return match


__all__ = ("is_log_name", "log_number", "next_name")

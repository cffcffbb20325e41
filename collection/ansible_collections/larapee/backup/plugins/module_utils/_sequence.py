# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rising number of each artifact of a branch and kind.

The highest number ever given is kept beside the state, so that it goes on rising when a place has lost its newest
manifests, and so that their loss is noticed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os

from . import _io
from ._catalog import Catalogue


def last_given(state_path: str, *, branch: str, kind: str) -> int:
    """The highest number known to the state; 0 when there is none. A damaged file counts as none."""
    try:
        value = _io.read_json(_path(state_path, branch)).get(kind, 0)
    except (OSError, ValueError):
        return 0
    return value if isinstance(value, int) else 0


def next_number(state_path: str, catalogue: Catalogue, *, branch: str, kind: str) -> int:
    return max(last_given(state_path, branch=branch, kind=kind), catalogue.last_sequence(kind, branch=branch)) + 1


def remember(state_path: str, *, branch: str, kind: str, number: int) -> None:
    """Note that *number* was published."""
    _io.ensure_directory(os.path.dirname(_path(state_path, branch)))
    try:
        known = _io.read_json(_path(state_path, branch))
    except (OSError, ValueError):
        known = {}
    _io.write_json(_path(state_path, branch), {**known, kind: number})


def _path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "sequences", f"{branch}.json")


__all__ = ("last_given", "next_number", "remember")

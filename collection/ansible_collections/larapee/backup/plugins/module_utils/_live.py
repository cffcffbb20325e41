# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restore fills what this host backs up: then the latch holds backups still until the shop is open.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os

from . import _latch


def is_backed_up(option_file: str) -> bool:
    """Whether anything is: without the client option file by which the database is read nothing can be."""
    return bool(option_file) and os.path.exists(option_file)


def is_live_path(path: str, *, option_file: str, live_path: str) -> bool:
    """Whether *path* is that of the uploads which this host archives."""
    return is_backed_up(option_file) and bool(live_path) and os.path.realpath(path) == os.path.realpath(live_path)


def hold(state_path: str, *, branch: str, because: str, run_id: str) -> list[str]:
    """Set the latch; return what to tell of it, nothing when it was set before."""
    if not _latch.set_latch(state_path, branch=branch, because=because, run_id=run_id):
        return []
    return [f"Nothing of {branch} is backed up here until larapee.backup.open says that the shop sells."]


__all__ = ("hold", "is_backed_up", "is_live_path")

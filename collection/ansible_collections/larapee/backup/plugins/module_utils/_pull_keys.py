# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Central's own keys to the branches: for each branch one that pulls and one that acknowledges.

They lie in ``<purpose>_key/<branch>``; beside it ``<purpose>_key.next/<branch>`` and ``<purpose>_key.old/<branch>``.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from . import _names
from ._errors import BackupError
from ._key_pair import make_pair
from ._rotation import Slot, make_directory_of

PURPOSES = ("pull", "acknowledge")
# Branch and purpose.
Of = tuple[str, str]


def slots(directory: str, branches: t.Sequence[str]) -> dict[Of, Slot]:
    wrong = [branch for branch in branches if not _names.is_branch_code(branch)]
    if wrong:
        raise BackupError(
            f"Failed to make keys for {wrong[0]!r}: it is no branch code. Correct larapee_backup_branch of that host.",
            reason="bad_request",
        )
    return {(branch, purpose): _slot(directory, branch, purpose) for branch in branches for purpose in PURPOSES}


def ensure(every: t.Mapping[Of, Slot], *, owner: str | None, check_mode: bool) -> list[Of]:
    """Make the keys that are missing; return whose they are."""
    missing = [of for of, slot in every.items() if not os.path.lexists(slot.current)]
    if not check_mode:
        for of in missing:
            make_directory_of(every[of].current)
            make_pair(every[of].current, comment=every[of].comment, owner=owner)
    return missing


def _slot(directory: str, branch: str, purpose: str) -> Slot:
    current, following, old = (
        os.path.join(directory, f"{purpose}_key{suffix}", branch) for suffix in ("", ".next", ".old")
    )
    return Slot(current, following, old, comment=f"larapee-backup {purpose} {branch}")


__all__ = ("PURPOSES", "Of", "ensure", "slots")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of several names of which an increment takes one: it has to take them all.

A name that is not in the increment stays, at the restore, the file that an earlier artifact made, while the others
become a new one: two files where there was one.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ._compare import Comparison
from ._problems import Problems
from ._snapshot import Snapshot
from ._walk import Directory, Root, Walk


def find_relinked(roots: t.Sequence[Root], snapshot: Snapshot) -> frozenset[tuple[int, int]]:
    """Device and inode of each file with several names that is new or changed since *snapshot* under one of them.

    A walk of its own, because the walk that archives may have passed the other names by then. None is needed when no
    file had several names before: one that got another name since is changed under all of them.
    """
    if not snapshot.links:
        return frozenset()
    # The walk that archives meets the same problems, and says them.
    walk = Walk(roots, problems=Problems(), comparison=Comparison(snapshot, gone=lambda _path: None))
    found = set()
    with contextlib.closing(walk.events()) as events:
        for event in events:
            if isinstance(event, Directory) or event.is_link:
                continue
            with contextlib.suppress(OSError):
                status = os.stat(event.name, dir_fd=event.parent, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                    found.add((status.st_dev, status.st_ino))
    return frozenset(found)


__all__ = ("find_relinked",)

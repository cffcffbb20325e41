# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look over a tree that was put together: how many entries it has, and which links lead out of it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import stat

from . import _dirfd
from ._member_names import leads_out, printable

_SHOWN = 20


@dataclasses.dataclass
class Survey:
    """``entries`` without the top; ``outward`` names the first of ``outward_count`` links that lead out of the tree."""

    entries: int = 0
    outward: list[str] = dataclasses.field(default_factory=list)
    outward_count: int = 0


def survey(tree: int, *, top: bytes) -> Survey:
    """Look at all below *tree* (a descriptor); *top* is the absolute path that it will have."""
    found = Survey()
    levels: list[tuple[bytes, int, list[str], os.stat_result]] = [(b"", tree, os.listdir(tree), os.fstat(tree))]
    try:
        while levels:
            _name, descriptor, names, before = levels[-1]
            if not names:
                if _dirfd.is_locked(before):
                    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                levels.pop()
                if descriptor != tree:
                    os.close(descriptor)
                continue
            name = os.fsencode(names.pop())
            found.entries += 1
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                below, before = _dirfd.open_directory(name, parent=descriptor, force=True)
                levels.append((name, below, os.listdir(below), before))
            elif stat.S_ISLNK(status.st_mode):
                parts = (*(level[0] for level in levels[1:]), name)
                target = os.readlink(name, dir_fd=descriptor)
                if leads_out(parts, target, top=top):
                    found.outward_count += 1
                    if len(found.outward) < _SHOWN:
                        found.outward.append(f"{printable(b'/'.join(parts))} -> {printable(target)}")
    finally:
        for _name, descriptor, _names, _before in levels:
            if descriptor != tree:
                os.close(descriptor)
    return found


def remove_path(tree: int, parts: tuple[bytes, ...]) -> None:
    """Remove *parts* below *tree*, if it is there, with the directories on the way that held nothing else."""
    descriptors = [tree]
    try:
        for each in parts[:-1]:
            descriptor, _status = _dirfd.open_directory(each, parent=descriptors[-1])
            descriptors.append(descriptor)
        _dirfd.remove(parts[-1], parent=descriptors[-1])
        for depth in range(len(parts) - 2, -1, -1):
            if os.listdir(descriptors[depth + 1]):
                break
            os.rmdir(parts[depth], dir_fd=descriptors[depth])
    except FileNotFoundError:
        return
    finally:
        for descriptor in descriptors[1:]:
            os.close(descriptor)


__all__ = ("Survey", "remove_path", "survey")

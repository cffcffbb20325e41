# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Symbolic links that lead out of what is archived: they are kept, what they lead to is not.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from ._problems import NAMED, printable
from ._walk import Root

_ADVICE: t.Final = {
    "uploads": "a restore refuses them unless larapee_backup_restore_outward_links is keep. Put the files themselves "
    "there, or see that something else backs them up.",
    "config": "add it to larapee_backup_config_paths if a restore needs it.",
}


class OutwardLinks:
    """Told of every link that is archived; judges by the text of its target, and follows none."""

    def __init__(self, roots: t.Sequence[Root]) -> None:
        self._bases: list[tuple[bytes, list[bytes]]] = []
        for root in roots:
            path = os.path.join(root.directory, root.leaf)
            # A target may say either the configured path or, where that leads over links, the real one.
            real = os.path.join(os.path.realpath(root.directory), root.leaf)
            self._bases.append((root.name, [_normal(path), _normal(real)]))
        self._tops = [base for _name, bases in self._bases for base in bases]
        self._count = 0
        self._named: list[str] = []

    def see(self, path: bytes, target: bytes) -> None:
        """The link *path* of the archive leads to *target*."""
        for name, bases in self._bases:
            if path == name:
                # A configured path that is a link is archived together with what it leads to.
                return
            if name == b"." or path.startswith(name + b"/"):
                below = path if name == b"." else path[len(name) + 1 :]
                if not any(self._is_inside(os.path.join(base, os.path.dirname(below), target)) for base in bases):
                    self._count += 1
                    if len(self._named) < NAMED:
                        self._named.append(printable(path))
                return

    def warnings(self, content: str) -> list[str]:
        """What to say of them, if there are any."""
        if not self._count:
            return []
        more = self._count - len(self._named)
        named = ", ".join(self._named) + (f" and {more} more" if more else "")
        return [
            f"{self._count} symbolic links lead out of the {content} ({named}): what they lead to is not in this "
            f"backup; {_ADVICE[content]}"
        ]

    def _is_inside(self, path: bytes) -> bool:
        path = _normal(path)
        return any(path == top or path.startswith(top.rstrip(b"/") + b"/") for top in self._tops)


def _normal(path: bytes) -> bytes:
    # normpath leaves two slashes at the beginning.
    return b"/" + os.path.normpath(path).lstrip(b"/")


__all__ = ("OutwardLinks",)

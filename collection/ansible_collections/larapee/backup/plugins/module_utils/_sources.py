# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be archived: the configured paths, checked, as roots of a walk.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ._errors import BackupError
from ._walk import Root

UPLOADS: t.Final = "uploads"
CONFIG: t.Final = "config"


def find_roots(content: str, paths: t.Sequence[str], *, outside: t.Sequence[str]) -> list[Root]:
    """The roots of *content* (``uploads`` or ``config``); raise BackupError when a path is not what it should be.

    *outside*: directories of ours, which may not lie in what is archived.
    """
    for path in paths:
        if not os.path.isabs(path):
            raise _unusable(content, path, "it is not an absolute path", reason="bad_paths")
    if not paths or (content == UPLOADS and len(paths) > 1):
        raise BackupError(
            f"Failed to archive the {content}: {len(paths)} paths are given. {_ADVICE[content]}", reason="bad_paths"
        )
    if content == UPLOADS:
        _refuse_inside(paths[0], outside)
        return [_uploads_root(paths[0])]
    found: set[str] = set()
    for path in map(os.path.normpath, paths):
        _status(content, path)
        found.add(path)
        if os.path.islink(path):
            found.add(os.path.realpath(path))
            _status(content, os.path.realpath(path))
    for path in found:
        _refuse_inside(path, outside)
    return [_config_root(path) for path in sorted(found) if not any(_holds(other, path) for other in found)]


_ADVICE: t.Final = {
    UPLOADS: "Set larapee_backup_uploads_path to the directory of uploads.",
    CONFIG: "Set larapee_backup_config_paths to the files and directories that a restore needs.",
}


def _uploads_root(path: str) -> Root:
    if not stat.S_ISDIR(_status(UPLOADS, path, follow=True).st_mode):
        raise _unusable(UPLOADS, path, "it is not a directory", reason="source_missing")
    return Root(name=b".", directory=os.fsencode(path), leaf=b".")


def _config_root(path: str) -> Root:
    directory, leaf = os.path.split(path)
    return Root(name=os.fsencode(path.lstrip("/")), directory=os.fsencode(directory), leaf=os.fsencode(leaf))


def _status(content: str, path: str, *, follow: bool = False) -> os.stat_result:
    try:
        return os.stat(path, follow_symlinks=follow)
    except OSError as exc:
        raise _unusable(content, path, exc.strerror or str(exc), reason="source_missing") from exc


def _unusable(content: str, path: str, why: str, *, reason: str) -> BackupError:
    return BackupError(f"Failed to archive {path}: {why}. {_ADVICE[content]}", reason=reason)


def _holds(directory: str, path: str) -> bool:
    """Whether *path* is archived with *directory* anyway; where that is a link, with what it leads to."""
    return path.startswith(directory.rstrip("/") + "/") and os.path.isdir(directory)


def _refuse_inside(source: str, outside: t.Sequence[str]) -> None:
    """Raise BackupError when one of *outside* is *source* or lies below it, by whatever path."""
    try:
        root = os.stat(source)
    except OSError:
        return
    for place in outside:
        path = os.path.realpath(place)
        while True:
            try:
                same = os.path.samestat(os.stat(path), root)
            except OSError:
                same = False
            if same:
                raise BackupError(
                    f"Failed to archive {source}: {place} lies in it, so that the archive would hold itself. Move the "
                    "place or the state directory out of it.",
                    reason="source_holds_place",
                )
            if path == os.path.dirname(path):
                break
            path = os.path.dirname(path)


__all__ = ("CONFIG", "UPLOADS", "find_roots")

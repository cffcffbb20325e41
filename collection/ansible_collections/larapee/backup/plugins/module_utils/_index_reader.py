# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of an archive of files, read in step with the archive itself.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from ._errors import BackupError
from ._member_names import printable
from ._members import Member

_ATTRIBUTES: t.Final = ("mode", "uid", "gid", "mtime_ns")
_SHOWN: t.Final = 20


class IndexReader:
    """Compares members with the *lines* of the index of *artifact*; raises BackupError where the two contradict."""

    def __init__(self, lines: t.Iterable[bytes], *, artifact: str) -> None:
        self._lines = iter(lines)
        self._artifact = artifact
        self._line: dict[str, t.Any] = {}
        self.torn: list[str] = []
        self.torn_count = 0

    def begin(self, member: Member) -> None:
        line = self._line = self._next()
        expected: dict[str, t.Any] = {"path": text(member.path), "type": member.kind}
        if member.kind != "hardlink":
            expected.update({name: getattr(member, name) for name in _ATTRIBUTES})
        if member.kind == "file":
            expected["size"] = member.size
        elif member.kind in ("symlink", "hardlink"):
            expected["target"] = text(member.target)
        for name, value in expected.items():
            if line.get(name) != value:
                raise self._contradiction(f"{name} of the member {printable(member.path)}")
        if line.get("torn"):
            self.torn_count += 1
            if len(self.torn) < _SHOWN:
                self.torn.append(printable(member.path))

    def end(self, member: Member, sha256: str) -> None:
        if self._line.get("sha256") != sha256:
            raise self._contradiction(f"content of the member {printable(member.path)}")

    def finish(self, *, entries: int, deletions: int) -> None:
        """Read on to the end: all members came, and the counts are those of the manifest."""
        deleted = 0
        line = self._next()
        while line.get("type") in ("deleted", "problem"):
            deleted += line["type"] == "deleted"
            line = self._next()
        if line.get("type") != "end":
            raise self._contradiction("number of members")
        if (line.get("entries"), line.get("deletions")) != (entries, deletions) or deleted != deletions:
            raise self._contradiction("counts")

    def _next(self) -> dict[str, t.Any]:
        try:
            line = json.loads(next(self._lines))
        except (StopIteration, ValueError, RecursionError):
            raise self._contradiction("number of lines") from None
        return line if isinstance(line, dict) else {}

    def _contradiction(self, what: str) -> BackupError:
        return BackupError(
            f"Failed to restore {self._artifact}: the archive and its index contradict each other ({what}). Nothing "
            "was changed on the target. Use another set, and keep this one: find out who made it.",
            reason="index_mismatch",
        )


def text(path: bytes) -> str:
    """A path as the index writes it."""
    return path.decode("utf-8", "surrogateescape")


__all__ = ("IndexReader", "text")

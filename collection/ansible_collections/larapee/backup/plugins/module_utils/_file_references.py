# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is every file there that the rows of a database name, with the hash that they recorded?

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import typing as t

from . import _io
from ._errors import BackupError
from ._mysql._connection import connect
from ._mysql._option_file import read_option_file

_LISTED: t.Final = 20
_LONGEST_PATH: t.Final = 4096
_HASH: t.Final = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a row names: ``path`` below the uploads, ``sha256`` of the file or empty where none was recorded."""

    table: str
    path: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.table})" if self.table else self.path


@dataclasses.dataclass
class Findings:
    """``missing`` and ``changed`` hold the first of them in words; the counts hold all."""

    checked: int = 0
    hashed: int = 0
    missing_count: int = 0
    changed_count: int = 0
    orphans: int = 0
    missing: list[str] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)

    def require_all(self) -> None:
        """Raise BackupError (``references_missing``) unless each file is there as it was recorded."""
        if not self.missing_count and not self.changed_count:
            return
        named = "; ".join(
            [f"missing: {each}" for each in self.missing[:3]] + [f"other: {each}" for each in self.changed[:3]]
        )
        raise BackupError(
            f"Failed to find the files that the database names: of {self.checked}, {self.missing_count} are missing, "
            f"{self.changed_count} are not as recorded ({named}). Look for them at another place, and whether the shop "
            "itself still has them.",
            reason="references_missing",
            facts={"missing": self.missing, "other": self.changed, "checked": self.checked, "orphans": self.orphans},
        )


def check(references: t.Iterable[Reference], uploads: str) -> Findings:
    """Look at each file once for each reference; what no reference names is an orphan, and only counted."""
    found, named = Findings(), set()
    for reference in references:
        found.checked += 1
        path = os.path.normpath(reference.path)
        named.add(path)
        why = _why_missing(uploads, path)
        if why:
            found.missing_count += 1
            _note(found.missing, f"{reference}{why}")
        elif reference.sha256:
            found.hashed += 1
            if _io.sha256_file(os.path.join(uploads, path))[0] != reference.sha256:
                found.changed_count += 1
                _note(found.changed, str(reference))
    found.orphans = sum(1 for path in _files(uploads) if path not in named)
    return found


def _why_missing(uploads: str, path: str) -> str:
    """Words after the reference, or empty when it is there. A link may lead to it inside of the uploads."""
    if os.path.isabs(path) or path.split(os.sep, 1)[0] == os.pardir:
        return ", a path that leads out of the uploads"
    whole = os.path.join(uploads, path)
    try:
        regular = stat.S_ISREG(os.stat(whole).st_mode)
    except (OSError, ValueError):
        return " "
    if not regular:
        return ", which is no file"
    inside = os.path.realpath(whole).startswith(os.path.realpath(uploads) + os.sep)
    return "" if inside else ", a link that leads out of the uploads"


def _note(texts: list[str], text: str) -> None:
    if len(texts) < _LISTED:
        texts.append(text.strip()[:300])


def _files(uploads: str) -> t.Iterator[str]:
    for directory, _names, files in os.walk(uploads):
        for name in files:
            yield os.path.relpath(os.path.join(directory, name), uploads)


def of_lines(text: str) -> t.Iterator[Reference]:
    """From JSON lines with ``path`` and, where they are known, ``table`` and ``sha256``; other output is refused."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield _reference(str(row.get("table") or ""), row["path"], row.get("sha256"))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise BackupError(
                f"Failed to read reference {number}: it is no JSON object with path and sha256. The command of "
                "larapee_backup_drill_references_command has to print one in each line, and nothing else.",
                reason="bad_references",
            ) from exc


def of_queries(option_file: str, database: str, queries: t.Sequence[str]) -> t.Iterator[Reference]:
    """From the rows of each query: a path, and if there is a second column its hash; no path names nothing."""
    import pymysql
    from pymysql.cursors import SSCursor

    for number, query in enumerate(queries, start=1):
        with connect(read_option_file(option_file)) as connection:
            try:
                connection.select_db(database)
                with connection.cursor(SSCursor) as cursor:
                    cursor.execute("START TRANSACTION READ ONLY")
                    cursor.execute(query)
                    for row in cursor:
                        if row[0] is not None:
                            yield _reference(f"query {number}", row[0], row[1] if len(row) > 1 else None)
            except (pymysql.MySQLError, ValueError, TypeError) as exc:
                raise BackupError(
                    f"Failed to ask for references with query {number}: {exc}. It has to give paths below the uploads, "
                    "and if need be the file's SHA-256; see larapee_backup_drill_reference_queries.",
                    reason="bad_references",
                ) from exc


def _reference(table: str, path: t.Any, sha256: t.Any) -> Reference:
    name = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    if not isinstance(name, str) or not name or len(name) > _LONGEST_PATH or "\0" in name:
        raise ValueError(f"{name!r} is no path")
    known = (sha256.decode("ascii") if isinstance(sha256, bytes) else sha256) or ""
    if known and not _HASH.fullmatch(str(known).lower()):
        raise ValueError(f"{known!r} is no SHA-256")
    return Reference(table, name, str(known).lower())


__all__ = ("Findings", "Reference", "check", "of_lines", "of_queries")

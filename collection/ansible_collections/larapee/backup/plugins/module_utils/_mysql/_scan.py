# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts the objects in a dump as it passes.

A dump's rows cannot fake the start of a line (newlines in values are escaped), but the bodies of triggers and routines
can; those lie between ``DELIMITER ;;`` and ``DELIMITER ;``, where only the statement itself counts.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._errors import BackupError
from ._inspect import OBJECT_KINDS

# How much of a line is needed to know what it starts.
_LINE_START = 2048
_INTERESTING = re.compile(
    rb"\n(CREATE |DELIMITER |/\*!50001 VIEW |/\*!50003 CREATE\*/|/\*!50106 CREATE\*/|ALTER DATABASE )"
)
_KINDS = {
    b"CREATE TABLE ": "tables",
    b"CREATE SEQUENCE ": "sequences",
    b"/*!50001 VIEW ": "views",
    b"/*!50003 CREATE*/": "triggers",
    b"/*!50106 CREATE*/": "events",
}
_ROUTINE = re.compile(rb"CREATE\s.*?\b(PROCEDURE|FUNCTION|PACKAGE)\b", re.IGNORECASE | re.DOTALL)
_ALTERED = re.compile(rb"ALTER DATABASE `((?:[^`]|``)*)`")


class DumpScanner:
    """Tap over a dump in plain SQL.

    ``objects`` counts by kind, ``one_time_events`` are the events among them that have one time only, ``longest_line``
    is in bytes; *only_database* refuses statements for another schema.
    """

    def __init__(self, *, only_database: str | None = None) -> None:
        self.objects = dict.fromkeys(OBJECT_KINDS, 0)
        self.one_time_events = 0
        self.longest_line = 0
        self._line_length = 0
        self._only = None if only_database is None else only_database.encode()
        self._carry = b"\n"
        self._in_body = False
        self._after_delimiter = False

    def feed(self, block: memoryview) -> None:
        passing = bytes(block)
        self._measure(passing)
        data = self._carry + passing
        # The last line is looked at again with the next block, unless so much of it is here that its start was seen.
        cut = data.rfind(b"\n")
        if len(data) - cut > _LINE_START:
            cut = len(data)
        self._scan(data, cut)
        self._carry = data[cut:] if cut < len(data) else b""

    def _measure(self, passing: bytes) -> None:
        """Keep the length of the longest line, exact for lines longer than a block: a row is one packet on loading."""
        first = passing.find(b"\n")
        if first < 0:
            self._line_length += len(passing)
        else:
            self.longest_line = max(self.longest_line, self._line_length + first)
            self._line_length = len(passing) - passing.rfind(b"\n") - 1
        self.longest_line = max(self.longest_line, self._line_length)

    def close(self) -> None:
        """Look at the last line."""
        self._scan(self._carry, len(self._carry))
        self._carry = b""

    def _scan(self, data: bytes, end: int) -> None:
        for match in _INTERESTING.finditer(data, 0, end):
            self._line(data[match.start() + 1 : match.start() + 1 + _LINE_START])

    def _line(self, line: bytes) -> None:
        if line.startswith(b"DELIMITER "):
            self._in_body = line.split(b"\n", 1)[0].split()[1:] != [b";"]
            self._after_delimiter = self._in_body
            return
        if line.startswith(b"ALTER DATABASE ") and (self._after_delimiter or not self._in_body):
            # Written before an object that was made under another collation of the schema.
            self._check_database(line)
        elif not self._in_body:
            self._count(line)
        elif self._after_delimiter:
            self._count_body(line)
            self._after_delimiter = False

    def _count_body(self, line: bytes) -> None:
        if _ROUTINE.match(line):
            self.objects["routines"] += 1
        elif line.startswith((b"/*!50003 CREATE*/", b"/*!50106 CREATE*/")):
            self._count(line)
            self.one_time_events += line.startswith(b"/*!50106 CREATE*/") and b" ON SCHEDULE AT " in line

    def _count(self, line: bytes) -> None:
        for start, kind in _KINDS.items():
            if line.startswith(start):
                self.objects[kind] += 1

    def _check_database(self, line: bytes) -> None:
        match = _ALTERED.match(line)
        if self._only is not None and match is not None and match[1].replace(b"``", b"`") != self._only:
            raise BackupError(
                f"Failed to restore: the dump alters the schema {match[1].decode('utf-8', 'replace')}, not the target. "
                "Restore it under its own name on a server of its own.",
                reason="other_schema",
            )


def difference(expected: t.Mapping[str, int], found: t.Mapping[str, int]) -> str:
    """Say in which kinds *found* differs from *expected*; empty when it does not."""
    return ", ".join(
        f"{found.get(kind, 0)} of {count} {kind}" for kind, count in expected.items() if found.get(kind, 0) != count
    )


__all__ = ("DumpScanner", "difference")

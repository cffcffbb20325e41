# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the plain bytes of an increment of the database are what its manifest says: whole files in a row.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import typing as t

from ._binlog import _gtid
from ._binlog._container import ContainerReader
from ._binlog._errors import BinlogError
from ._binlog._facts import LogFacts
from ._binlog._names import next_name
from ._binlog._walker import Walker
from ._errors import BackupError
from ._manifest import Manifest


class LogCheck:
    """Tap over the plain bytes of an increment: walks through each file as it passes, in bounded memory.

    Raises BackupError where file and manifest differ, ``finish`` for what is missing at the end.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._engine = str(manifest.document["engine"])
        self._expected: t.Sequence[t.Mapping[str, t.Any]] = manifest.document["files"]
        self._reader = ContainerReader(begin=self._begin, data=self._data, end=self._end)
        self._walker = Walker(self._engine)
        self._digest = hashlib.sha256()
        self._found: list[LogFacts] = []

    def feed(self, block: memoryview) -> None:
        try:
            self._reader.feed(block)
        except BinlogError as exc:
            raise self._wrong(self._named(str(exc))) from exc

    def finish(self) -> None:
        """Raise BackupError unless every file has passed, and they hold together what the manifest says."""
        try:
            self._reader.close()
            self._compare_all()
        except BinlogError as exc:
            raise self._wrong(str(exc)) from exc

    def _begin(self, name: str, size: int) -> None:
        self._walker = Walker(self._engine)
        self._digest = hashlib.sha256()
        number = len(self._found)
        expected = self._expected[number] if number < len(self._expected) else {}
        if (expected.get("name"), expected.get("size")) != (name, size):
            raise self._wrong(f"it holds {name} of {size} bytes, which its manifest does not name there")

    def _data(self, block: memoryview) -> None:
        self._digest.update(block)
        self._walker.feed(block)

    def _end(self, name: str) -> None:
        expected = self._expected[len(self._found)]
        if self._digest.hexdigest() != expected["sha256"]:
            raise self._wrong(f"{name}: its SHA-256 is not that of the manifest")
        facts = self._facts(crashed=expected["end"] == "crash")
        if facts.identity != expected["identity"]:
            raise self._wrong(f"{name}: it is of another life of the server than its manifest says")
        if facts.end != {"crash": "open"}.get(expected["end"], expected["end"]):
            raise self._wrong(f"{name}: its last event is not the one that its manifest says")
        if facts.next_file not in (None, next_name(name)):
            raise self._wrong(f"{name}: it leads to {facts.next_file}")
        if self._found and facts.before != self._found[-1].after:
            raise self._wrong(f"{name}: it begins at GTID {facts.before}, the file before it ends at another")
        self._found.append(facts)

    def _facts(self, *, crashed: bool) -> LogFacts:
        try:
            return self._walker.close()
        except BinlogError:
            # The server died within an event: what is whole counts, and the sum of all bytes was right.
            if not crashed:
                raise
            return self._walker.facts()

    def _compare_all(self) -> None:
        document = self._manifest.document
        if len(self._found) != len(self._expected):
            raise self._wrong(f"it holds {len(self._found)} files, its manifest names {len(self._expected)}")
        for edge, state in (("start", self._found[0].before), ("end", self._found[-1].after)):
            if _gtid.parse(self._engine, str(document[edge].get("gtid") or "")) != state:
                raise self._wrong(f"its {edge} is GTID {state}, its manifest says another")
        counted = {
            "transactions": sum(each.groups for each in self._found),
            "definitions": sum(each.definitions for each in self._found),
            "largest_event": max(each.largest_event for each in self._found),
        }
        for field, count in counted.items():
            if document[field] != count:
                raise self._wrong(f"{field} is {count}, its manifest says {document[field]}")
        if any(each.went_back for each in self._found) and not document["time_went_back"]:
            raise self._wrong("its times go back, and its manifest does not say so")

    def _named(self, why: str) -> str:
        number = len(self._found)
        return f"{self._expected[number]['name']}: {why}" if number < len(self._expected) else why

    def _wrong(self, why: str) -> BackupError:
        return BackupError(
            f"Failed to open {self._manifest.artifact}: {why}. Keep that increment for inspection; a restore ends "
            "before it, or begins after it.",
            reason="log_mismatch",
        )


__all__ = ("LogCheck",)

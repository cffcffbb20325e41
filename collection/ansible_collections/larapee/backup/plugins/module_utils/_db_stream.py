# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The increments of one epoch as parts of one stream of binary log files, and what joins to what. Pure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import typing as t

from . import _names
from ._binlog import _gtid
from ._binlog._errors import BinlogError
from ._binlog._names import is_log_name, log_number
from ._manifest import Manifest

# Stem and number of a binary log file.
Key = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Piece:
    """An increment: the files ``first`` to ``last`` of ``stem``; ``hashes`` are theirs, in order."""

    manifest: Manifest
    stem: str
    first: int
    last: int
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.manifest.artifact

    @property
    def base(self) -> str:
        """The newest full that the run knew."""
        return str(self.manifest.document["base"])

    @property
    def begin(self) -> Key:
        return (self.stem, self.first)

    @property
    def end(self) -> Key:
        return (self.stem, self.last)

    @property
    def after(self) -> Key:
        """What has to come next."""
        return (self.stem, self.last + 1)

    @property
    def keys(self) -> list[Key]:
        return [(self.stem, number) for number in range(self.first, self.last + 1)]

    def hash_of(self, key: Key) -> str:
        return self.hashes[key[1] - self.first]


class Stream:
    """All increments of one epoch, the unusable ones too: they tell what there was.

    ``flaws`` says by name why one cannot be used. ``forked`` says, else empty, what shows that the branch was rolled
    back and lived twice under one epoch: the number of a file no longer tells which life it is of. *repeated*: what the
    numbers of its artifacts show of that.
    """

    def __init__(
        self,
        increments: t.Iterable[Manifest],
        *,
        known: t.Container[str],
        unusable: t.Mapping[str, str],
        repeated: str,
    ) -> None:
        self._known = known
        self.flaws: dict[str, str] = {}
        self.pieces: list[Piece] = []
        self.starting: dict[Key, list[Piece]] = {}
        self.ending: dict[Key, list[Piece]] = {}
        self.holding: dict[Key, list[Piece]] = {}
        self._by_name: dict[str, Piece] = {}
        for each in increments:
            if each.artifact in unusable:
                self.flaws[each.artifact] = f"it is unusable: {unusable[each.artifact]}"
            try:
                piece = _piece(each)
            except ValueError as exc:
                self.flaws.setdefault(each.artifact, f"it is unusable: {exc}")
                continue
            self._add(piece)
        self.pieces.sort(key=lambda piece: (piece.begin, piece.manifest.order, piece.name))
        self._begins = [piece.begin for piece in self.pieces]
        self.forked = repeated or self._fork()

    def _add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self._by_name[piece.name] = piece
        self.starting.setdefault(piece.begin, []).append(piece)
        self.ending.setdefault(piece.end, []).append(piece)
        for key in piece.keys:
            self.holding.setdefault(key, []).append(piece)

    def _fork(self) -> str:
        for key, holders in self.holding.items():
            for each in holders[1:]:
                if each.hash_of(key) != holders[0].hash_of(key):
                    return two_hold(key, *sorted((holders[0].name, each.name)))
        return ""

    def usable(self, pieces: t.Iterable[Piece]) -> list[Piece]:
        return [piece for piece in pieces if piece.name not in self.flaws]

    def is_known(self, name: str) -> bool:
        return name in self._known

    def next_above(self, key: Key) -> Piece | None:
        """The first one that begins after the file *key*."""
        at = bisect.bisect_right(self._begins, key)
        return self.pieces[at] if at < len(self.pieces) and self.pieces[at].stem == key[0] else None

    def last_below(self, key: Key) -> Piece | None:
        """The last one that begins before the file *key*."""
        at = bisect.bisect_left(self._begins, key)
        return self.pieces[at - 1] if at and self.pieces[at - 1].stem == key[0] else None

    def why_not_after(self, before: Piece, after: Piece) -> str | None:
        """What keeps *after*, which begins with the next file, from following *before*; None: it follows."""
        other = another_server(before.manifest, after.manifest)
        if other is not None:
            return f"{after.name} is of {other}"
        state, needed = _state(before.manifest, "end"), _state(after.manifest, "start")
        if state != needed and not _same_state(before.manifest, state, needed):
            return (
                f"{after.name} begins at GTID {needed or 'nothing'}, {before.name} ends at {state or 'nothing'}: "
                "the binary log was reset, or the server was rolled back"
            )
        named = str(after.manifest.document["previous"])
        if named == before.name:
            return None
        if _is_full(named):
            # A place that had lost its increments begins again from a full; in a fork that proves nothing.
            return f"{after.name} says that it continues {named}, not {before.name}" if self.forked else None
        twin = self._by_name.get(named)
        if twin is not None and twin.end == before.end and twin.hashes[-1] == before.hashes[-1]:
            return None
        missing = "" if self.is_known(named) else ", which is missing"
        return f"{after.name} continues {named}{missing}, not {before.name}: the branch was rolled back"

    def why_not_from(self, full: Manifest, key: Key, piece: Piece) -> str | None:
        """What keeps *piece*, which holds the file of *full*'s position, from going on from there; None: nothing."""
        other = another_server(full, piece.manifest)
        if other is not None:
            return f"{piece.name} is of {other}"
        position = full.position["position"]
        size = piece.manifest.document["files"][key[1] - piece.first]["size"]
        if position > size:
            return (
                f"{full.artifact} stands at {position} in {file_name(key)}, which has {size} bytes in {piece.name}: "
                "the binary log was reset, or the server was rolled back"
            )
        if not _lies_within(full, piece.manifest):
            return (
                f"{full.artifact} stands at GTID {full.position['gtid']}, which {file_name(key)} in {piece.name} does "
                "not pass: the binary log was reset, or the server was rolled back"
            )
        return None


def _piece(manifest: Manifest) -> Piece:
    """Raises ValueError that says what is wrong with an increment in itself."""
    document = manifest.document
    files = document["files"]
    stems, numbers = [], []
    for each in files:
        if not is_log_name(each["name"]):
            raise ValueError("it holds a file that no server calls so")
        stems.append(each["name"].rpartition(".")[0])
        numbers.append(log_number(each["name"]))
    first, last = numbers[0], numbers[-1]
    if len(set(stems)) > 1 or numbers != list(range(first, last + 1)):
        raise ValueError("its own files do not follow each other")
    if document["start"]["position"] > _BEGIN or document["end"]["position"] != files[-1]["size"]:
        raise ValueError("it does not hold its files from beginning to end")
    return Piece(manifest, stems[0], first, last, tuple(each["sha256"] for each in files))


# The magic bytes of a binary log file come before its first event.
_BEGIN: t.Final = 4


def key_of(full: Manifest) -> Key | None:
    """The file in which *full* stands; None for one without a position in a binary log."""
    start, end = full.document.get("start"), full.position
    if not isinstance(start, dict) or not start.get("file"):
        return None
    name, position = end.get("file"), end.get("position")
    if not isinstance(name, str) or not is_log_name(name) or not isinstance(position, int) or position < _BEGIN:
        return None
    return (name.rpartition(".")[0], log_number(name))


def file_name(key: Key) -> str:
    return f"{key[0]}.{key[1]:06d}"


def another_server(before: Manifest, after: Manifest) -> str | None:
    """In which way *after* is of another server than *before*; None when it is not."""
    for field, label in (("engine", "another engine"), ("server_id", "another server")):
        old, new = before.document[field], after.document[field]
        if old != new:
            return f"{label} ({new if field == 'engine' else f'server_id {new}'} instead of {old})"
    return None


def differ(one: Piece, other: Piece) -> Key | None:
    """The first file that both hold, each with another content."""
    if one.stem != other.stem:
        return None
    shared = range(max(one.first, other.first), min(one.last, other.last) + 1)
    return next(
        (key for key in ((one.stem, number) for number in shared) if one.hash_of(key) != other.hash_of(key)), None
    )


def two_hold(key: Key, one: str, other: str) -> str:
    return (
        f"two artifacts hold {file_name(key)} with different contents, {one} and {other} (the branch was rolled back)"
    )


def _is_full(name: str) -> bool:
    parsed = _names.parse_name(name)
    return parsed is not None and parsed.kind == "db_full"


def _state(manifest: Manifest, edge: str) -> str:
    return str(manifest.document[edge].get("gtid") or "")


def _same_state(manifest: Manifest, one: str, other: str) -> bool:
    """However they are written."""
    with contextlib.suppress(BinlogError, KeyError):
        engine = manifest.document["engine"]
        return _gtid.parse(engine, one) == _gtid.parse(engine, other)
    return False


def _lies_within(full: Manifest, increment: Manifest) -> bool:
    """Whether *full*'s state can be one between the increment's two; one that is not written in GTIDs may be."""
    text = full.position.get("gtid")
    if not text:
        return True
    try:
        start, at, end = (
            _gtid.parse(full.document["engine"], each)
            for each in (_state(increment, "start"), str(text), _state(increment, "end"))
        )
    except (BinlogError, KeyError):
        return False
    return not at.lower(start) and not end.lower(at)


__all__ = ("Key", "Piece", "Stream", "another_server", "differ", "file_name", "key_of", "two_hold")

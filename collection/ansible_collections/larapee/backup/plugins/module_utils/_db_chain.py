# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far each full of the database reaches through the increments, from manifests alone. Pure.

The increments of an epoch are one stream of whole binary log files, whoever took a full meanwhile: a full stands in one
of the files, and its chain goes on through all later increments, also those of a newer full.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _db_astray, _db_stream
from ._db_stream import Piece, Stream
from ._manifest import Manifest


@dataclasses.dataclass(frozen=True)
class DbChain:
    """A full and all increments that follow it without a gap, in order.

    ``broken`` names why it goes no further although there is something later; None when nothing is later.
    """

    full: Manifest
    increments: tuple[Manifest, ...]
    broken: str | None

    @property
    def artifacts(self) -> tuple[Manifest, ...]:
        return (self.full, *self.increments)

    @property
    def last(self) -> Manifest:
        return self.increments[-1] if self.increments else self.full

    @property
    def recovery_point(self) -> dt.datetime:
        """Up to when (UTC) the chain restores."""
        return self.last.recovery_point

    @property
    def position(self) -> dict[str, t.Any]:
        """Where it ends: ``file``, ``position``, ``gtid``, ``time``."""
        return self.last.position


def db_chains(
    manifests: t.Iterable[Manifest], *, unusable: t.Mapping[str, str] | None = None
) -> tuple[list[DbChain], dict[str, str]]:
    """The chains of one branch's database, oldest full first; and by name, why an increment belongs to none.

    *unusable* says by name why an artifact cannot be restored: it begins no chain, and none goes through it. The order
    of *manifests* does not matter.
    """
    return _Chains(manifests, unusable or {}).build()


class _Chains:
    def __init__(self, manifests: t.Iterable[Manifest], unusable: t.Mapping[str, str]) -> None:
        own = (each for each in manifests if each.kind in ("db_full", "db_increment"))
        ordered = sorted(own, key=lambda each: (each.order, each.artifact, each.sha256), reverse=True)
        self._known = {each.artifact: each for each in ordered}
        self._unusable = unusable
        self._fulls = sorted(
            (each for each in self._known.values() if each.kind == "db_full"),
            key=lambda each: (each.order, each.artifact),
        )
        self._lines: dict[str, _Lines] = {}

    def build(self) -> tuple[list[DbChain], dict[str, str]]:
        by_epoch: dict[str, list[Manifest]] = {}
        for each in self._known.values():
            if each.kind == "db_increment":
                by_epoch.setdefault(each.epoch, []).append(each)
        repeated = self._repeated()
        for epoch, increments in by_epoch.items():
            stream = Stream(increments, known=self._known, unusable=self._unusable, repeated=repeated.get(epoch, ""))
            self._lines[epoch] = _Lines(stream)
        replaced = self._replaced_by()
        chains = [
            self._chain(each, replaced[each.artifact]) for each in self._fulls if each.artifact not in self._unusable
        ]
        astray: dict[str, str] = {}
        for epoch, lines in self._lines.items():
            fulls = [each for each in self._fulls if each.epoch == epoch]
            astray.update(
                _db_astray.reasons(
                    lines.stream,
                    chained=lines.chained,
                    fulls={each.artifact: (each, self._unusable.get(each.artifact)) for each in fulls},
                    broken={each.full.artifact: each.broken for each in chains if each.full.epoch == epoch},
                )
            )
        return chains, astray

    def _repeated(self) -> dict[str, str]:
        """By epoch, two artifacts that bear one number: the branch forgot that it had given it."""
        found: dict[str, str] = {}
        numbers: dict[tuple[str, int], Manifest] = {}
        for each in sorted(self._known.values(), key=lambda one: one.artifact):
            other = numbers.setdefault((each.kind, each.sequence), each)
            if other is not each and each.sequence:
                what = f"{other.artifact} and {each.artifact} have one number, {each.sequence}"
                for epoch in (other.epoch, each.epoch):
                    found.setdefault(epoch, f"{what} (the branch was rolled back)")
        return found

    def _replaced_by(self) -> dict[str, str | None]:
        """By name of a full, how the epoch after its own began."""
        found: dict[str, str | None] = {}
        later: Manifest | None = None
        after: str | None = None
        for each in reversed(self._fulls):
            if later is not None and later.epoch != each.epoch:
                why = later.document.get("epoch_reason") or "not said why"
                after = f"a new epoch began with {later.artifact}: {why}"
            found[each.artifact] = after
            later = each
        return found

    def _chain(self, full: Manifest, replaced: str | None) -> DbChain:
        key = _db_stream.key_of(full)
        lines = self._lines.get(full.epoch)
        if key is None:
            why = f"{full.artifact} has no position in a binary log" if lines is not None else None
            return DbChain(full, (), why)
        if lines is None:
            return DbChain(full, (), replaced)
        increments, why = lines.follow(full, key)
        return DbChain(full, increments, why or replaced)


class _Lines:
    """Where each increment of a stream leads to, along the way that reaches furthest.

    ``chained`` names the increments that are in the chain of a full that was followed.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.chained: set[str] = set()
        self._next: dict[str, Piece] = {}
        self._end: dict[str, Piece] = {}
        self._paths: dict[str, tuple[tuple[Piece, ...], int]] = {}
        self._why: dict[str, str | None] = {}
        # What follows begins with a higher number: its own way is known by then.
        for piece in reversed(stream.pieces):
            if piece.name in stream.flaws:
                continue
            following = [
                each
                for each in stream.usable(stream.starting.get(piece.after, ()))
                if stream.why_not_after(piece, each) is None
            ]
            if following:
                self._next[piece.name] = self._furthest(following)
            self._end[piece.name] = self._end[self._next[piece.name].name] if following else piece
        numbered = (each for each in stream.pieces if each.name not in stream.flaws)
        self._by_number = sorted(numbered, key=lambda each: (each.manifest.order, each.name))

    def follow(self, full: Manifest, key: _db_stream.Key) -> tuple[tuple[Manifest, ...], str | None]:
        """The increments of *full*'s chain, and why there are no more although something is later."""
        holders = self.stream.holding.get(key, [])
        fitting = [each for each in holders if self.stream.why_not_from(full, key, each) is None]
        # What is proved for one copy of a file is proved for all.
        own = {each.hash_of(key) for each in fitting if self._why_strange(full, each) is None}
        fitting = [each for each in self.stream.usable(fitting) if each.hash_of(key) in own]
        if not fitting:
            return (), self._why_not_begun(full, key, holders)
        first = self._furthest(fitting)
        path = self._path(first)
        last = path[-1]
        at: Piece | None = first
        while at is not None and at.name not in self.chained:
            self.chained.add(at.name)
            at = self._next.get(at.name)
        if last.name not in self._why:
            self._why[last.name] = self._why_ended(last)
        return tuple(piece.manifest for piece in path), self._why[last.name]

    def _furthest(self, pieces: t.Sequence[Piece]) -> Piece:
        """The one whose way leads furthest; of two lives of the server, the one that was lived last."""
        forked = any(_db_stream.differ(one, pieces[0]) for one in pieces)

        def reach(piece: Piece) -> tuple[t.Any, ...]:
            end = self._end[piece.name]
            number = (end.manifest.order, end.manifest.created_at)
            return (*(number if forked else (end.last, number)), piece.manifest.order, piece.name)

        return max(pieces, key=reach)

    def _why_strange(self, full: Manifest, piece: Piece) -> str | None:
        """What speaks for *piece* being of another life of the server than *full*; None: nothing does.

        A run that knew the full proves that it is of the same: its increment names the full.
        """
        late = piece.manifest.created_at < full.created_at
        if not (self.stream.forked or late) or full.artifact in (piece.manifest.document["previous"], piece.base):
            return None
        if any(each.base == full.artifact for each in self._path(piece)):
            return None
        what = self.stream.forked or f"{piece.name} was sealed before {full.artifact} was begun"
        return f"{piece.name} may be of another life of the server than {full.artifact}: {what}"

    def _path(self, piece: Piece) -> tuple[Piece, ...]:
        """*piece* and all that follow it; ways that meet share their rest."""
        head: list[Piece] = []
        at: Piece | None = piece
        while at is not None and at.name not in self._paths:
            head.append(at)
            at = self._next.get(at.name)
        rest: tuple[Piece, ...] = ()
        if at is not None:
            known, index = self._paths[at.name]
            rest = known[index:]
        path = (*head, *rest)
        for index, each in enumerate(head):
            self._paths[each.name] = (path, index)
        return path

    def _why_not_begun(self, full: Manifest, key: _db_stream.Key, holders: t.Sequence[Piece]) -> str | None:
        for each in sorted(holders, key=lambda one: one.name in self.stream.flaws):
            if each.name in self.stream.flaws:
                return f"{each.name}, {_db_astray.which(self.stream.flaws[each.name])}"
            return self.stream.why_not_from(full, key, each) or self._why_strange(full, each)
        above = self.stream.next_above(key)
        if above is None:
            return None
        where = f"{full.artifact} stands in {_db_stream.file_name(key)}"
        return f"a gap: {where}, {_db_astray.begins(self.stream, above)}"

    def _why_ended(self, last: Piece) -> str | None:
        stream = self.stream
        candidates = sorted(stream.starting.get(last.after, ()), key=lambda each: each.name in stream.flaws)
        for each in candidates:
            if each.name in stream.flaws:
                return f"{each.name}, {_db_astray.which(stream.flaws[each.name])}"
            return stream.why_not_after(last, each)
        ends = f"{last.name} ends at {_db_stream.file_name(last.end)}"
        for each in stream.holding.get(last.after, ()):
            return f"an overlap: {ends}, {each.name} begins at {_db_stream.file_name(each.begin)} again"
        above = stream.next_above(last.end)
        if above is not None:
            return f"a gap: {ends}, {_db_astray.begins(stream, above)}"
        for each in reversed(self._by_number):
            if each.manifest.order <= last.manifest.order:
                return None
            begins = f"the later {each.name} begins at {_db_stream.file_name(each.begin)}"
            if each.stem != last.stem:
                return f"the binary log has another name: {ends}, {begins}"
            other = _db_stream.another_server(last.manifest, each.manifest)
            if other is not None:
                return f"{each.name} is of {other}"
            holders = [one for one in stream.holding.get(each.begin, ()) if one.name != each.name]
            if not any(one.hash_of(each.begin) == each.hash_of(each.begin) for one in holders):
                return f"the binary log was reset: {ends}, {begins}"
        return None


__all__ = ("DbChain", "db_chains")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup sets of a branch, from manifests alone. Pure.

A set begins with a run that made a full of the database or of the uploads, and goes on until the next one begins. It
stands on the database chain, the uploads chain and the config snapshot that were the newest in its time, whoever made
them: several sets may stand on one artifact.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
import typing as t

from . import _chain, _manifest
from ._manifest import Manifest

DATABASE: t.Final = "database"
UPLOADS: t.Final = "uploads"
CONFIG: t.Final = "config"
FAMILIES: t.Final = {
    "db_full": DATABASE,
    "db_increment": DATABASE,
    "files_full": UPLOADS,
    "files_increment": UPLOADS,
    "config": CONFIG,
}
_ANCHORS: t.Final = ("db_full", "files_full")
_MEASURES: t.Final[dict[str, dict[str, t.Callable[[Manifest], int]]]] = {
    DATABASE: {"bytes of the database": lambda each: each.plain_size},
    UPLOADS: {
        "entries of the uploads": lambda each: int(each.document["tree"]["entries"]),
        "bytes of the uploads": lambda each: int(each.document["tree"]["bytes"]),
    },
}

Position = tuple[int, dt.datetime, int]


@dataclasses.dataclass(frozen=True)
class BackupSet:
    """``index`` counts from the oldest set of the branch; ``number`` is 0 for sets from before numbers were given.

    ``own`` was made in its time, ``members`` restores it as it was at its end, ``keeps`` names all that it stands on.
    ``flaws`` says why it is not complete. ``least`` and ``most`` are its measures in its time. ``time`` is when it
    began, ``newest`` the recovery point of what came last into it.
    """

    index: int
    number: int
    time: dt.datetime
    newest: dt.datetime
    epoch: str
    own: tuple[Manifest, ...]
    members: tuple[Manifest, ...]
    keeps: frozenset[str]
    flaws: tuple[str, ...]
    least: t.Mapping[str, int]
    most: t.Mapping[str, int]

    @property
    def key(self) -> str:
        """Tells it from the other sets, with or without a number."""
        return self.own[0].artifact

    @property
    def label(self) -> str:
        """How people are told of it."""
        time = _manifest.format_time(self.time)
        return f"set {self.number} ({time})" if self.number else f"the set of {time}"


def position(manifest: Manifest) -> Position:
    """Orders the runs that made artifacts of any kind: adopted ones first, then those without a set number."""
    era, moment, sequence = manifest.order
    return (2, moment, manifest.set_number) if manifest.set_number and era else (era, moment, sequence)


def backup_sets(manifests: t.Iterable[Manifest], *, known_kinds: t.Iterable[str] = ()) -> list[BackupSet]:
    """The sets of one branch, oldest first. *known_kinds*: kinds that this place has held, beside those it holds."""
    ordered = sorted(manifests, key=lambda each: (position(each), each.order, each.artifact))
    if not any(each.kind in _ANCHORS for each in ordered):
        return []
    return _Builder(ordered, known_kinds).build()


class _Builder:
    def __init__(self, ordered: t.Sequence[Manifest], known_kinds: t.Iterable[str]) -> None:
        self._ordered = ordered
        self._positions = [position(each) for each in ordered]
        self._families = sorted({FAMILIES[kind] for kind in (*known_kinds, *(each.kind for each in ordered))})
        chains, why = _chain.file_chains(each for each in ordered if FAMILIES[each.kind] == UPLOADS)
        self._chains = {chain.full.artifact: chain.artifacts for chain in chains}
        self._astray = [(each, why[each.artifact]) for each in ordered if each.artifact in why]
        for each in ordered:
            if each.kind == "db_full":
                self._chains[each.artifact] = (each,)
        for each in ordered:
            if each.kind == "db_increment" and each.document["base"] in self._chains:
                self._chains[each.document["base"]] += (each,)

    def build(self) -> list[BackupSet]:
        anchors = sorted({position(each) for each in self._ordered if each.kind in _ANCHORS})
        # What is older than the first set belongs to it: it has to belong to one, or it would stay for ever.
        starts = [0, *(bisect.bisect_left(self._positions, anchor) for anchor in anchors[1:]), len(self._ordered)]
        return [self._set(index, starts[index], starts[index + 1]) for index in range(len(anchors))]

    def _set(self, index: int, start: int, end: int) -> BackupSet:
        own = self._ordered[start:end]
        until = self._positions[end - 1]
        anchor = next(each for each in own if each.kind in _ANCHORS)
        fulls = [self._newest(kind, end) for kind in (*_ANCHORS, "config")]
        members: list[Manifest] = []
        keeps = {each.artifact for each in own}
        for full in fulls:
            chain = () if full is None else self._chains.get(full.artifact, (full,))
            members += [each for each in chain if position(each) <= until]
            keeps.update(each.artifact for each in chain)
        database, uploads, _config = fulls
        flaws = [f"it has no {family}" for family in self._families if family not in _families(members)]
        flaws += [f"{each.artifact} lacks files that could not be read" for each in members if _unreadable(each)]
        if uploads is not None:
            flaws += [
                f"{each.artifact} does not join its chain: {why}"
                for each, why in self._astray
                if position(uploads) <= position(each) <= until
            ]
        measured = _measured(own, members)
        return BackupSet(
            index=index,
            number=anchor.set_number if anchor.adopted_moment is None else 0,
            time=min(each.recovery_point for each in own if position(each) == position(anchor)),
            newest=max(each.recovery_point for each in own if position(each) == until),
            epoch=(database or anchor).epoch,
            own=tuple(own),
            members=tuple(members),
            keeps=frozenset(keeps),
            flaws=tuple(flaws),
            least={name: min(values) for name, values in measured.items()},
            most={name: max(values) for name, values in measured.items()},
        )

    def _newest(self, kind: str, end: int) -> Manifest | None:
        return next((self._ordered[at] for at in range(end - 1, -1, -1) if self._ordered[at].kind == kind), None)


def _families(manifests: t.Iterable[Manifest]) -> set[str]:
    return {FAMILIES[each.kind] for each in manifests}


def _unreadable(manifest: Manifest) -> bool:
    return bool(manifest.document.get("problems", {}).get("unreadable"))


def _measured(own: t.Sequence[Manifest], members: t.Sequence[Manifest]) -> dict[str, list[int]]:
    """What was measured in the set's time; of a family that it has nothing of its own of, what it found there."""
    values: dict[str, list[int]] = {}
    for family, measures in _MEASURES.items():
        mine = [each for each in own if FAMILIES[each.kind] == family]
        for each in mine or [each for each in members if FAMILIES[each.kind] == family][-1:]:
            for name, measure in measures.items():
                values.setdefault(name, []).append(measure(each))
    return values


__all__ = ("CONFIG", "DATABASE", "FAMILIES", "UPLOADS", "BackupSet", "Position", "backup_sets", "position")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup sets of a branch, from manifests alone. Pure.

A set begins with a run that made a full of the database or of the uploads, and goes on until the next one begins. It
stands on the database chain, the uploads chain and the config snapshot that were the newest in its time, whoever made
them: several sets may stand on one artifact.

Increments of the database are one stream that no full interrupts. A full takes minutes, in which log runs seal what it
needs or what is older than it, so they belong to the set whose full they follow in the stream, whatever their numbers.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
import typing as t

from . import _chain, _db_chain, _epoch, _manifest
from ._db_chain import DbChain
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
    # Of fulls only: the size of an increment says how much was sold, not how much there is.
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
    ``first`` and ``last`` are the places of its first and last artifact in the order of runs.
    ``flaws`` says why it is not complete. ``least`` and ``most`` are its measures in its time. ``time`` is when it
    began, ``newest`` the recovery point of what came last into it.
    """

    index: int
    number: int
    time: dt.datetime
    newest: dt.datetime
    first: Position
    last: Position
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
    found = list(manifests)
    if not any(each.kind in _ANCHORS for each in found):
        return []
    return _Builder(found, known_kinds).build()


@dataclasses.dataclass(frozen=True)
class DatabasePoint:
    """A state of the database: the first ``length`` artifacts of a chain (the full is one), applied to their end."""

    chain: DbChain
    length: int

    @property
    def artifacts(self) -> tuple[Manifest, ...]:
        return self.chain.artifacts[: self.length]

    @property
    def position(self) -> dict[str, t.Any]:
        """``file``, ``position``, ``gtid`` and ``time`` of its end."""
        return self.chain.artifacts[self.length - 1].position


def database_at(chains: t.Sequence[DbChain], number: int) -> DatabasePoint | None:
    """The state of the database that belongs to the set *number*, from chains, oldest first; None before all of them.

    A run gets its number when its first artifact is done, so the numbers within a chain need not rise: what ends with
    the set's own artifact is the set's, else what ends with the newest artifact of an older number.
    """
    own: list[DatabasePoint] = []
    older: list[DatabasePoint] = []
    for chain in chains:
        for length, each in enumerate(chain.artifacts, start=1):
            if each.set_number <= number:
                (own if each.set_number == number else older).append(DatabasePoint(chain, length))
    found = own or older
    return found[-1] if found else None


class _Builder:
    def __init__(self, found: t.Sequence[Manifest], known_kinds: t.Iterable[str]) -> None:
        self._families = sorted({FAMILIES[kind] for kind in (*known_kinds, *(each.kind for each in found))})
        uploads, why_uploads = _chain.file_chains(each for each in found if FAMILIES[each.kind] == UPLOADS)
        database, why_database = database_chains(each for each in found if FAMILIES[each.kind] == DATABASE)
        self._chains = {chain.full.artifact: chain.artifacts for chain in uploads}
        self._chains.update((chain.full.artifact, chain.artifacts) for chain in database)
        self._unfollowed = unfollowed(database)
        homes = _homes(database)
        self._place = _places(found, database, homes)
        self._following: dict[str, list[str]] = {}
        for name, full in homes.items():
            self._following.setdefault(full.artifact, []).append(name)
        self._ordered = sorted(found, key=self._key)
        self._positions = [self._place[each.artifact] for each in self._ordered]
        why = {**why_uploads, **why_database}
        self._astray = [(each, why[each.artifact]) for each in self._ordered if each.artifact in why]

    def _key(self, manifest: Manifest) -> tuple[t.Any, ...]:
        """By place; a full comes before the increments that were put into its place."""
        place = self._place[manifest.artifact]
        return (place, manifest.kind == "db_increment", manifest.order, manifest.artifact)

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
            members += [each for each in chain if self._place[each.artifact] <= until]
            if full is not None and full.kind != "db_full":
                keeps.update(each.artifact for each in chain)
        database, uploads, _config = fulls
        keeps.update(each.artifact for each in members)
        if database is not None:
            # What comes after the next full is kept by the sets that stand on that one.
            keeps.update(self._following.get(database.artifact, ()))
        flaws = [f"it has no {family}" for family in self._families if family not in _families(members)]
        flaws += [f"{each.artifact} lacks files that could not be read" for each in members if _unreadable(each)]
        if database is not None and database.artifact in self._unfollowed:
            flaws.append(f"{database.artifact}: {self._unfollowed[database.artifact]}")
        since = {DATABASE: database, UPLOADS: uploads}
        flaws += [
            f"{each.artifact} does not join its chain: {why}"
            for each, why in self._astray
            for full in [since[FAMILIES[each.kind]]]
            if full is not None and position(full) <= self._place[each.artifact] <= until
        ]
        measured = _measured(own, members)
        return BackupSet(
            index=index,
            number=anchor.set_number if anchor.adopted_moment is None else 0,
            time=min(each.recovery_point for each in own if position(each) == position(anchor)),
            newest=max(each.recovery_point for each in own if self._place[each.artifact] == until),
            first=self._positions[start],
            last=until,
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


def database_chains(manifests: t.Iterable[Manifest]) -> tuple[list[DbChain], dict[str, str]]:
    """As ``db_chains``, without those that are in no chain because the chains hold all their binary logs already.

    An increment that was lost at one place is sealed again, and then another place has both.
    """
    known = {each.artifact: each for each in manifests}
    chains, astray = _db_chain.db_chains(known.values())
    if astray:
        held = {log for chain in chains for each in chain.increments for log in _logs(each)}
        astray = {name: why for name, why in astray.items() if not _logs(known[name]) <= held}
    return chains, astray


def _logs(increment: Manifest) -> frozenset[tuple[str, str, str]]:
    return frozenset((increment.epoch, each["name"], each["sha256"]) for each in increment.document["files"])


def unfollowed(chains: t.Iterable[DbChain]) -> dict[str, str]:
    """The fulls, of chains in order, that the stream of their epoch has gone past without joining them; and why."""
    found: dict[str, str] = {}
    reached: dict[str, tuple[int, int]] = {}
    for chain in chains:
        end = _epoch.log_number(chain.last.position)
        furthest = reached.get(chain.full.epoch, (0, 0))
        if chain.broken and not chain.increments and end < furthest:
            found[chain.full.artifact] = f"no increment follows it: {chain.broken}"
        reached[chain.full.epoch] = max(end, furthest)
    return found


def _homes(chains: t.Iterable[DbChain]) -> dict[str, Manifest]:
    """By name of an increment, the newest full that it follows: the last of the chains, oldest first, that have it."""
    return {each.artifact: chain.full for chain in chains for each in chain.increments}


def _places(
    found: t.Iterable[Manifest], chains: t.Iterable[DbChain], homes: t.Mapping[str, Manifest]
) -> dict[str, Position]:
    """Where each stands in the order of runs: an increment of the database between its full and the full after it."""
    places = {each.artifact: position(each) for each in found}
    fulls = sorted(places[chain.full.artifact] for chain in chains)
    for name, full in homes.items():
        since = places[full.artifact]
        places[name] = max(places[name], since)
        after = bisect.bisect_right(fulls, since)
        if after < len(fulls) and places[name] >= fulls[after]:
            era, moment, number = fulls[after]
            places[name] = (era, moment, number - 1)
    return places


def _families(manifests: t.Iterable[Manifest]) -> set[str]:
    return {FAMILIES[each.kind] for each in manifests}


def _unreadable(manifest: Manifest) -> bool:
    return bool(manifest.document.get("problems", {}).get("unreadable"))


def _measured(own: t.Sequence[Manifest], members: t.Sequence[Manifest]) -> dict[str, list[int]]:
    """What was measured in the set's time; of a family that it has nothing of its own of, what it found there."""
    values: dict[str, list[int]] = {}
    for family, measures in _MEASURES.items():
        mine = [each for each in own if _is_measured(each, family)]
        for each in mine or [each for each in members if _is_measured(each, family)][-1:]:
            for name, measure in measures.items():
                values.setdefault(name, []).append(measure(each))
    return values


def _is_measured(manifest: Manifest, family: str) -> bool:
    return FAMILIES[manifest.kind] == family and manifest.kind != "db_increment"


__all__ = (
    "CONFIG",
    "DATABASE",
    "FAMILIES",
    "UPLOADS",
    "BackupSet",
    "DatabasePoint",
    "Position",
    "backup_sets",
    "database_at",
    "database_chains",
    "position",
    "unfollowed",
)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 6 once more, as plainly as it can be said, to compare the planner with: everything at once, nothing clever."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from ansible_collections.larapee.backup.plugins.module_utils._retention import Facts
    from tests.retention.histories import World

HOUR = dt.timedelta(hours=1)


class Database:
    """What follows which full in the binary log, and in whose time each increment counts: never before the full that it
    follows, never after the next full, and of several fulls that it follows the newest counts.
    """

    def __init__(self, everything: list[Manifest]) -> None:
        fulls = [each for each in everything if each.kind == "db_full"]
        increments = [each for each in everything if each.kind == "db_increment"]
        self.chains = {full.artifact: _followers(full, increments) for full in fulls}
        self.numbers = {each.artifact: each.set_number for each in everything}
        self.left_behind = {
            full.artifact
            for full in fulls
            for other in fulls
            if not self.chains[full.artifact] and other.set_number < full.set_number and other.epoch == full.epoch
            if any(_end(each) > _end(full) for each in self.chains[other.artifact])
        }
        self.own: dict[str, list[Manifest]] = {full.artifact: [] for full in fulls}
        joined = {each.artifact for chain in self.chains.values() for each in chain}
        self.astray = {each.artifact for each in increments} - joined
        for each in increments:
            followed = [full for full in fulls if each in self.chains[full.artifact]]
            if followed:
                full = max(followed, key=lambda candidate: candidate.set_number)
                self.own[full.artifact].append(each)
                later = [other.set_number for other in fulls if other.set_number > full.set_number]
                number = max(each.set_number, full.set_number)
                self.numbers[each.artifact] = min([number, *(other - 1 for other in later)])


def _followers(full: Manifest, increments: list[Manifest]) -> list[Manifest]:
    """The increment that holds the full's position, the one that begins where that one ends, and so on."""
    position = full.document["end"]
    candidates = [each for each in increments if each.epoch == full.epoch]
    chain: list[Manifest] = []
    found = [e for e in candidates if position["file"] in [file["name"] for file in e.document["files"]]]
    while found:
        chain.append(found[0])
        end = found[0].document["end"]
        found = [
            each
            for each in candidates
            if int(each.document["start"]["file"][-6:]) == int(end["file"][-6:]) + 1
            and each.document["start"]["gtid"] == end["gtid"]
        ]
    # By the clock it was sealed before the full was begun, and no run that knew the full went on from there.
    if chain and chain[0].created_at < full.created_at and not any(_names(each, full) for each in chain):
        return []
    return chain


def _names(increment: Manifest, full: Manifest) -> bool:
    return full.artifact in (increment.document["base"], increment.document["previous"])


def _end(manifest: Manifest) -> tuple[str, int]:
    return (manifest.document["end"]["file"], manifest.document["end"]["position"])


class OracleSet:
    """A set by its number, found by looking through everything that is there."""

    def __init__(self, number: int, until: int, everything: list[Manifest], database: Database) -> None:
        self.number = number
        before = [each for each in everything if database.numbers[each.artifact] < until]
        self.own = {each.artifact: each for each in before if database.numbers[each.artifact] >= number}
        self._numbers = database.numbers
        self.parts: dict[str, list[Manifest]] = {"db": [], "files": [], "config": []}
        self.stands_on = set(self.own)
        for kind, part in (("db_full", "db"), ("config", "config"), ("files_full", "files")):
            found = [each for each in before if each.kind == kind]
            self.parts[part] = found[-1:]
        self.astray: set[str] = set()
        if self.parts["files"]:
            self._follow(self.parts["files"][0], everything, until)
        for full in self.parts["db"][:]:
            self.parts["db"] += [e for e in database.chains[full.artifact] if database.numbers[e.artifact] < until]
            self.stands_on |= {each.artifact for each in database.own[full.artifact]}
            since = {each.artifact for each in before if database.numbers[each.artifact] >= full.set_number}
            self.astray |= (database.astray & since) | (database.left_behind & {full.artifact})
        for part in self.parts.values():
            self.stands_on |= {each.artifact for each in part}

    def _follow(self, full: Manifest, everything: list[Manifest], until: int) -> None:
        at = full.artifact
        joined = {at}
        while True:
            following = [e for e in everything if e.document["previous"] == at and e.document["base"] == full.artifact]
            if not following:
                break
            at = following[0].artifact
            joined.add(at)
            if following[0].set_number < until:
                self.parts["files"].append(following[0])
        self.stands_on |= joined
        increments = [each for each in everything if each.kind == "files_increment"]
        self.astray |= {
            each.artifact
            for each in increments
            if full.set_number <= each.set_number < until and each.artifact not in joined
        }

    def whole(self, parts_known: set[str]) -> bool:
        members = [each for part in self.parts.values() for each in part]
        return (
            all(self.parts[part] for part in parts_known)
            and not self.astray
            and not any(each.document["problems"]["unreadable"] for each in members)
        )

    def members(self) -> set[str]:
        return {each.artifact for part in self.parts.values() for each in part}

    def epoch(self) -> str:
        return (self.parts["db"] or self.parts["files"])[0].epoch

    def sizes(self) -> dict[str, list[int]]:
        databases = [each for each in self.own.values() if each.kind == "db_full"] or self.parts["db"][:1]
        trees = [each for each in self.own.values() if each.kind.startswith("files_")] or self.parts["files"][-1:]
        return {
            "db": [each.plain_size for each in databases],
            "entries": [each.document["tree"]["entries"] for each in trees],
            "bytes": [each.document["tree"]["bytes"] for each in trees],
        }

    def first(self) -> str:
        def order(each: Manifest) -> tuple[int, bool, int, str]:
            return (self._numbers[each.artifact], each.kind == "db_increment", each.sequence, each.artifact)

        return min(self.own.values(), key=order).artifact

    def newest(self) -> dt.datetime:
        last = max(self._numbers[name] for name in self.own)
        return max(each.created_at for name, each in self.own.items() if self._numbers[name] == last)


class Oracle:
    def __init__(self, world: World, facts: Facts) -> None:
        self.facts = facts
        everything = sorted(world.artifacts, key=lambda each: (each.set_number, each.kind))
        numbers = sorted({each.set_number for each in everything if each.kind in ("db_full", "files_full")})
        bounds = list(zip([0, *numbers[1:]], [*numbers[1:], 10**9], strict=True)) if numbers else []
        self.database = Database(everything)
        self.sets = [OracleSet(first, until, everything, self.database) for first, until in bounds]
        for each, number in zip(self.sets, numbers, strict=True):
            each.number = number
        known = {{"d": "db", "f": "files", "c": "config"}[each.kind[0]] for each in everything}
        self.good = [each.whole(known) and not each.members() & world.corrupt for each in self.sets]
        self.sizes = {each.artifact: each.size + (0 if each.kind.startswith("db_") else 7) for each in everything}
        self.replaced_by = [self._replacement(index) for index in range(len(self.sets))]

    def age(self, index: int) -> float:
        """In hours."""
        times = [each.newest() for each in self.sets[index:]] + [self.facts.now]
        steps = [(after - before) / HOUR for before, after in zip(times, times[1:], strict=False)]
        numbers = [each.first() for each in self.sets[index:]]
        known = {pair: passed / HOUR for pair, passed in self.facts.aged.items()}
        pairs = list(zip(numbers, [*numbers[1:], ""], strict=True))
        return sum(known.get(pair, step if -48 <= step <= 48 else 0) for pair, step in zip(pairs, steps, strict=True))

    def opened(self, index: int) -> bool:
        return self.sets[index].members() <= self.facts.opened

    def _replacement(self, old: int) -> int | None:
        choices = [
            new
            for new in range(old + 1, len(self.sets))
            if self.good[new]
            and (
                self.sets[new].number in self.facts.acknowledged
                or self.opened(new)
                or (self.sets[new].epoch() == self.sets[old].epoch() and not self._lost(old, new))
            )
        ]
        return max(choices, default=None)

    def _lost(self, old: int, new: int) -> bool:
        before, after = self.sets[old].sizes(), self.sets[new].sizes()
        return any(
            Fraction(min(after[name]), max(before[name])) <= Fraction(3, 5)
            for name in before
            if before[name] and max(before[name])
        )

    def waits_for_central(self, index: int) -> bool:
        known = self.facts.at_central
        return known is not None and not self.sets[index].stands_on <= known

    def dropped(self) -> set[int]:
        """Indices of the sets that go."""
        if self.facts.hold is not None:
            return set()
        newest_opened = max((i for i in range(len(self.sets)) if self.opened(i)), default=len(self.sets))
        old = [i for i in range(newest_opened) if i < len(self.sets) and self.age(i) > 24 * self.facts.keep_days]
        waiting = [index for index in old if self.waits_for_central(index)]
        allowed = 0
        if self.facts.excess > 0:
            while allowed < len(waiting):
                going = self._replaceable([i for i in old if i not in waiting[allowed:]])
                if sum(self.sizes[name] for name in self.going(going)) >= self.facts.excess:
                    break
                allowed += 1
        free = [
            index
            for index in old
            if index not in waiting[allowed:]
            and self.sets[index].number not in self.facts.pinned
            and not self.sets[index].stands_on & self.facts.leased
        ]
        return self._replaceable(free)

    def _replaceable(self, free: list[int]) -> set[int]:
        return {i for i in free if self.replaced_by[i] is not None and i not in self.replaced_by[:i]}

    def going(self, dropped: set[int]) -> set[str]:
        """The artifacts that only these sets stand on."""
        stays = {name for i, each in enumerate(self.sets) if i not in dropped for name in each.stands_on}
        return {name for i in dropped for name in self.sets[i].own} - stays

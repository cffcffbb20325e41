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


class OracleSet:
    """A set by its number, found by looking through everything that is there."""

    def __init__(self, number: int, until: int, everything: list[Manifest]) -> None:
        self.number = number
        before = [each for each in everything if each.set_number < until]
        self.own = {each.artifact: each for each in before if each.set_number >= number}
        self.parts: dict[str, list[Manifest]] = {"db": [], "files": [], "config": []}
        self.stands_on = set(self.own)
        for kind, part in (("db_full", "db"), ("config", "config"), ("files_full", "files")):
            found = [each for each in before if each.kind == kind]
            self.parts[part] = found[-1:]
        self.astray: set[str] = set()
        if self.parts["files"]:
            self._follow(self.parts["files"][0], everything, until)
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
        self.astray = {
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
        databases = [each for each in self.own.values() if each.kind == "db_full"] or self.parts["db"]
        trees = [each for each in self.own.values() if each.kind.startswith("files_")] or self.parts["files"][-1:]
        return {
            "db": [each.plain_size for each in databases],
            "entries": [each.document["tree"]["entries"] for each in trees],
            "bytes": [each.document["tree"]["bytes"] for each in trees],
        }

    def first(self) -> str:
        return min(self.own.values(), key=lambda each: (each.set_number, each.sequence, each.kind)).artifact

    def newest(self) -> dt.datetime:
        last = max(each.set_number for each in self.own.values())
        return max(each.created_at for each in self.own.values() if each.set_number == last)


class Oracle:
    def __init__(self, world: World, facts: Facts) -> None:
        self.facts = facts
        everything = sorted(world.artifacts, key=lambda each: (each.set_number, each.kind))
        numbers = sorted({each.set_number for each in everything if each.kind in ("db_full", "files_full")})
        bounds = list(zip([0, *numbers[1:]], [*numbers[1:], 10**9], strict=True)) if numbers else []
        self.sets = [OracleSet(first, until, everything) for first, until in bounds]
        for each, number in zip(self.sets, numbers, strict=True):
            each.number = number
        known = {{"d": "db", "f": "files", "c": "config"}[each.kind[0]] for each in everything}
        self.good = [each.whole(known) and not each.members() & world.corrupt for each in self.sets]
        self.sizes = {each.artifact: each.size + (7 if each.kind != "db_full" else 0) for each in everything}
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

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may go: a set leaves only for a better successor. Pure.

Order is by number, never by clock; the clock alone never ages a set. What cannot be decided stays.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _sets
from ._manifest import Manifest
from ._sets import BackupSet

# The slowest rhythm is one full a day, and one may fail. A longer step is a clock that jumped, or a shop that was
# closed: nothing has aged its sets meanwhile.
LONGEST_STEP: t.Final = dt.timedelta(hours=48)
# Half the rows gone is less than half of the bytes gone: definitions and settings stay, and the shop goes on selling.
LOSS_PERCENT: t.Final = 40

NEWEST: t.Final = "newest"
HELD: t.Final = "held"
PINNED: t.Final = "pinned"
LEASED: t.Final = "leased"
OPENED: t.Final = "opened"
NOT_AT_CENTRAL: t.Final = "not_at_central"
REPLACES: t.Final = "replaces"
NEEDED: t.Final = "needed"
NO_REPLACEMENT: t.Final = "no_replacement"
NEEDS_ACKNOWLEDGEMENT: t.Final = "needs_acknowledgement"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What decides beside the sets. Numbers are those of sets, names those of artifacts.

    ``leased``: being read now. ``opened``: decrypted to what was backed up. ``at_central``: what central has
    acknowledged, None where nobody asks. ``excess``: bytes that must go so that the next run keeps the quota. ``aged``:
    what passed between two sets that were not neighbours before retention removed those between them.
    """

    now: dt.datetime
    keep_days: int
    hold: str | None = None
    pinned: frozenset[int] = frozenset()
    acknowledged: frozenset[int] = frozenset()
    leased: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    at_central: frozenset[str] | None = None
    excess: int = 0
    aged: t.Mapping[tuple[str, str], dt.timedelta] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Drop:
    """A set that goes, the newer one that replaces it, and what is removed: what no other set stands on.

    ``lost``: those of them that exist nowhere else.
    """

    backup_set: BackupSet
    replaced_by: BackupSet
    artifacts: tuple[Manifest, ...]
    lost: tuple[Manifest, ...]


@dataclasses.dataclass(frozen=True)
class Kept:
    """A set that stays although it is over age."""

    backup_set: BackupSet
    code: str
    why: str


@dataclasses.dataclass(frozen=True)
class Plan:
    drops: tuple[Drop, ...]
    kept: tuple[Kept, ...]

    def order(self) -> list[Manifest]:
        """What is removed, in the order in which it must be: what stands on another artifact before that one."""
        going = [manifest for drop in self.drops for manifest in drop.artifacts]
        return sorted(going, key=lambda each: (each.kind.endswith("_increment"), each.order), reverse=True)


def stored_bytes(manifest: Manifest) -> int:
    """Of the artifact and its companion."""
    return manifest.size + int((manifest.document.get("companion") or {}).get("size", 0))


def ages(sets: t.Sequence[BackupSet], facts: Facts) -> list[dt.timedelta]:
    """The age of each set: the steps from its newest member through the newer sets until now.

    A step back is taken off again, so that a clock put right undoes the error it had.
    """
    found = []
    age = dt.timedelta()
    for index in range(len(sets) - 1, -1, -1):
        if index == len(sets) - 1:
            age = _step(sets[index].newest, facts.now)
        else:
            age += _passed(sets[index], sets[index + 1], facts)
        found.append(age)
    return found[::-1]


def _step(before: dt.datetime, after: dt.datetime) -> dt.timedelta:
    step = after - before
    return step if abs(step) <= LONGEST_STEP else dt.timedelta()


def _passed(before: BackupSet, after: BackupSet, facts: Facts) -> dt.timedelta:
    known = facts.aged.get((before.key, after.key))
    return _step(before.newest, after.newest) if known is None else known


def aged(sets: t.Sequence[BackupSet], facts: Facts, going: t.Container[str]) -> dict[tuple[str, str], dt.timedelta]:
    """What ``Facts.aged`` has to be when *going* has gone: nothing grows younger because what came after it went.

    Also when only the newer part of *going* has gone, and the oldest are still there.
    """
    age_of = {each.artifact: age for owner, age in zip(sets, ages(sets, facts)) for each in owner.own}
    rest = _sets.backup_sets(each for owner in sets for each in owner.own if each.artifact not in going)
    found = {}
    for before, after in zip(rest, rest[1:]):
        passed = age_of[before.own[-1].artifact] - age_of[after.own[-1].artifact]
        if passed != _step(before.newest, after.newest):
            found[before.key, after.key] = passed
    for owner in sets:
        next_left = next((each for each in rest if each.first > owner.last), None)
        for each in owner.own:
            if each.artifact in going and next_left is not None:
                found[each.artifact, next_left.key] = age_of[each.artifact] - age_of[next_left.own[-1].artifact]
    return found


def over_age(sets: t.Sequence[BackupSet], facts: Facts) -> list[BackupSet]:
    return [each for each, age in zip(sets, ages(sets, facts)) if age > dt.timedelta(days=facts.keep_days)]


def why_not_replaced(old: BackupSet, new: BackupSet, facts: Facts) -> str:
    """Why the complete and intact *new* may not replace *old*; empty when it may."""
    if new.number in facts.acknowledged or _is_opened(new, facts):
        return ""
    if new.epoch != old.epoch:
        return f"{new.label} is of a new epoch"
    for name, before in old.most.items():
        after = new.least.get(name, 0)
        if (before - after) * 100 >= before * LOSS_PERCENT and before:
            return f"{new.label} has lost {(before - after) * 100 // before} % of the {name}"
    return ""


def plan(sets: t.Sequence[BackupSet], facts: Facts, *, defect: t.Callable[[BackupSet], str]) -> Plan:
    """Decide. *defect* says what is wrong with the stored bytes of a set, empty when it is intact at this place.

    It is called only when something may go, and reads much: the newest sets first, as few as it takes.
    """
    return _Planner(sets, facts, defect).plan()


class _Planner:
    def __init__(self, sets: t.Sequence[BackupSet], facts: Facts, defect: t.Callable[[BackupSet], str]) -> None:
        self._sets = sets
        self._facts = facts
        self._ask = defect
        self._defects: dict[int, str] = {}
        self._replacements: dict[int, BackupSet | None] = {}
        self._old = over_age(sets, facts)
        self._opened_since = max((each.index for each in sets if _is_opened(each, facts)), default=len(sets))

    def plan(self) -> Plan:
        lifted = self._lifted()
        protected = {each.index: why for each in self._old for why in [self._protection(each, lifted)] if why}
        candidates = [each for each in self._old if each.index not in protected]
        dropped = self._dropped(candidates)
        stays = self._needed(dropped)
        drops, kept = [], []
        for each in self._old:
            going = tuple(m for m in each.own if m.artifact not in stays) if each.index in dropped else ()
            if going:
                lost = tuple(m for m in going if not self._at_central(m.artifact))
                drops.append(Drop(each, dropped[each.index], going, lost))
            else:
                code, why = protected.get(each.index) or self._reason(each, dropped)
                kept.append(Kept(each, code, why))
        return Plan(drops=tuple(drops), kept=tuple(kept))

    def _dropped(self, candidates: t.Sequence[BackupSet]) -> dict[int, BackupSet]:
        """By index, what goes and what replaces it.

        What replaces an older set stays as long as that one is there: no deletion names a set that goes with it.
        """
        if not candidates:
            return {}
        older = self._sets[: candidates[-1].index]
        required = {found.index for found in map(self._replacement, older) if found is not None}
        found = {each.index: self._replacement(each) for each in candidates if each.index not in required}
        return {index: replacement for index, replacement in found.items() if replacement is not None}

    def _replacement(self, old: BackupSet) -> BackupSet | None:
        """The newest set that may replace *old*."""
        if old.index not in self._replacements:
            newer = (new for new in reversed(self._sets[old.index + 1 :]) if not new.flaws)
            allowed = (new for new in newer if not why_not_replaced(old, new, self._facts))
            self._replacements[old.index] = next((new for new in allowed if not self._defect(new)), None)
        return self._replacements[old.index]

    def _defect(self, each: BackupSet) -> str:
        if each.index not in self._defects:
            self._defects[each.index] = self._ask(each)
        return self._defects[each.index]

    def _needed(self, dropped: t.Container[int]) -> set[str]:
        """The artifacts that the sets which stay stand on."""
        return {name for each in self._sets if each.index not in dropped for name in each.keeps}

    def _at_central(self, artifact: str) -> bool:
        return self._facts.at_central is None or artifact in self._facts.at_central

    def _lifted(self) -> frozenset[int]:
        """Sets that central does not have and that may go all the same, the oldest first, because the quota is reached.

        Decided as if nothing were pinned, leased or held: a pin must not send another set away.
        """
        lifted: set[int] = set()
        if self._facts.excess <= 0 or self._facts.hold is not None:
            return frozenset()
        free = [each for each in self._old if each.index < self._opened_since]
        waiting = [each for each in free if not all(map(self._at_central, each.keeps))]
        for each in waiting:
            blocked = {other.index for other in waiting} - lifted
            dropped = self._dropped([other for other in free if other.index not in blocked])
            if self._freed(dropped) >= self._facts.excess:
                break
            lifted.add(each.index)
        return frozenset(lifted)

    def _freed(self, dropped: t.Container[int]) -> int:
        stays = self._needed(dropped)
        gone = (m for each in self._sets if each.index in dropped for m in each.own if m.artifact not in stays)
        return sum(map(stored_bytes, gone))

    def _protection(self, each: BackupSet, lifted: t.Container[int]) -> tuple[str, str] | None:
        if self._facts.hold is not None:
            return HELD, f"the branch is on hold: {self._facts.hold}"
        if each.number and each.number in self._facts.pinned:
            return PINNED, "it is pinned"
        if self._facts.leased & each.keeps:
            return LEASED, "it is being read"
        if each.index >= self._opened_since:
            return OPENED, "no newer set has been opened"
        if each.index not in lifted and not all(map(self._at_central, each.keeps)):
            return NOT_AT_CENTRAL, "central has not acknowledged all of it"
        return None

    def _reason(self, each: BackupSet, dropped: t.Container[int]) -> tuple[str, str]:
        if each.index in dropped:
            return NEEDED, "sets that stay stand on it"
        replacement = self._replacement(each)
        if replacement is not None:
            return REPLACES, "it is the only one that may replace an older set which is still there"
        newer = self._sets[each.index + 1 :]
        if not newer:
            return NEWEST, "it is the newest"
        for new in reversed(newer):
            if not new.flaws and not self._defect(new):
                return NEEDS_ACKNOWLEDGEMENT, why_not_replaced(each, new, self._facts)
        last = newer[-1]
        return NO_REPLACEMENT, f"{last.label}: {last.flaws[0] if last.flaws else self._defect(last)}"


def _is_opened(each: BackupSet, facts: Facts) -> bool:
    return all(member.artifact in facts.opened for member in each.members)


__all__ = (
    "HELD",
    "LEASED",
    "LONGEST_STEP",
    "LOSS_PERCENT",
    "NEEDED",
    "NEEDS_ACKNOWLEDGEMENT",
    "NEWEST",
    "NOT_AT_CENTRAL",
    "NO_REPLACEMENT",
    "OPENED",
    "PINNED",
    "REPLACES",
    "Drop",
    "Facts",
    "Kept",
    "Plan",
    "aged",
    "ages",
    "over_age",
    "plan",
    "stored_bytes",
    "why_not_replaced",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of retention, ``retention.json`` in a place: what it removed and removes, and what people told it.

It is what tells a number that retention took from one that was lost. Described in docs/artifact-format.md.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import typing as t

from . import _io, _names
from ._manifest import KINDS, Manifest

NAME: t.Final = "retention.json"
SCHEMA_VERSION: t.Final = 1
# Retention keeps no less (_prune_request).
KEPT_AT_LEAST: t.Final = dt.timedelta(days=1)

Range = tuple[int, int]
Note = t.Mapping[str, str]


class LedgerError(ValueError):
    """The file is not a ledger that this version can use; the text says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Going:
    """An artifact on its way out. Without its manifest it has gone, and what is left of it is rubbish."""

    kind: str
    sequence: int
    set: int
    replaced_by: int


@dataclasses.dataclass(frozen=True)
class Ledger:
    """``pruned``: by kind, first and last of the numbers that were removed. ``pinned``, ``acknowledged``: by set.

    ``lost``: by ``KIND NUMBER``, what a person knows to be gone for good; it may still come back.
    ``aged``: of a set, by its first artifact, the next one that is left, and the seconds that passed between them.
    """

    branch: str
    pruned: t.Mapping[str, tuple[Range, ...]] = dataclasses.field(default_factory=dict)
    going: t.Mapping[str, Going] = dataclasses.field(default_factory=dict)
    pinned: t.Mapping[int, Note] = dataclasses.field(default_factory=dict)
    acknowledged: t.Mapping[int, Note] = dataclasses.field(default_factory=dict)
    hold: Note | None = None
    aged: t.Mapping[str, tuple[str, int]] = dataclasses.field(default_factory=dict)
    lost: t.Mapping[str, Note] = dataclasses.field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of which something was removed."""
        return frozenset((*self.pruned, *(each.kind for each in self.going.values())))

    def removed(self, kind: str) -> tuple[Range, ...]:
        """The numbers of *kind* whose absence is retention's doing."""
        ranges = self.pruned.get(kind, ())
        for each in self.going.values():
            if each.kind == kind:
                ranges = _with(ranges, each.sequence)
        return ranges

    def absent(self, kind: str) -> tuple[Range, ...]:
        """The numbers of *kind* whose absence surprises nobody: removed, or known by a person to be lost."""
        ranges = self.removed(kind)
        for name in self.lost:
            of_kind, _space, number = name.partition(" ")
            if of_kind == kind:
                ranges = _with(ranges, int(number))
        return ranges

    def has_removed(self, name: str, *, kind: str, sequence: int) -> bool:
        """Whether the artifact *name* is not there because retention removed it: it must not come back."""
        return name in self.going or any(first <= sequence <= last for first, last in self.removed(kind))

    def settled(self, gone: t.Container[str]) -> Ledger:
        """The ledger when those of ``going`` that are *gone* were removed to the last file, and the others stay."""
        pruned = dict(self.pruned)
        for name, each in self.going.items():
            if name in gone:
                pruned[each.kind] = _with(pruned.get(each.kind, ()), each.sequence)
        return dataclasses.replace(self, pruned=pruned, going={})


def was_removed(
    ledger: Ledger, manifest: Manifest, numbers: t.Iterable[tuple[str, str, int]], *, now: dt.datetime
) -> bool:
    """Whether retention removed *manifest* from the place that has *numbers* (kind, epoch, number of each).

    The ledger knows numbers and no epochs, and a branch that was rebuilt without its state counts from one again. So a
    number counts as removed only for what is older than anything that retention keeps at least, and where a later one
    of the same kind and epoch is there, since retention never takes the newest.
    """
    if manifest.artifact in ledger.going:
        return True
    if not ledger.has_removed(manifest.artifact, kind=manifest.kind, sequence=manifest.sequence):
        return False
    if manifest.created_at > now - KEPT_AT_LEAST:
        return False
    kind, epoch, number = number_of(manifest)
    return any((kind, epoch) == held[:2] and number < held[2] for held in numbers)


def number_of(manifest: Manifest) -> tuple[str, str, int]:
    """Kind, epoch and number: no two artifacts of a branch share them."""
    return manifest.kind, manifest.epoch or "", manifest.sequence


def read_ledger(directory: str, *, branch: str) -> Ledger:
    """The ledger of *branch*'s place, an empty one where there is none; raises LedgerError for a damaged one."""
    try:
        document = _io.read_json(os.path.join(directory, NAME))
    except FileNotFoundError:
        return Ledger(branch=branch)
    except (OSError, ValueError) as exc:
        raise LedgerError(f"it cannot be read: {exc}") from exc
    ledger = _parsed(document)
    if ledger.branch != branch:
        raise LedgerError(f"it belongs to {ledger.branch}, not to {branch}")
    return ledger


def leftovers(directory: str) -> frozenset[str]:
    """Artifacts that were being removed when retention was interrupted; raises LedgerError for a damaged ledger."""
    try:
        document = _io.read_json(os.path.join(directory, NAME))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as exc:
        raise LedgerError(f"it cannot be read: {exc}") from exc
    return frozenset(_parsed(document).going)


def write_ledger(directory: str, ledger: Ledger) -> None:
    _io.write_json(
        os.path.join(directory, NAME),
        {
            "schema": SCHEMA_VERSION,
            "branch": ledger.branch,
            "pruned": {kind: [list(each) for each in ranges] for kind, ranges in ledger.pruned.items()},
            "going": {name: dataclasses.asdict(each) for name, each in ledger.going.items()},
            "pinned": {str(number): dict(note) for number, note in ledger.pinned.items()},
            "acknowledged": {str(number): dict(note) for number, note in ledger.acknowledged.items()},
            "hold": None if ledger.hold is None else dict(ledger.hold),
            "aged": {before: list(each) for before, each in ledger.aged.items()},
            "lost": {name: dict(note) for name, note in ledger.lost.items()},
        },
    )


def _with(ranges: tuple[Range, ...], number: int) -> tuple[Range, ...]:
    """*ranges* and *number* (from 1: adopted artifacts have none), in order, joined where they touch."""
    if number < 1:
        return ranges
    merged: list[Range] = []
    for first, last in sorted((*ranges, (number, number))):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _parsed(document: t.Mapping[str, t.Any]) -> Ledger:
    if document.get("schema") != SCHEMA_VERSION:
        raise LedgerError(f"its schema is {document.get('schema')!r}, this version reads {SCHEMA_VERSION}")
    hold = document.get("hold")
    return Ledger(
        branch=_text(document.get("branch"), "branch"),
        pruned={kind: _ranges(value, kind) for kind, value in _object(document, "pruned").items()},
        going={name: _going(value, name) for name, value in _object(document, "going").items()},
        pinned=_notes(document, "pinned"),
        acknowledged=_notes(document, "acknowledged"),
        hold=None if hold is None else _note(hold, "hold"),
        aged={before: _aged(value) for before, value in _object(document, "aged").items()},
        # Ledgers from before this could be said have none.
        lost=_lost(document) if "lost" in document else {},
    )


def _going(value: t.Any, name: str) -> Going:
    parsed = _names.parse_name(name)
    # What is removed is found by these names: they must never lead elsewhere.
    if parsed is None or not isinstance(value, dict) or value.get("kind") != parsed.kind:
        raise LedgerError("the field going names what is not an artifact")
    return Going(parsed.kind, *(_number(value.get(field), field) for field in ("sequence", "set", "replaced_by")))


def _aged(value: t.Any) -> tuple[str, int]:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], int):
        raise LedgerError("the field aged does not say what passed")
    return _text(value[0], "aged"), value[1]


def _ranges(value: t.Any, kind: str) -> tuple[Range, ...]:
    if not isinstance(value, list) or any(not isinstance(each, list) or len(each) != 2 for each in value):
        raise LedgerError(f"the field pruned.{kind} is not a list of ranges")
    ranges = tuple((_number(first, "pruned"), _number(last, "pruned")) for first, last in value)
    if any(first > last for first, last in ranges):
        raise LedgerError(f"the field pruned.{kind} is not a list of ranges")
    return ranges


def _notes(document: t.Mapping[str, t.Any], field: str) -> dict[int, Note]:
    notes = _object(document, field)
    if any(not (number.isascii() and number.isdigit()) for number in notes):
        raise LedgerError(f"the field {field} names what is not a set")
    return {int(number): _note(value, field) for number, value in notes.items()}


def is_lost_name(name: str) -> bool:
    """Whether *name* is ``KIND NUMBER``, as verification says of a number that is missing."""
    kind, _space, number = name.partition(" ")
    return kind in KINDS and number.isascii() and number.isdigit() and int(number) > 0


def _lost(document: t.Mapping[str, t.Any]) -> dict[str, Note]:
    notes = _object(document, "lost")
    if not all(map(is_lost_name, notes)):
        raise LedgerError("the field lost names what is not a kind and a number")
    return {name: _note(value, "lost") for name, value in notes.items()}


def _note(value: t.Any, field: str) -> Note:
    if not isinstance(value, dict):
        raise LedgerError(f"the field {field} is not a note")
    return {key: _text(value.get(key), field) for key in ("reason", "at", "by")}


def _object(document: t.Mapping[str, t.Any], field: str) -> dict[str, t.Any]:
    value = document.get(field)
    if not isinstance(value, dict):
        raise LedgerError(f"the field {field} is missing or not an object")
    return value


def _text(value: t.Any, field: str) -> str:
    if not isinstance(value, str):
        raise LedgerError(f"the field {field} is missing or not text")
    return value


def _number(value: t.Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LedgerError(f"the field {field} is not a number")
    return value


__all__ = (
    "KEPT_AT_LEAST",
    "NAME",
    "Going",
    "Ledger",
    "LedgerError",
    "Note",
    "Range",
    "is_lost_name",
    "leftovers",
    "number_of",
    "read_ledger",
    "was_removed",
    "write_ledger",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which artifacts a restore of files uses, up to which point, and why not others.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import typing as t

from . import _chain, _intact, _manifest
from ._catalog import Catalogue, Entry
from ._choose import LATEST
from ._errors import BackupError

KINDS: t.Final = {"uploads": ("files_full", "files_increment"), "config": ("config",)}
_SET = re.compile(r"set:([0-9]{1,18})")


@dataclasses.dataclass(frozen=True)
class FileChoice:
    """``entries``: a full and its increments in order, or one config snapshot.

    ``skipped`` maps artifacts that had to be passed over to what is wrong with them, ``without_index`` those of
    ``entries`` whose companion cannot be used. ``newest`` is the recovery point of the newest state that there is.
    """

    entries: tuple[Entry, ...]
    skipped: t.Mapping[str, str]
    without_index: t.Mapping[str, str]
    newest: dt.datetime

    @property
    def recovery_point(self) -> dt.datetime:
        return self.entries[-1].manifest.recovery_point

    @property
    def set_number(self) -> int:
        return self.entries[-1].manifest.set_number


@dataclasses.dataclass(frozen=True)
class _Point:
    """Up to where: a time, a set's number, or neither for all there is."""

    text: str
    time: dt.datetime | None = None
    number: int | None = None

    def reaches(self, entry: Entry) -> bool:
        if self.time is not None:
            return entry.manifest.recovery_point <= self.time
        return self.number is None or entry.manifest.set_number <= self.number

    def choose(self, states: t.Sequence[_State]) -> _State | None:
        """The newest of *states* that is right for this point.

        A run gets its number when its first artifact is done, so the numbers within a chain need not rise: what ends
        with the set's own artifact is the set's, whatever came before it. Times are not crossed anywhere in a chain.
        """
        if self.number is not None:
            own = [state for state in states if state.last.manifest.set_number == self.number]
            found = own or [state for state in states if self.reaches(state.last)]
            return found[-1] if found else None
        return next((state for state in reversed(states) if all(map(self.reaches, state.entries))), None)


class _State(t.NamedTuple):
    """The first *length* artifacts of a chain: so many need no copy each."""

    chain: tuple[Entry, ...]
    length: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.chain[: self.length]

    @property
    def last(self) -> Entry:
        return self.chain[self.length - 1]


def choose_files(catalogue: Catalogue, *, branch: str, content: str, to: str, allowed_signers: str) -> FileChoice:
    """Return the newest whole state of *content* at *to*: ``latest``, a time (nothing after it), ``set:N``.

    For ``latest`` what is damaged is passed over; what that costs is for the caller to say. For a time or a set nothing
    is passed over: raises BackupError that names the nearest that can be had.
    """
    point = _parse(to, catalogue, branch)
    candidates = [entry for kind in KINDS[content] for entry in catalogue.of_kind(kind, branch=branch)]
    if not candidates:
        raise _none_at_all(catalogue, branch, content)
    skipped: dict[str, str] = {}
    judged: set[str] = set()
    while True:
        states, astray = _states(candidates)
        state = point.choose(states)
        if state is None:
            raise _out_of_reach(point, branch, content, states=states, skipped={**skipped, **astray})
        bad = _first_bad(state.entries, judged, branch=branch, allowed_signers=allowed_signers)
        if bad is None:
            break
        name, why = bad
        skipped[name] = why
        candidates = [entry for entry in candidates if entry.name != name]
    for entry in candidates:
        if entry.name in astray and point.reaches(entry) and _is_signed(entry, branch, allowed_signers):
            skipped[entry.name] = astray[entry.name]
    choice = FileChoice(
        entries=state.entries,
        skipped=skipped,
        without_index=_without_index(state.entries),
        newest=states[-1].last.manifest.recovery_point,
    )
    if to != LATEST:
        _require_exact(point, choice, branch)
    return choice


def _parse(to: str, catalogue: Catalogue, branch: str) -> _Point:
    if to == LATEST:
        return _Point(text=to)
    match = _SET.fullmatch(to)
    if match is None:
        try:
            return _Point(text=to, time=_manifest.parse_time(to))
        except ValueError:
            raise BackupError(
                f"Failed to restore files to {to}: they can be had as of latest, of a time in UTC such as "
                "2026-11-22T14:32:10Z, or of a set such as set:100.",
                reason="target_out_of_reach",
            ) from None
    number = int(match[1])
    highest = max((e.manifest.set_number for e in catalogue.entries if e.manifest.branch == branch), default=0)
    if number > highest:
        raise BackupError(
            f"Failed to restore to set {number}: the newest set of {branch} in {catalogue.directory} is {highest}. "
            f"Give set:{highest}, or look for a newer one at another place.",
            reason="target_out_of_reach",
        )
    return _Point(text=f"set {number}", number=number)


def _states(candidates: t.Sequence[Entry]) -> tuple[list[_State], dict[str, str]]:
    """Every state that can be put together, oldest first; and what belongs to none."""
    by_name = {entry.name: entry for entry in candidates}
    if any(entry.manifest.kind == "config" for entry in candidates):
        return [_State((entry,), 1) for entry in sorted(candidates, key=lambda entry: entry.manifest.order)], {}
    chains, astray = _chain.file_chains(entry.manifest for entry in candidates)
    states = []
    for chain in chains:
        artifacts = tuple(by_name[manifest.artifact] for manifest in chain.artifacts)
        states += [_State(artifacts, length + 1) for length in range(len(artifacts))]
    return states, astray


def _first_bad(
    state: t.Sequence[Entry], judged: set[str], *, branch: str, allowed_signers: str
) -> tuple[str, str] | None:
    for entry in state:
        if entry.name not in judged:
            try:
                _intact.check_signed(entry, branch=branch, allowed_signers=allowed_signers)
                _intact.check_bytes(entry)
            except _intact.NotIntactError as exc:
                return entry.name, str(exc)
            judged.add(entry.name)
    return None


def _is_signed(entry: Entry, branch: str, allowed_signers: str) -> bool:
    """Anybody who can write to a place can put an unsigned increment of nothing there."""
    try:
        _intact.check_signed(entry, branch=branch, allowed_signers=allowed_signers)
    except _intact.NotIntactError:
        return False
    return True


def _without_index(state: t.Sequence[Entry]) -> dict[str, str]:
    """The artifact alone is signed for and whole: in an emergency a lost companion is no reason to lose it too."""
    found = {}
    for entry in state:
        try:
            _intact.check_companion(entry)
        except _intact.NotIntactError as exc:
            found[entry.name] = str(exc)
    return found


def _require_exact(point: _Point, choice: FileChoice, branch: str) -> None:
    if not choice.skipped:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in choice.skipped.items())
    raise BackupError(
        f"Failed to restore {branch} to {point.text}: it cannot be had whole ({reasons}). {_nearest(choice.entries)} "
        "Give that, or look for the missing artifacts at another place.",
        reason="not_intact",
        facts={"skipped": dict(choice.skipped)},
    )


def _nearest(state: t.Sequence[Entry]) -> str:
    manifest = state[-1].manifest
    number = f" (set {manifest.set_number})" if manifest.set_number else ""
    return f"The nearest that can be had is {_manifest.format_time(manifest.recovery_point)}{number}."


def _out_of_reach(
    point: _Point,
    branch: str,
    content: str,
    *,
    states: t.Sequence[_State],
    skipped: t.Mapping[str, str],
) -> BackupError:
    reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
    if point.text == LATEST or not states:
        return BackupError(
            f"Failed to choose {content} of {branch}: nothing is whole ({reasons}). Fetch the set from another place "
            "and verify it there.",
            reason="not_intact",
            facts={"skipped": dict(skipped)},
        )
    damaged = f" (not usable: {reasons})" if reasons else ""
    return BackupError(
        f"Failed to restore {branch} to {point.text}: no {content} here are that old{damaged}. "
        f"{_nearest(states[0].entries)} Give that, or look for older ones at another place.",
        reason="target_out_of_reach",
    )


def _none_at_all(catalogue: Catalogue, branch: str, content: str) -> BackupError:
    kinds = KINDS[content]
    others = sorted({e.manifest.branch for e in catalogue.entries if e.manifest.kind in kinds} - {branch})
    if others:
        return BackupError(
            f"Failed to choose {content}: {catalogue.directory} holds those of {', '.join(others)}, not of {branch}. "
            "Check larapee_backup_branch and larapee_backup_restore_source.",
            reason="wrong_branch",
        )
    damaged = "; ".join(f"{name}: {why}" for name, why in catalogue.problems.items())
    return BackupError(
        f"Failed to choose {content} of {branch}: the catalogue of {catalogue.directory} has none"
        f"{f' ({damaged})' if damaged else ''}. Check larapee_backup_restore_source.",
        reason="nothing_to_restore",
    )


__all__ = ("KINDS", "FileChoice", "choose_files")

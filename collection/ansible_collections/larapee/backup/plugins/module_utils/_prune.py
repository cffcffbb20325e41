# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention of one place: what may go is decided in _retention; here it is found out, removed and accounted for.

A backup that runs meanwhile only adds. What it stands on, the newest uploads chain, belongs to the newest set, which
never goes: nothing newer could replace it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from . import (
    _catalog,
    _clock,
    _intact,
    _io,
    _latch,
    _lease,
    _ledger,
    _lock,
    _manifest,
    _names,
    _prune_facts,
    _prune_request,
    _retention,
    _sets,
)
from ._catalog import Entry
from ._errors import BackupError
from ._ledger import Going, Ledger
from ._prune_request import PruneRequest
from ._retention import Drop, Facts, Kept
from ._sets import BackupSet

_WAIT_SECONDS = 60.0


@dataclasses.dataclass
class PruneOutcome:
    """``drops``: what went, or would go. ``failure``: what a person has to do, after everything was done."""

    drops: list[Drop]
    kept: list[Kept]
    changed: bool
    warnings: list[str]
    failure: BackupError | None = None

    def facts(self) -> dict[str, t.Any]:
        deleted = [
            {
                **_named(drop.backup_set),
                "artifacts": [each.artifact for each in drop.artifacts],
                "bytes": sum(map(_retention.stored_bytes, drop.artifacts)),
                "replaced_by": drop.replaced_by.number,
                "replaced_by_time": _manifest.format_time(drop.replaced_by.time),
            }
            for drop in self.drops
        ]
        kept = [{**_named(each.backup_set), "code": each.code, "why": each.why} for each in self.kept]
        return {"deleted": deleted, "kept_over_age": kept, "freed": sum(each["bytes"] for each in deleted)}

    def report(self) -> dict[str, t.Any]:
        """What the recorder notes: nothing was made, so there is no artifact and no recovery point."""
        details = {**self.facts(), **({"warnings": self.warnings} if self.warnings else {})}
        return {"artifacts": [], "recovery_point": None, "details": details}

    def report_at(self, place: str) -> dict[str, t.Any]:
        """The same of one of many branches at *place*, with what a person has to do."""
        report = self.report()
        report["details"].update(place=place, changed=self.changed)
        if self.failure is not None:
            report["details"]["reason"] = self.failure.reason
            report["error"] = str(self.failure)
        return report


class Place(t.Protocol):
    """Where artifacts are removed. Its catalogue and its ledger are files in ``PruneRequest.directory``."""

    def check(self, entry: Entry) -> None:
        """Raise NotIntactError unless *entry* is intact there, now."""

    def remove_manifest(self, entry: Entry) -> None:
        """Let *entry* exist no more, for good."""

    def remove_rest(self, name: str) -> None:
        """Remove what is left of the artifact *name*."""

    def account(self) -> None:
        """Derive from the manifests that are left what the place keeps of them."""


class DirectoryPlace:
    """A directory that has the artifacts themselves."""

    def __init__(self, request: PruneRequest) -> None:
        self._request = request
        self._directory = request.directory

    def check(self, entry: Entry) -> None:
        _intact.check_intact(entry, branch=self._request.branch, allowed_signers=self._request.allowed_signers)

    def remove_manifest(self, entry: Entry) -> None:
        os.unlink(entry.path + _names.MANIFEST_SUFFIX)
        _io.fsync_directory(self._directory)

    def remove_rest(self, name: str) -> None:
        path = os.path.join(self._directory, name)
        companion = os.path.join(self._directory, _names.companion_name(name))
        for each in (path + _names.SIGNATURE_SUFFIX, companion, path, path + _names.VERIFIED_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each)
        _io.fsync_directory(self._directory)

    def account(self) -> None:
        _catalog.write_checksums(_catalog.read_catalogue(self._directory))


def prune_place(request: PruneRequest, *, place: Place | None = None, check_mode: bool = False) -> PruneOutcome:
    """Remove what is over age and has a better successor; raises BackupError when that cannot be decided.

    *place*: by default the directory of *request*.
    """
    _prune_request.check_request(request)
    with contextlib.ExitStack() as stack:
        if not check_mode:
            hold = _lock.hold
            stack.enter_context(hold(request.state_path, f"{request.lock}-{request.branch}", run_id=request.run_id))
            # From the first step of a restore nothing may go.
            stack.enter_context(
                hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id, shared=True)
            )
        if not request.excludes:
            # Of the branch's own place. Central, whose places exclude pulls and copies, restores nothing.
            _latch.require_open(request.state_path, branch=request.branch, what="remove old backups")
        return _Pruning(request, place or DirectoryPlace(request)).run(check_mode=check_mode)


class _Pruning:
    def __init__(self, request: PruneRequest, place: Place) -> None:
        self._request = request
        self._place = place
        self._directory = request.directory
        found = _read_ledger(request)
        self._catalogue, self._warnings = _prune_facts.credible_catalogue(request)
        self._entries = {each.name: each for each in self._catalogue.entries if each.manifest.branch == request.branch}
        self._sets = _sets.backup_sets((each.manifest for each in self._entries.values()), known_kinds=found.kinds)
        self._ledger = _prune_request.apply(request, found, self._sets, now=_clock.now())
        self._told = self._ledger != found
        self._defects: dict[str, str] = {}

    def run(self, *, check_mode: bool) -> PruneOutcome:
        facts, warnings = _prune_facts.gather(self._request, self._ledger, self._sets, self._entries)
        self._warnings += warnings
        plan = _retention.plan(self._sets, facts, defect=self._defect)
        drops, kept = list(plan.drops), list(plan.kept)
        # What an interrupted run left; while nothing may go, only what it had not yet begun with comes off the list.
        listed = [name for name in self._ledger.going if facts.hold is None or self._exists(name)]
        changed = bool(self._told or drops or listed)
        if changed and not check_mode:
            with self._alone():
                removed = self._remove(plan, facts)
            drops, kept = _as_it_went(drops, kept, removed)
        outcome = PruneOutcome(drops=drops, kept=kept, changed=changed, warnings=self._warnings)
        outcome.failure = _prune_request.failure(self._request, drops, kept)
        return outcome

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts nobody else adds or removes anything here."""
        request = self._request
        if not request.excludes:
            return contextlib.nullcontext()
        return _lock.hold(request.state_path, request.excludes, run_id=request.run_id, wait_seconds=_WAIT_SECONDS)

    def _defect(self, backup_set: BackupSet) -> str:
        """What is wrong with the stored bytes that restore *backup_set*, read now."""
        for member in backup_set.members:
            if member.artifact not in self._defects:
                self._defects[member.artifact] = self._check(self._entries[member.artifact])
            if self._defects[member.artifact]:
                return f"{member.artifact}: {self._defects[member.artifact]}"
        return ""

    def _check(self, entry: Entry) -> str:
        try:
            self._place.check(entry)
        except _intact.NotIntactError as exc:
            return str(exc)
        return ""

    def _remove(self, plan: _retention.Plan, facts: Facts) -> set[str]:
        """Remove what *plan* says, and what an interrupted run left; return the names of those of *plan* that went."""
        # One whose manifest is still there was decided anew.
        half = {name: each for name, each in self._ledger.going.items() if not self._exists(name)}
        going = {
            each.artifact: Going(each.kind, each.sequence, drop.backup_set.number, drop.replaced_by.number)
            for drop in plan.drops
            for each in drop.artifacts
        }
        self._ledger = dataclasses.replace(self._ledger, going={**half, **going}, aged=self._aged(facts, going))
        _ledger.write_ledger(self._directory, self._ledger)
        removed: set[str] = set()
        finished: set[str] = set()
        # Again: it was decided before the replacement was read, which may have taken long.
        leased = [each.artifact for each in plan.order() if _prune_facts.is_leased(self._entries[each.artifact])]
        busy = {name for each in leased for name in _stood_on_together(plan, each)}
        try:
            finished.update(name for name in sorted(half) if facts.hold is None and self._remove_leftover(name))
            for each in plan.order():
                if each.artifact in busy:
                    continue
                if self._remove_artifact(self._entries[each.artifact]):
                    removed.add(each.artifact)
                else:
                    busy |= _stood_on_together(plan, each.artifact)
        except OSError as exc:
            raise BackupError(
                f"Failed to remove {exc.filename}: {exc.strerror}. Check the directory's owner and its disk; the next "
                "run goes on from there.",
                reason="remove_failed",
            ) from exc
        finally:
            self._settle(removed | finished, facts)
        return removed

    def _settle(self, gone: set[str], facts: Facts) -> None:
        """Account for what is *gone*; what was interrupted half-way stays on the list."""
        if self._ledger.going:
            # Before the list is cleared: a run that dies in between has its checksums written by the next.
            self._place.account()
        half = {name: each for name, each in self._ledger.going.items() if name not in gone and not self._exists(name)}
        oldest = min((each.number for each in self._sets if not each.keeps <= gone), default=0)
        self._ledger = dataclasses.replace(
            self._ledger.settled(gone),
            going=half,
            aged=self._aged(facts, gone),
            acknowledged={number: note for number, note in self._ledger.acknowledged.items() if number >= oldest},
        )
        _ledger.write_ledger(self._directory, self._ledger)

    def _aged(self, facts: Facts, gone: t.Container[str]) -> dict[str, tuple[str, int]]:
        found = _retention.aged(self._sets, facts, gone)
        pairs = {before: (after, int(passed.total_seconds())) for (before, after), passed in found.items()}
        return {before: pair for before, pair in pairs.items() if self._exists(before)}

    def _exists(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self._directory, name + _names.MANIFEST_SUFFIX))

    def _remove_artifact(self, entry: Entry) -> bool:
        """Remove one artifact; False when somebody reads it. Its manifest goes first: without it, it does not exist."""
        with _lease.claim(entry) as claimed:
            if claimed:
                self._place.remove_manifest(entry)
                self._place.remove_rest(entry.name)
        return claimed

    def _remove_leftover(self, name: str) -> bool:
        if os.path.lexists(os.path.join(self._directory, f".{name}.intent")):
            # A clock set back: a run makes an artifact of that name at this moment.
            return False
        self._place.remove_rest(name)
        return True


def _read_ledger(request: PruneRequest) -> Ledger:
    try:
        return _ledger.read_ledger(request.directory, branch=request.branch)
    except _ledger.LedgerError as exc:
        raise BackupError(
            f"Failed to use {os.path.join(request.directory, _ledger.NAME)}: {exc}. Nothing was removed. Put the copy "
            "of another place there; without one move it away, verify the place, then pin and hold anew.",
            reason="bad_ledger",
        ) from exc


def _named(backup_set: BackupSet) -> dict[str, t.Any]:
    return {"set": backup_set.number, "time": _manifest.format_time(backup_set.time)}


def _stood_on_together(plan: _retention.Plan, artifact: str) -> set[str]:
    """What stays when *artifact* turns out to be read: all that the sets that stand on it stand on."""
    return {name for drop in plan.drops if artifact in drop.backup_set.keeps for name in drop.backup_set.keeps}


def _as_it_went(
    drops: t.Sequence[Drop], kept: t.Sequence[Kept], removed: t.Container[str]
) -> tuple[list[Drop], list[Kept]]:
    """What was removed, and what turned out to be read since it was decided."""
    went, stayed = [], list(kept)
    for drop in drops:
        gone = tuple(each for each in drop.artifacts if each.artifact in removed)
        lost = tuple(each for each in drop.lost if each.artifact in removed)
        if gone:
            went.append(dataclasses.replace(drop, artifacts=gone, lost=lost))
        if len(gone) < len(drop.artifacts):
            stayed.append(Kept(drop.backup_set, _retention.LEASED, "it is being read"))
    return went, sorted(stayed, key=lambda each: each.backup_set.index)


__all__ = ("Place", "PruneOutcome", "PruneRequest", "prune_place")

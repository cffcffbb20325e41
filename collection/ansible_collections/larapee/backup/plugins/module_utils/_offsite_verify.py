# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification of what a place offsite has of one branch: signatures, versions, checksums, bytes and locks.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import shutil
import tempfile
import typing as t

from . import (
    _chain_check,
    _clock,
    _intact,
    _ledger,
    _lock,
    _manifest,
    _offsite,
    _place_memory,
    _report,
    _shelf,
    _verify,
)
from ._catalog import Entry
from ._errors import BackupError
from ._mirror import Mirror
from ._store._base import Store
from ._verify import FAILED, OK, Check

# Verification may read for long when retention comes.
_WAIT_SECONDS = 900.0
# While a copy is under way a base gets its lock before the increments, which are locked a little longer then.
_SLACK = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class OffsiteVerifyRequest:
    """``target`` is C(hot) or C(cold); ``unlocked``: a cold place that cannot lock is accepted by name.

    ``lock_days``: for how long, from its making, the newest artifact of each kind has to be locked in the cold place.
    """

    branch: str
    allowed_signers: str
    state_path: str
    run_id: str
    target: str
    read_days: int = 30
    unlocked: bool = False
    lock_days: int = 90


def verify_offsite(store: Store, request: OffsiteVerifyRequest, *, check_mode: bool = False) -> dict[str, t.Any]:
    """What the recorder notes of the place; raises BackupError when it cannot be reached, or keeps nothing for sure."""
    if request.target == _offsite.COLD and not request.unlocked:
        store.require_lock()
    else:
        store.require_versions()
    with open_mirror(store, request.target, request, read_days=request.read_days, check_mode=check_mode) as mirror:
        return _Verifying(mirror, request).run()


class MirrorRequest(t.Protocol):
    """What every request about a place offsite has."""

    @property
    def branch(self) -> str: ...
    @property
    def allowed_signers(self) -> str: ...
    @property
    def state_path(self) -> str: ...
    @property
    def run_id(self) -> str: ...


@contextlib.contextmanager
def open_mirror(
    store: Store, target: str, request: MirrorRequest, *, read_days: int, check_mode: bool
) -> t.Iterator[Mirror]:
    """The mirror of the place, up to date; in check mode a copy of it that does not stay."""
    memory = _place_memory.open_memory(store, request, target, write=not check_mode)
    directory = memory.mirror
    with contextlib.ExitStack() as stack:
        if check_mode:
            copy = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "mirror")
            if os.path.isdir(directory):
                shutil.copytree(directory, copy)
            directory = copy
            if memory.lost:
                _place_memory.hold(directory, branch=request.branch)
        else:
            name = f"mirror-{target}-{request.branch}"
            lock = _lock.hold(request.state_path, name, run_id=request.run_id, wait_seconds=_WAIT_SECONDS)
            stack.enter_context(lock)
        mirror = Mirror(
            store,
            directory,
            branch=request.branch,
            allowed_signers=request.allowed_signers,
            stored=_shelf.recall(memory.shelf, store.url),
            read_days=read_days,
            bundles=target == _offsite.COLD,
        )
        try:
            yield mirror
        finally:
            mirror.save()


class _Verifying:
    def __init__(self, mirror: Mirror, request: OffsiteVerifyRequest) -> None:
        self._mirror = mirror
        self._request = request
        self._place = f"{mirror.store.url}/{request.branch}"
        self._catalogue = mirror.catalogue()
        self._own = [each.manifest for each in self._catalogue.entries]
        self._locks: dict[str, dt.datetime] = {}

    def run(self) -> dict[str, t.Any]:
        problems = {**self._catalogue.problems, **self._mirror.problems}
        checks = [Check(name, "intact", FAILED, why) for name, why in sorted(problems.items())]
        astray, gaps = _chain_check.chain_faults(self._own)
        checks += [Check(f"after {name}", "intact", FAILED, why) for name, why in sorted(gaps.items())]
        verified: list[Entry] = []
        read: list[Entry] = []
        for entry in self._catalogue.entries:
            why = astray.get(entry.name, "")
            try:
                read += [entry] if self._mirror.check(entry) else []
                why = why or self._why_not_locked(entry)
            except _intact.NotIntactError as exc:
                why = str(exc)
            checks.append(Check(entry.name, "intact", FAILED if why else OK, why))
            verified += [] if why else [entry]
        checks += self._check_dependants() + self._check_newest() + self._check_numbers()
        if not self._catalogue.entries:
            checks.append(Check(self._place, "intact", FAILED, f"there is nothing to verify in {self._place}"))
        outcome = _verify.VerifyOutcome(
            checks=tuple(checks),
            unmanaged=(),
            recovery_point=_chain_check.recovery_point(self._own, [each.manifest for each in verified]),
            verified=tuple(verified),
            read=tuple(read),
        )
        report = _report.report_of_estate(outcome, self._place)
        report["details"]["place"] = self._request.target
        report["details"]["read"]["bytes"] = self._mirror.read_bytes
        if self._locks:
            report["details"]["locked_until"] = _manifest.format_time(min(self._locks.values()))
        return report

    @property
    def _is_locked(self) -> bool:
        return self._request.target == _offsite.COLD and not self._request.unlocked

    def _why_not_locked(self, entry: Entry, *, again: bool = False) -> str:
        """What the lock of an artifact is, of each of its versions, as the place says."""
        if not self._is_locked:
            return ""
        until = []
        for version in self._mirror.versions_of(entry):
            found = self._mirror.locked_until(version, again=again)
            if found is None:
                return f"nothing locks {version.key}"
            until.append(found)
        self._locks[entry.name] = min(until)
        return ""

    def _check_dependants(self) -> list[Check]:
        """A base that is let go before an increment takes it along."""
        by_name = {each.name: each for each in self._catalogue.entries}
        found = {}
        for entry in self._catalogue.entries:
            base = by_name.get(entry.manifest.document.get("base") or "")
            if base is not None and entry.name in self._locks and self._is_shorter(base, self._locks[entry.name]):
                found[base.name] = f"its lock ends before that of {entry.name}, which stands on it"
        return [Check(name, "intact", FAILED, why) for name, why in sorted(found.items())]

    def _check_newest(self) -> list[Check]:
        """When older ones are let go, the newest of each kind is what is left."""
        found = []
        for kind in _manifest.KINDS:
            locked = [
                each for each in self._catalogue.of_kind(kind, branch=self._request.branch) if each.name in self._locks
            ]
            for newest in locked[-1:]:
                due = newest.manifest.created_at + dt.timedelta(days=self._request.lock_days)
                if self._is_shorter(newest, max(due, _clock.now() + _SLACK)):
                    until = _manifest.format_time(self._locks[newest.name])
                    days = self._request.lock_days
                    why = f"it is the newest, and its lock ends at {until}, not {days} days after it was made"
                    found.append(Check(newest.name, "intact", FAILED, why))
        return found

    def _is_shorter(self, base: Entry, until: dt.datetime) -> bool:
        if self._locks.get(base.name, until) >= until - _SLACK:
            return False
        # It may have been locked longer since it was asked for.
        self._why_not_locked(base, again=True)
        return self._locks[base.name] < until - _SLACK

    def _check_numbers(self) -> list[Check]:
        """A number that is missing between others: what the lock has let go may be missing, and what retention took."""
        try:
            ledger = _ledger.read_ledger(self._mirror.directory, branch=self._request.branch)
        except _ledger.LedgerError as exc:
            return [Check(_ledger.NAME, "intact", FAILED, f"damaged, retention does nothing: {exc}")]
        now = _clock.now()
        found: list[Check] = []
        for kind in _manifest.KINDS:
            entries = self._catalogue.of_kind(kind, branch=self._request.branch)
            numbers = [each.manifest.sequence for each in entries if self._locks.get(each.name, now) >= now]
            found += _verify.check_sequence(kind, numbers, last_given=0, removed=ledger.absent(kind))
        return found


def require_days(read_days: int) -> None:
    if read_days < 1:
        raise BackupError(
            f"Failed to read each byte within {read_days} days: one is the least. Set "
            "larapee_backup_offsite_read_days.",
            reason="bad_request",
        )


__all__ = ("MirrorRequest", "OffsiteVerifyRequest", "open_mirror", "require_days", "verify_offsite")

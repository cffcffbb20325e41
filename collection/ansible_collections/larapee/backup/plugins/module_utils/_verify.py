# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification of one place from its catalogue, in the three levels intact, opened and proven.

A check that could not run is NOT RUN and not green; a level out of this place's reach is "n/a here"; nothing to verify
is a failure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import socket
import typing as t

from . import (
    _abreast,
    _catalog,
    _chain_check,
    _clock,
    _dirfd,
    _estate,
    _intact,
    _io,
    _lease,
    _ledger,
    _lock,
    _manifest,
    _names,
    _opened,
    _sequence,
)
from ._catalog import Entry
from ._errors import BackupError
from ._proofs import Proofs

OK: t.Final = "OK"
FAILED: t.Final = "FAILED"
NOT_RUN: t.Final = "NOT RUN"
NOT_HERE: t.Final = "n/a here"
LEVELS: t.Final = ("intact", "opened", "proven")


@dataclasses.dataclass(frozen=True)
class Check:
    """One level of one artifact (or of a file that should be one)."""

    artifact: str
    level: str
    status: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class VerifyRequest:
    """What to verify. ``identity`` is the text of an age identity, or None where this place has none.

    ``proofs``: at central, what was proven before; then each artifact is read once in ``read_days`` nights.
    """

    branch: str
    directory: str
    allowed_signers: str
    state_path: str
    run_id: str
    identity: str | None = None
    proofs: Proofs | None = None
    read_days: int = 1


@dataclasses.dataclass(frozen=True)
class VerifyOutcome:
    """``checks`` in the catalogue's order.

    ``recovery_point`` is the least of database, uploads and config, of those of them that the place has; None when
    nothing of one of them is intact. ``read``: those of ``verified`` whose bytes were read now.
    """

    checks: tuple[Check, ...]
    unmanaged: tuple[str, ...]
    recovery_point: str | None
    verified: tuple[Entry, ...]
    read: tuple[Entry, ...] = ()

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.status in (FAILED, NOT_RUN)]

    def counts(self) -> dict[str, dict[str, int]]:
        table = {level: dict.fromkeys((OK, FAILED, NOT_RUN, NOT_HERE), 0) for level in LEVELS}
        for check in self.checks:
            table[check.level][check.status] += 1
        return table


def verify_place(request: VerifyRequest, *, check_mode: bool = False) -> VerifyOutcome:
    """Verify every artifact of *request.branch* at one place; raises BackupError when the place cannot be read."""
    if check_mode:
        return _verify(request, write=False)
    with _lock.hold(request.state_path, f"verify-{request.branch}", run_id=request.run_id):
        if os.path.isdir(request.directory):
            _io.sweep_unwritten(request.directory, ending=_names.VERIFIED_SUFFIX)
        try:
            return _verify(request, write=True)
        finally:
            # Also of a run that was interrupted: the next one goes on from there.
            if request.proofs is not None:
                _settle(request, request.proofs)


def _verify(request: VerifyRequest, *, write: bool) -> VerifyOutcome:
    # Before the catalogue: a backup that ends in between must not look like one that is missing.
    given, unknown = _last_given(request)
    read_place = _catalog.read_catalogue if request.proofs is None else _estate.read_place
    catalogue = read_place(request.directory)
    checks = [Check(name, "intact", FAILED, why) for name, why in sorted(catalogue.problems.items())]
    checks += unknown
    ledger = _read_ledger(request)
    for kind in _manifest.KINDS:
        numbers = [entry.manifest.sequence for entry in catalogue.of_kind(kind, branch=request.branch)]
        checks += check_sequence(kind, numbers, last_given=given[kind], removed=ledger.absent(kind))
    astray, gaps = _chain_check.chain_faults(_own(catalogue.entries, request))
    checks += [Check(f"after {name}", "intact", FAILED, why) for name, why in sorted(gaps.items())]
    verified: list[Entry] = []
    read: list[Entry] = []
    for start in range(0, len(catalogue.entries), _abreast.WIDTH):
        with contextlib.ExitStack() as stack:
            present = []
            for entry in catalogue.entries[start : start + _abreast.WIDTH]:
                with contextlib.suppress(BackupError):
                    stack.enter_context(_lease.hold([entry]))
                if not _pruned_meanwhile(entry, request):
                    present.append(entry)
            due = [entry for entry in present if _is_due(entry, request)]
            for entry, intact in zip(present, _check_intact(present, due, request, astray=astray)):
                results = [intact, _check_opened(entry, request, intact=intact, due=entry in due)]
                results.append(Check(entry.name, "proven", NOT_HERE, "only a restore drill proves it"))
                checks += results
                # What is as it was keeps its result, with the time at which it was read.
                if write and (entry in due or intact.status != OK):
                    _write_result(entry, results, request)
                if intact.status == OK:
                    verified.append(entry)
                    read += [entry] if entry in due else []
    if not catalogue.entries:
        why = f"there is nothing to verify in {request.directory}"
        checks.append(Check(request.directory, "intact", FAILED, why))
    return VerifyOutcome(
        checks=tuple(checks),
        unmanaged=catalogue.unmanaged,
        recovery_point=_chain_check.recovery_point(_own(catalogue.entries, request), _own(verified, request)),
        verified=tuple(verified),
        read=tuple(read),
    )


def _settle(request: VerifyRequest, proofs: Proofs) -> None:
    """Make the results durable, all at once, and keep what was proven."""
    if not os.path.isdir(request.directory):
        return
    descriptor = os.open(request.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _dirfd.sync_filesystem(descriptor)
    finally:
        os.close(descriptor)
    proofs.save(request.directory)


def _is_due(entry: Entry, request: VerifyRequest) -> bool:
    return request.proofs is None or request.proofs.is_due(entry, days=request.read_days)


def _own(entries: t.Iterable[Entry], request: VerifyRequest) -> list[_manifest.Manifest]:
    return [entry.manifest for entry in entries if entry.manifest.branch == request.branch]


def _check_intact(
    entries: t.Sequence[Entry], due: t.Container[Entry], request: VerifyRequest, *, astray: t.Mapping[str, str]
) -> list[Check]:
    """Signatures first: no other thread may run when a process is started."""
    signed = {entry.name: _check_signed(entry, request) for entry in entries}
    to_read = [entry for entry in entries if signed[entry.name].status == OK and entry in due]
    found = dict(signed)
    if to_read:
        stored = _abreast.abreast(lambda entry: _check_stored(entry, request), to_read)
        found.update({check.artifact: check for check in stored})
    for name, check in found.items():
        if check.status == OK and name in astray:
            found[name] = Check(name, "intact", FAILED, astray[name])
    return [found[entry.name] for entry in entries]


def _check_signed(entry: Entry, request: VerifyRequest) -> Check:
    try:
        if request.proofs is None:
            _intact.check_signed(entry, branch=request.branch, allowed_signers=request.allowed_signers)
        else:
            request.proofs.check_signed(entry)
    except _intact.NotIntactError as exc:
        return Check(entry.name, "intact", FAILED, str(exc))
    except BackupError as exc:
        return Check(entry.name, "intact", NOT_RUN, str(exc))
    return Check(entry.name, "intact", OK)


def _check_stored(entry: Entry, request: VerifyRequest) -> Check:
    try:
        if request.proofs is None:
            _intact.check_bytes(entry)
            _intact.check_companion(entry)
        else:
            request.proofs.check_read(entry)
    except _intact.NotIntactError as exc:
        return Check(entry.name, "intact", FAILED, str(exc))
    return Check(entry.name, "intact", OK)


def _check_opened(entry: Entry, request: VerifyRequest, *, intact: Check, due: bool) -> Check:
    if entry.manifest.encrypted and request.identity is None:
        return Check(entry.name, "opened", NOT_HERE, "this place has no identity")
    if intact.status != OK:
        return Check(entry.name, "opened", NOT_RUN, "it is not intact")
    if not due:
        return Check(entry.name, "opened", NOT_HERE, "another night reads it")
    try:
        _opened.check_opened(entry, identity=request.identity, state_path=request.state_path)
    except BackupError as exc:
        status = NOT_RUN if exc.reason in ("tool_missing", "bad_identity") else FAILED
        return Check(entry.name, "opened", status, str(exc))
    return Check(entry.name, "opened", OK)


def _last_given(request: VerifyRequest) -> tuple[dict[str, int], list[Check]]:
    """By kind, the last number given; and a check that could not run, when the state does not tell."""
    given = dict.fromkeys(_manifest.KINDS, 0)
    unknown = ""
    for kind in _manifest.KINDS:
        try:
            given[kind] = _sequence.last_given(request.state_path, branch=request.branch, kind=kind)
        except _sequence.SequenceError as exc:
            unknown = str(exc)
    return given, [Check("sequence", "intact", NOT_RUN, unknown)] if unknown else []


def _read_ledger(request: VerifyRequest) -> _ledger.Ledger:
    """What retention removed; a damaged ledger, which the catalogue reports, explains no gap."""
    try:
        return _ledger.read_ledger(request.directory, branch=request.branch)
    except _ledger.LedgerError:
        return _ledger.Ledger(branch=request.branch)


def _pruned_meanwhile(entry: Entry, request: VerifyRequest) -> bool:
    if os.path.lexists(entry.path + _names.MANIFEST_SUFFIX):
        return False
    manifest = entry.manifest
    return _read_ledger(request).has_removed(entry.name, kind=manifest.kind, sequence=manifest.sequence)


def check_sequence(
    kind: str, numbers: t.Sequence[int], *, last_given: int, removed: t.Sequence[_ledger.Range]
) -> list[Check]:
    """A number that is missing or there twice: a manifest was removed, or an older state was put back."""
    numbers = [number for number in numbers if number]
    often = [number for number, times in collections.Counter(numbers).items() if times > 1]
    wrong = {number: f"number {number} of kind {kind} is there more than once" for number in often}
    if not kind.endswith("_increment"):
        # Retention never takes the newest: a ledger that says so was tampered with.
        removed = [(first, last) for first, last in removed if last < max(numbers, default=0)]
    # The number after the last one given ends the last gap.
    end = max([last_given, *numbers]) + 1
    expected = min(numbers, default=max(last_given, 1))
    for first, last in (*sorted([*((number, number) for number in numbers), *removed]), (end, end)):
        if first == expected + 1:
            wrong[expected] = f"number {expected} of kind {kind} is missing: its manifest was removed"
        elif first > expected:
            wrong[expected] = (
                f"numbers {expected} to {first - 1} of kind {kind} are missing: their manifests were removed"
            )
        expected = max(expected, last + 1)
    return [Check(f"{kind} {number}", "intact", FAILED, why) for number, why in sorted(wrong.items())]


def _earlier_levels(entry: Entry) -> dict[str, t.Any]:
    try:
        document = _io.read_json(entry.path + _names.VERIFIED_SUFFIX)
    except (OSError, ValueError):
        return {}
    levels = document.get("levels")
    if document.get("sha256") != entry.manifest.sha256 or not isinstance(levels, dict):
        return {}
    return {level: levels[level] for level in ("intact", "opened") if level in levels}


def _write_result(entry: Entry, checks: t.Sequence[Check], request: VerifyRequest) -> None:
    """Keep the result beside the artifact; what only another place can check keeps its earlier result there."""
    levels = _earlier_levels(entry)
    now = _manifest.format_time(_clock.now())
    for check in checks:
        if check.status != NOT_HERE:
            levels[check.level] = {
                "status": check.status,
                "reason": check.reason,
                "at": now,
                "by": socket.gethostname(),
                "run_id": request.run_id,
            }
    document = {"schema": 1, "artifact": entry.name, "sha256": entry.manifest.sha256, "levels": levels}
    # At central all of them are made durable together.
    _io.write_json(entry.path + _names.VERIFIED_SUFFIX, document, durable=request.proofs is None)


__all__ = (
    "FAILED",
    "LEVELS",
    "NOT_HERE",
    "NOT_RUN",
    "OK",
    "Check",
    "VerifyOutcome",
    "VerifyRequest",
    "check_sequence",
    "verify_place",
)

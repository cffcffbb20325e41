# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tip of a branch: a small signed statement of where each part of its newest backup set stands.

``tip.json`` and ``tip.json.sig`` cannot be renamed in one step. So the signature comes first, and its file keeps the
signatures of the tips before it behind the new one: whichever tip lies beside it, one of them is its own. A reader
takes the tip first and the signatures after it, and reads again when none fits.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import functools
import hashlib
import os
import time
import typing as t

from . import (
    _catalog,
    _chain,
    _clock,
    _current,
    _intact,
    _io,
    _latch,
    _manifest,
    _names,
    _recoverable,
    _sequence,
    _sets,
    _signature,
    _tip_database,
)
from ._catalog import Catalogue, Entry
from ._errors import BackupError
from ._seal_stream import flaw_of
from ._tip_pair import NAME, SCHEMA_VERSION, SIGNATURES, checked, place, read_signatures

FAMILIES: t.Final = (_sets.DATABASE, _sets.UPLOADS, _sets.CONFIG)

# What each kind of run has to have made itself, or its set is not complete. An idle shop's increment makes nothing.
_MADE_BY: t.Final = {"full": FAMILIES, "increment": (_sets.DATABASE,), "log": ()}
_READS: t.Final = 5
_PAUSE_S: t.Final = 0.1


@dataclasses.dataclass(frozen=True)
class TipRequest:
    """Whose tip, and the ``kind`` of the run that it closes; ``allowed_signers``, where given, has to accept it."""

    branch: str
    kind: str
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    allowed_signers: str | None = None


@dataclasses.dataclass(frozen=True)
class TipOutcome:
    """``raw`` was signed and placed, None in check mode; ``lacking`` says by family why the run is not complete.

    ``recoverable``: from when until when the place restores the database, for a row of backup_runs.
    """

    document: t.Mapping[str, t.Any]
    raw: bytes | None
    lacking: t.Mapping[str, str]
    warnings: tuple[str, ...]
    recoverable: t.Mapping[str, t.Any]

    @property
    def recovery_point(self) -> str | None:
        return recovery_point(self.document)

    def report(self) -> dict[str, t.Any]:
        """What the recorder notes."""
        artifacts = []
        if self.raw is not None:
            artifacts = [{"name": NAME, "size": len(self.raw), "sha256": hashlib.sha256(self.raw).hexdigest()}]
        parts = {family: part for family, part in self.document["parts"].items() if part is not None}
        return {
            "artifacts": artifacts,
            "recovery_point": self.recovery_point if artifacts else None,
            "details": {"set": self.document["set"], "parts": parts, "recoverable": dict(self.recoverable)},
        }

    def describe_lacking(self) -> str:
        why = "; ".join(f"{family}: {text}" for family, text in self.lacking.items())
        return (
            f"Failed to complete the backup set of {self.document['branch']}: {why}. What was taken is kept; correct "
            "what failed before this, then run again."
        )


def write_tip(request: TipRequest, *, check_mode: bool = False) -> TipOutcome:
    """State where the branch stands, from its catalogue and the archiver's state; raises BackupError."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    _latch.require_open(request.state_path, branch=request.branch, what="state the recovery point")
    if check_mode:
        return _state(request)[0]
    _io.ensure_directory(request.local_path)
    with _turn(request):
        outcome, parts, made = _state(request)
        raw = _io.json_bytes(outcome.document)
        signature = _signature.sign(raw, key=request.signing_key)
        if request.allowed_signers is not None:
            _require_accepted(raw, signature, request, request.allowed_signers)
        place(request.local_path, raw, signature)
    return dataclasses.replace(outcome, raw=raw, lacking=_lacking(request, parts, made))


def read_tip(directory: str, *, branch: str, allowed_signers: str) -> dict[str, t.Any]:
    """The tip of *branch* at a place; raises BackupError when there is none that *branch* signed."""
    why = ""
    for attempt in range(_READS):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            raw = _io.read_small(os.path.join(directory, NAME))
            signatures = read_signatures(directory)
        except (OSError, ValueError) as exc:
            why = f"{NAME} or its signature cannot be read ({exc})"
            continue
        try:
            return checked(raw, signatures, branch=branch, allowed_signers=allowed_signers)
        except ValueError as exc:
            why = str(exc)
    raise BackupError(
        f"Failed to read the tip of {branch} in {directory}: {why}. Take a backup of the branch, which writes it anew.",
        reason="bad_tip",
    )


def recovery_point(document: t.Mapping[str, t.Any]) -> str | None:
    """Up to when (UTC) the whole set restores: the least of its parts; None when one was never backed up."""
    parts = [document["parts"].get(family) for family in FAMILIES]
    return None if None in parts else min(part["current_at"] for part in parts)


@dataclasses.dataclass(frozen=True)
class _Part:
    manifest: _manifest.Manifest
    current_at: str


def _state(request: TipRequest) -> tuple[TipOutcome, dict[str, _Part | None], set[str]]:
    warnings: list[str] = []
    made: set[str] = set()
    parts: dict[str, _Part | None] = dict.fromkeys(FAMILIES)
    recoverable = _recoverable.recoverable(())
    if os.path.isdir(request.local_path):
        catalogue = _read_catalogue(request)
        unusable: dict[str, str] = {}
        parts = {family: _part(request, catalogue, family, warnings, unusable) for family in FAMILIES}
        made = {family for family, part in parts.items() if part and _made_before(request, catalogue, family, part)}
        own = [entry.manifest for entry in catalogue.entries if entry.manifest.branch == request.branch]
        recoverable = _recoverable.recoverable(own, unusable=unusable, current=_noted(parts[_sets.DATABASE]))
    document = {
        "schema": SCHEMA_VERSION,
        "branch": request.branch,
        "run_id": request.run_id,
        "set": max((part.manifest.set_number for part in parts.values() if part is not None), default=0),
        "created_at": _manifest.format_time(_clock.now()),
        "parts": {
            family: part and {"artifact": part.manifest.artifact, "current_at": part.current_at}
            for family, part in parts.items()
        },
    }
    warnings += [
        f"No backup of {request.branch} can be complete yet: there is none of its {family}."
        for family, part in parts.items()
        if part is None
    ]
    outcome = TipOutcome(
        document=document,
        raw=None,
        lacking={},
        warnings=tuple(dict.fromkeys(warnings)),
        recoverable=recoverable.document(),
    )
    return outcome, parts, made


def _noted(part: _Part | None) -> tuple[str, dt.datetime] | None:
    return None if part is None else (part.manifest.artifact, _manifest.parse_time(part.current_at))


def _read_catalogue(request: TipRequest) -> Catalogue:
    """Without numbers that were never given."""
    catalogue = _catalog.read_catalogue(request.local_path)
    for kind in _sets.FAMILIES:
        with contextlib.suppress(_sequence.SequenceError):
            last = _sequence.last_given(request.state_path, branch=request.branch, kind=kind)
            catalogue = _sequence.credible(
                catalogue, last=last, branch=request.branch, kind=kind, allowed_signers=request.allowed_signers
            )
    return catalogue


def _part(
    request: TipRequest, catalogue: Catalogue, family: str, warnings: list[str], unusable: dict[str, str]
) -> _Part | None:
    """The family's newest own artifact, whole with its bases; *unusable* gets what counts not of the database."""
    entries = {
        entry.name: entry
        for entry in catalogue.entries
        if entry.manifest.branch == request.branch and _sets.FAMILIES[entry.manifest.kind] == family
    }
    if family == _sets.DATABASE:
        accepted = functools.partial(_flaw_of_last, request)
        newest, flaws, newer = _tip_database.newest_state(entries, why_not_accepted=accepted)
        unusable.update(flaws)
        warnings += [f"{name} does not count: {flaws[name]}." for name in newer]
        return _Part(newest, _current_at(request, family, newest)) if newest is not None else None
    for names in reversed(_chains(family, entries)):
        own = {name for name in names if entries[name].manifest.adopted_moment is None}
        found = {name: flaw_of(entries[name]) for name in (names if own else ())}
        damaged = [name for name, flaw in found.items() if flaw is not None]
        warnings += [f"{name} does not count: {found[name]}." for name in damaged]
        # Nothing can stand on a damaged one: what is left is each artifact before the first, the longest state first.
        whole = names[: names.index(damaged[0])] if damaged else names
        for last in (entries[name] for name in reversed(whole) if name in own):
            # An increment takes what could not be read before it again: only the last one's gaps are left.
            flaw = _flaw_of_last(request, last)
            if flaw is None:
                return _Part(last.manifest, _current_at(request, family, last.manifest))
            warnings.append(f"{last.name} does not count: {flaw}.")
    return None


def _current_at(request: TipRequest, family: str, manifest: _manifest.Manifest) -> str:
    """Up to when *manifest* is the truth: the archiver knows of a tree that has not changed since."""
    noted = _current.read(request.state_path, request.branch).get(family, {})
    at = _manifest.format_time(manifest.recovery_point)
    return str(noted["current_at"]) if noted.get("artifact") == manifest.artifact else at


def _chains(family: str, entries: t.Mapping[str, Entry]) -> list[list[str]]:
    """The names of what stands on each other, oldest first. Each artifact is a state with those before it."""
    ordered = sorted((entry.manifest for entry in entries.values()), key=lambda manifest: manifest.order)
    if family != _sets.UPLOADS:
        return [[manifest.artifact] for manifest in ordered]
    chains, _astray = _chain.file_chains(ordered)
    return [[manifest.artifact for manifest in chain.artifacts] for chain in chains]


def _flaw_of_last(request: TipRequest, entry: Entry) -> str | None:
    unreadable = entry.manifest.document.get("problems", {}).get("unreadable")
    if unreadable:
        return f"it lacks {unreadable} that could not be read"
    if request.allowed_signers is not None:
        try:
            _intact.check_signed(entry, branch=request.branch, allowed_signers=request.allowed_signers)
        except _intact.NotIntactError as exc:
            return str(exc)
    return None


def _made_before(request: TipRequest, catalogue: Catalogue, family: str, part: _Part) -> bool:
    """Whether a whole one of this run is there, although a run beside it, which was not so long, made a newer one."""
    return any(
        _sets.FAMILIES[entry.manifest.kind] == family
        and (entry.manifest.kind != part.manifest.kind or entry.manifest.order < part.manifest.order)
        and not (flaw_of(entry) or _flaw_of_last(request, entry))
        for entry in catalogue.entries
        if (entry.manifest.branch, entry.manifest.run_id) == (request.branch, request.run_id)
    )


def _lacking(request: TipRequest, parts: t.Mapping[str, _Part | None], made: set[str]) -> dict[str, str]:
    if request.kind == "log":
        return {}
    lacking = {}
    for family, part in parts.items():
        if part is None:
            lacking[family] = "there is no backup of it"
        elif family in _MADE_BY[request.kind] and family not in made and not _is_of_this_run(request, family, part):
            lacking[family] = f"this run did not back it up, the newest is {part.manifest.artifact}"
    return lacking


def _is_of_this_run(request: TipRequest, family: str, part: _Part) -> bool:
    """Whether this run made it, or saw, in an increment, that nothing came after it."""
    noted = _current.read(request.state_path, request.branch).get(family, {})
    seen = (noted.get("artifact"), noted.get("run_id")) == (part.manifest.artifact, request.run_id)
    return part.manifest.run_id == request.run_id or (request.kind == "increment" and seen)


@contextlib.contextmanager
def _turn(request: TipRequest) -> t.Iterator[None]:
    """Runs of several kinds write one tip: each waits, and states what is true in its turn."""
    directory = os.path.join(request.state_path, "locks")
    _io.ensure_directory(directory)
    path = os.path.join(directory, f"tip-{request.branch}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _require_accepted(raw: bytes, signature: bytes, request: TipRequest, allowed_signers: str) -> None:
    try:
        checked(raw, [signature], branch=request.branch, allowed_signers=allowed_signers)
    except ValueError as exc:
        raise BackupError(
            f"Failed to use the signing key {request.signing_key}: its signature is not accepted, {exc}. Correct "
            f"{allowed_signers}, the key, or this host's clock.",
            reason="signature_not_accepted",
        ) from exc


__all__ = (
    "FAMILIES",
    "NAME",
    "SIGNATURES",
    "TipOutcome",
    "TipRequest",
    "checked",
    "place",
    "read_signatures",
    "read_tip",
    "recovery_point",
    "write_tip",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copying what central holds of a branch offsite: all of it to the hot place, fulls and one bundle to the cold one.

Central's own disk is the source, always: a copy within the storage would lose its lock. Nothing is removed here.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import os
import tempfile
import typing as t

from . import (
    _bundle,
    _chain_check,
    _clock,
    _dirfd,
    _estate,
    _intact,
    _lease,
    _ledger,
    _lock,
    _names,
    _place_memory,
    _shelf,
)
from ._catalog import Entry
from ._errors import BackupError
from ._place_memory import PlaceMemory
from ._proofs import Proofs
from ._store._base import NotAsRecordedError, Store, UnreadableError, Version

HOT: t.Final = "hot"
COLD: t.Final = "cold"
SHORTEST_LOCK: t.Final = 90
LONGEST_LOCK: t.Final = 365
_NAMED = 3
_SPARE_DESCRIPTORS = 64
# Servers keep whole seconds.
_ROUNDING = dt.timedelta(seconds=2)


@dataclasses.dataclass(frozen=True)
class OffsiteRequest:
    """``lock_days`` counts for the cold place. ``unlocked``: a cold place that cannot lock is accepted by name."""

    branch: str
    central_path: str
    allowed_signers: str
    state_path: str
    run_id: str
    target: str
    lock_days: int = SHORTEST_LOCK
    unlocked: bool = False


@dataclasses.dataclass
class OffsiteOutcome:
    """``sent`` and ``present`` are artifacts (and bundles); ``left_out`` says why of those that are not there."""

    branch: str
    target: str
    sent: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    present: int = 0
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    recovery_point: str | None = None
    locked_until: str | None = None

    def report(self) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {
            "artifacts": self.sent,
            "recovery_point": self.recovery_point,
            "details": {
                "place": self.target,
                "sent": len(self.sent),
                "bytes": sum(each["size"] for each in self.sent),
                "present": self.present,
                "left_out": self.left_out,
            },
        }
        if self.left_out:
            named = [f"{name}: {why}" for name, why in sorted(self.left_out.items())]
            more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            failure = BackupError(
                f"Failed to copy all of {self.branch} to the {self.target} place: {'; '.join(named[:_NAMED])}{more}. "
                "The rest is there. Verify central's place; what is damaged there may be whole on the branch or in a "
                "snapshot.",
                reason="not_copied",
            )
            found["error"] = str(failure)
            found["details"]["reason"] = failure.reason
        return found


def copy_offsite(store: Store, request: OffsiteRequest, *, check_mode: bool = False) -> OffsiteOutcome:
    """Send what the place lacks of one branch; raise BackupError when it cannot be reached or cannot lock."""
    if request.target == COLD:
        require_lock_days(request.lock_days)
        if not request.unlocked:
            store.require_lock()
    if request.target == HOT or request.unlocked:
        store.require_versions()
    memory = _place_memory.open_memory(store, request, request.target, begin=not check_mode, write=not check_mode)
    if check_mode:
        return _Copying(store, request, memory).run(write=False)
    name = f"offsite-{request.target}-{request.branch}"
    with _lock.hold(request.state_path, name, run_id=request.run_id):
        return _Copying(store, request, memory).run(write=True)


def require_lock_days(lock_days: int) -> None:
    """Raise BackupError for what the archive does not lock for."""
    if not SHORTEST_LOCK <= lock_days <= LONGEST_LOCK:
        raise BackupError(
            f"Failed to lock for {lock_days} days: the cold archive keeps {SHORTEST_LOCK} to {LONGEST_LOCK}. Set "
            "larapee_backup_offsite_lock_days.",
            reason="bad_lock",
        )


class _Copying:
    def __init__(self, store: Store, request: OffsiteRequest, memory: PlaceMemory) -> None:
        self._request = request
        self._now = _clock.now()
        place = _estate.place_of(request.central_path, request.branch)
        self._catalogue = _estate.read_place(place)
        self._proofs = Proofs(request.state_path, branch=request.branch, allowed_signers=request.allowed_signers)
        self._shelf = _shelf.Shelf(store, f"{request.branch}/", memory.shelf)
        # A damaged one, which retention and verification report, spares nothing.
        self._ledger = _ledger.Ledger(branch=request.branch)
        with contextlib.suppress(_ledger.LedgerError):
            self._ledger = _ledger.read_ledger(memory.mirror, branch=request.branch)
        stored = self._shelf.names()
        self._numbers = {
            _ledger.number_of(each.manifest)
            for each in self._catalogue.entries
            if each.name + _names.MANIFEST_SUFFIX in stored
        }
        self._outcome = OffsiteOutcome(request.branch, request.target, left_out=dict(self._catalogue.problems))

    def run(self, *, write: bool) -> OffsiteOutcome:
        entries = [each for each in self._catalogue.entries if not self._was_removed(each) and self._is_signed(each)]
        if write:
            self._proofs.save(self._catalogue.directory)
        whole = entries
        if self._request.target == COLD:
            whole = [each for each in entries if not each.manifest.kind.endswith("_increment")]
        try:
            there = [each for each in whole if self._copy(each, write=write)]
            if self._request.target == COLD:
                loose = [each for each in entries if each.manifest.kind.endswith("_increment")]
                there += self._bundle(loose, write=write)
            if write:
                # What cannot be cleared now is cleared by the next run, and no reason to lose the report of this one.
                with contextlib.suppress(BackupError):
                    self._shelf.abandon({name for each in entries for name in _artifact_names(each)})
        finally:
            if write:
                self._shelf.save()
        own = [each.manifest for each in self._catalogue.entries if each.manifest.branch == self._request.branch]
        order = {each.name: number for number, each in enumerate(entries)}
        there.sort(key=lambda each: order[each.name])
        self._outcome.recovery_point = _chain_check.recovery_point(own, [each.manifest for each in there])
        return self._outcome

    def _was_removed(self, entry: Entry) -> bool:
        """Whether retention took *entry* from the place: it must not come back."""
        return _ledger.was_removed(self._ledger, entry.manifest, self._numbers, now=self._now)

    def _is_signed(self, entry: Entry) -> bool:
        try:
            self._proofs.check_signed(entry)
        except _intact.NotIntactError as exc:
            self._outcome.left_out[entry.name] = str(exc)
            return False
        return True

    def _copy(self, entry: Entry, *, write: bool) -> bool:
        """Whether *entry* is at the place when this returns, its manifest last."""
        lacking = [each for each in _files(entry) if self._find(each) is None]
        if lacking and not write:
            self._note_sent(entry)
            return True
        try:
            with contextlib.ExitStack() as lease:
                if not _lease.held(lease, entry):
                    return False
                versions = [self._find(each) or self._send(each) for each in _files(entry)]
        except NotAsRecordedError as exc:
            self._outcome.left_out[entry.name] = str(exc)
            return False
        if write and self._request.target == COLD:
            for version in versions:
                self._lock(version)
        if lacking:
            self._note_sent(entry)
        else:
            self._outcome.present += 1
        return True

    def _note_sent(self, entry: Entry) -> None:
        facts = {"name": entry.name, "size": entry.manifest.size, "sha256": entry.manifest.sha256}
        self._outcome.sent.append(facts)

    def _find(self, file: _File) -> Version | None:
        return self._shelf.find(file.name, size=file.size, sha256=file.sha256)

    def _send(self, file: _File) -> Version:
        if file.content is None:
            return self._shelf.put(file.name, file.path, size=file.size, sha256=file.sha256)
        # In the place, which has room, and without a name: nothing of it stays, whatever ends this process.
        with tempfile.TemporaryFile(dir=self._catalogue.directory) as handle:
            handle.write(file.content)
            handle.flush()
            path = f"/proc/self/fd/{handle.fileno()}"
            return self._shelf.put(file.name, path, size=file.size, sha256=file.sha256)

    def _lock(self, version: Version, *, until: dt.datetime | None = None) -> dt.datetime:
        """Let nobody remove *version* for the days of the request, and believe it only when it was read back.

        Return until when it is locked: the bucket's own default may be later than what is asked for.
        """
        if self._request.unlocked:
            return self._now
        # What was stored before keeps its own time: only a new version, or one that others depend on, is locked longer.
        wanted = until or self._now + dt.timedelta(days=self._request.lock_days)
        known = self._shelf.locked_until(version)
        if known is not None and (until is None or known >= until - _ROUNDING):
            return known
        store = self._shelf.store
        found = store.locked_until(version)
        if found is None or found < wanted - _ROUNDING:
            store.lock(version, wanted)
            found = store.locked_until(version)
        if found is None or found < wanted - _ROUNDING:
            raise BackupError(
                f"Failed to lock {version.key} in {store.url} until {wanted:%Y-%m-%d}: the storage took the lock and "
                f"says {'nothing of it' if found is None else f'{found:%Y-%m-%d}'} when asked. Do not trust this "
                "storage with the cold archive.",
                reason="not_locked",
            )
        self._shelf.note_lock(version, found)
        return found

    def _bundle(self, entries: t.Sequence[Entry], *, write: bool) -> list[Entry]:
        """Send those of *entries* that no bundle holds as one bundle; return those that are at the place then."""
        held = self._held(entries, write=write)
        there = [each for each in entries if _identity(each) in held]
        new = [each for each in entries if _identity(each) not in held]
        self._outcome.present += len(there)
        return [*there, *self._send_bundle(new, write=write)] if new else there

    def _send_bundle(self, entries: t.Sequence[Entry], *, write: bool) -> list[Entry]:
        name = _bundle.name_of(self._now, self._shelf.names())
        if not write:
            self._outcome.sent.append({"name": name, "size": sum(each.manifest.size for each in entries), "sha256": ""})
            return list(entries)
        with _dirfd.many_descriptors(len(entries) + _SPARE_DESCRIPTORS), contextlib.ExitStack() as leases:
            whole = [each for each in entries if self._is_whole(each, leases)]
            if not whole:
                return []
            # Before they have a new dependant, so that they never are the first to be let go.
            self._lock_bases(whole, until=self._now + dt.timedelta(days=self._request.lock_days))
            try:
                with _bundle.packed(name, whole, self._catalogue.directory) as bundle:
                    version = self._shelf.put(name, bundle.path, size=bundle.size, sha256=bundle.sha256)
                    listed = self._send(_small(name + _bundle.CONTENTS_SUFFIX, bundle.contents))
            except NotAsRecordedError as exc:
                self._outcome.left_out[name] = str(exc)
                return []
        self._lock_bases(whole, until=max(self._lock(each) for each in (version, listed)))
        self._shelf.note_contents(version, map(_identity, whole), sha256=bundle.sha256)
        self._outcome.sent.append({"name": name, "size": bundle.size, "sha256": bundle.sha256})
        return whole

    def _is_whole(self, entry: Entry, leases: contextlib.ExitStack) -> bool:
        """One that rotted is left out by itself, and not with all that would be in its bundle."""
        if not _lease.held(leases, entry):
            return False
        try:
            _intact.check_bytes(entry)
            _intact.check_companion(entry)
        except _intact.NotIntactError as exc:
            self._outcome.left_out[entry.name] = str(exc)
            return False
        return True

    def _lock_bases(self, increments: t.Iterable[Entry], *, until: dt.datetime) -> None:
        """An increment is worth nothing without its base, which is locked at least as long."""
        bases = {each.manifest.document["base"] for each in increments}
        for entry in self._catalogue.entries:
            if entry.name in bases:
                for file in _files(entry):
                    version = self._find(file)
                    if version is not None:
                        self._lock(version, until=until)

    def _held(self, entries: t.Sequence[Entry], *, write: bool) -> set[tuple[str, str]]:
        """Those of *entries* that bundles there hold: of bundles that central does not remember, as their bytes say."""
        found: set[tuple[str, str]] = set()
        for name in sorted(self._shelf.names()):
            if _bundle.NAME.fullmatch(name):
                known = self._shelf.contents(name)
                found |= self._read_bundle(name, entries, write=write) if known is None else known
        return found

    def _read_bundle(self, name: str, entries: t.Sequence[Entry], *, write: bool) -> set[tuple[str, str]]:
        """What its list says, and the tar as well, whoever holds the writer's key can say; what is signed he cannot.

        It may be one whose run ended before the locks: it is remembered only when it has them.
        """
        for version in self._shelf.versions(name):
            try:
                with self._shelf.store.open(version) as stream:
                    members, sha256 = _bundle.read(stream)
            except UnreadableError:
                continue
            held = [each for each in entries if _is_among(each, members)]
            if held and write:
                self._lock_bases(held, until=self._lock(version))
            self._shelf.note_contents(version, map(_identity, held), sha256=sha256)
            if held:
                return set(map(_identity, held))
        return set()


@dataclasses.dataclass(frozen=True)
class _File:
    """One file of an artifact; small ones are sent from memory, exactly as they were judged."""

    name: str
    path: str
    size: int
    sha256: str
    content: bytes | None = None


def _files(entry: Entry) -> list[_File]:
    """In the order in which they are stored: an artifact exists when its manifest does."""
    found = [_File(entry.name, entry.path, entry.manifest.size, entry.manifest.sha256)]
    if entry.companion_path is not None:
        companion = entry.manifest.document["companion"]
        name = os.path.basename(entry.companion_path)
        found.append(_File(name, entry.companion_path, companion["size"], companion["sha256"]))
    found.append(_small(entry.name + _names.SIGNATURE_SUFFIX, entry.signature() or b""))
    found.append(_small(entry.name + _names.MANIFEST_SUFFIX, entry.raw))
    return found


def _small(name: str, content: bytes) -> _File:
    return _File(name, "", len(content), hashlib.sha256(content).hexdigest(), content)


def _artifact_names(entry: Entry) -> list[str]:
    """Of the files that may be large."""
    return [os.path.basename(each) for each in (entry.path, entry.companion_path) if each is not None]


def _is_among(entry: Entry, members: t.Mapping[str, str]) -> bool:
    """Whether all files of *entry* are among *members*, by name and SHA-256."""
    if members.get(entry.name) != entry.manifest.sha256:
        return False
    return all(members.get(file.name) == file.sha256 for file in _files(entry))


def _identity(entry: Entry) -> tuple[str, str]:
    return entry.name, entry.manifest.sha256


__all__ = (
    "COLD",
    "HOT",
    "LONGEST_LOCK",
    "SHORTEST_LOCK",
    "OffsiteOutcome",
    "OffsiteRequest",
    "copy_offsite",
    "require_lock_days",
)

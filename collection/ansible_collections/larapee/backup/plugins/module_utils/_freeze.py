# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One night's snapshot of what central holds of a branch: a place of its own that nobody but root can change.

It is made under a temporary name from what is intact at that moment; its list comes last, then its name. Only a run
that has just made one without leaving anything out removes older ones: what is damaged now may be whole in them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import typing as t

from . import (
    _catalog,
    _chain_check,
    _clock,
    _clone,
    _dirfd,
    _estate,
    _frozen,
    _intact,
    _io,
    _lease,
    _ledger,
    _lock,
    _manifest,
    _names,
    _retention,
    _tip,
)
from ._catalog import Entry
from ._errors import BackupError
from ._frozen import Snapshot
from ._proofs import Proofs

# Replaced at any time, and small: copied as they are.
_BESIDE = (_tip.NAME, _tip.SIGNATURES, _ledger.NAME)
_NAMED = 3
_SPARE_DESCRIPTORS = 64


@dataclasses.dataclass(frozen=True)
class SnapshotRequest:
    """``method``: a key of ``_clone.METHODS``. ``fresh_hours``: bytes that were read since are not read again."""

    branch: str
    central_path: str
    allowed_signers: str
    state_path: str
    run_id: str
    keep_days: int = 14
    method: str = "auto"
    immutable: bool = False
    fresh_hours: int = 26

    @property
    def place(self) -> str:
        return _estate.place_of(self.central_path, self.branch)

    @property
    def directory(self) -> str:
        return os.path.join(self.central_path, "snapshots", self.branch)


@dataclasses.dataclass
class SnapshotOutcome:
    """``name`` is None in check mode. ``failures``: what a person has to do, after everything was done."""

    branch: str
    name: str | None
    taken: list[Entry]
    left_out: dict[str, str]
    recovery_point: str | None
    sha256: str = ""
    methods: dict[str, int] = dataclasses.field(default_factory=dict)
    removed: list[str] = dataclasses.field(default_factory=list)
    failures: list[BackupError] = dataclasses.field(default_factory=list)

    def report(self) -> dict[str, t.Any]:
        size = sum(_retention.stored_bytes(each.manifest) for each in self.taken)
        name = None if self.name is None else f"{self.branch}/{self.name}"
        found: dict[str, t.Any] = {
            "artifacts": [] if name is None else [{"name": name, "size": size, "sha256": self.sha256}],
            "recovery_point": self.recovery_point,
            "details": {
                "place": "central",
                "artifacts": len(self.taken),
                "bytes": size,
                "left_out": self.left_out,
                "methods": self.methods,
                "removed": self.removed,
            },
        }
        if self.failures:
            found["error"] = " ".join(map(str, self.failures))
            found["details"]["reason"] = self.failures[0].reason
        return found


def take_snapshot(request: SnapshotRequest, *, check_mode: bool = False) -> SnapshotOutcome:
    """Make tonight's snapshot, and remove those over age; raise BackupError when none was made."""
    if request.keep_days < 1:
        raise BackupError(
            f"Failed to keep snapshots of {request.branch} for {request.keep_days} days: one is the least. Set "
            "larapee_backup_snapshot_keep_days.",
            reason="bad_request",
        )
    if check_mode:
        return _Taking(request).preview()
    with _lock.hold(request.state_path, f"snapshot-{request.branch}", run_id=request.run_id):
        try:
            return _Taking(request).run()
        except BackupError as exc:
            if exc.reason != "artifact_gone":
                raise
        # Retention was at work; it is not at work twice.
        return _Taking(request).run()


class _Taking:
    def __init__(self, request: SnapshotRequest) -> None:
        self._request = request
        self._now = _clock.now()
        self._proofs = Proofs(request.state_path, branch=request.branch, allowed_signers=request.allowed_signers)
        self._catalogue = _estate.read_place(request.place)
        self._snapshots, self._strange = _frozen.read_snapshots(request.directory, branch=request.branch)

    def preview(self) -> SnapshotOutcome:
        outcome = self._outcome()
        if not outcome.left_out:
            going = _frozen.expired(self._snapshots, now=self._now, keep_days=self._request.keep_days)
            # The one that is made tonight would be the newest.
            newest = self._snapshots[-1:]
            outcome.removed = [each.name for each in going if each not in newest]
        return outcome

    def run(self) -> SnapshotOutcome:
        request = self._request
        _io.ensure_directory(request.directory)
        _frozen.sweep(request.directory)
        entries = self._catalogue.entries
        # Nothing that is taken may go meanwhile.
        with _dirfd.many_descriptors(len(entries) + _SPARE_DESCRIPTORS), _lease.hold(entries):
            outcome = self._outcome()
            self._proofs.save(request.place)
            made = self._make(outcome)
        self._snapshots.append(made)
        if request.immutable:
            self._freeze(outcome)
        if not outcome.left_out:
            self._remove_expired(outcome)
        return outcome

    def _outcome(self) -> SnapshotOutcome:
        left_out = dict(self._catalogue.problems)
        taken = []
        for entry in self._catalogue.entries:
            why = self._defect(entry)
            if why:
                left_out[entry.name] = why
            else:
                taken.append(entry)
        own = [each.manifest for each in self._catalogue.entries if each.manifest.branch == self._request.branch]
        point = _chain_check.recovery_point(own, [each.manifest for each in taken])
        outcome = SnapshotOutcome(
            branch=self._request.branch, name=None, taken=taken, left_out=left_out, recovery_point=point
        )
        if not taken:
            raise BackupError(
                f"Failed to take a snapshot of {self._request.branch}: nothing in {self._request.place} is intact"
                f"{_some(left_out)}. Look at the last pull and verification of this branch.",
                reason="nothing_intact",
            )
        if left_out:
            outcome.failures.append(self._incomplete(left_out))
        if self._strange:
            outcome.failures.append(self._unusable())
        return outcome

    def _incomplete(self, left_out: t.Mapping[str, str]) -> BackupError:
        return BackupError(
            f"Failed to take all of {self._request.branch} into the snapshot{_some(left_out)}. "
            "It holds the rest, and no older snapshot goes. Verify central's place; what is damaged there may be whole "
            "in an older snapshot, on the branch, or offsite.",
            reason="left_out",
        )

    def _unusable(self) -> BackupError:
        return BackupError(
            f"Failed to use older snapshots in {self._request.directory}{_some(self._strange)}. They are left alone "
            "and never removed. Look at them with their SHA256SUMS, then move them away.",
            reason="bad_snapshot",
        )

    def _defect(self, entry: Entry) -> str:
        """What is wrong with *entry*; its bytes are read unless that was done a short while ago."""
        try:
            self._proofs.check_signed(entry)
            if not self._proofs.is_fresh(entry, hours=self._request.fresh_hours):
                self._proofs.check_read(entry)
        except _intact.NotIntactError as exc:
            return str(exc)
        return ""

    def _make(self, outcome: SnapshotOutcome) -> Snapshot:
        request = self._request
        name = self._free_name()
        part = os.path.join(request.directory, f".{name}{_frozen.PART}")
        path = os.path.join(request.directory, name)
        number = max((each.number for each in self._snapshots), default=0) + 1
        try:
            os.mkdir(part, 0o700)
            outcome.methods = self._clone(outcome.taken, part)
            self._copy_beside(part)
            _write(os.path.join(part, _catalog.CHECKSUMS), _catalog.checksums(outcome.taken))
            document = _io.json_bytes(self._document(outcome, number))
            _sync(part)
            _write(os.path.join(part, _frozen.DOCUMENT), document)
            os.chmod(part, 0o500)
            _sync(part)
            os.rename(part, path)
            _io.fsync_directory(request.directory)
        except OSError as exc:
            raise BackupError(
                f"Failed to write the snapshot {path}: {exc.strerror}. Check the free space of central's disk. "
                "What was begun is removed, by the next run at the latest.",
                reason="snapshot_failed",
            ) from exc
        finally:
            if not os.path.lexists(path):
                self._clear_up()
        outcome.name = name
        outcome.sha256 = hashlib.sha256(document).hexdigest()
        return Snapshot(path, number, self._now)

    def _clear_up(self) -> None:
        """At once, not in the next night: a full disk stops the pull."""
        with contextlib.suppress(BackupError, OSError):
            _frozen.sweep(self._request.directory)

    def _free_name(self) -> str:
        for form in ("%Y%m%d-%H%M", "%Y%m%d-%H%M-%S"):
            name = self._now.strftime(form)
            if not os.path.lexists(os.path.join(self._request.directory, name)):
                return name
        raise BackupError(
            f"Failed to name a snapshot in {self._request.directory}: every name of this minute is taken. Check the "
            "clock.",
            reason="name_taken",
        )

    def _clone(self, entries: t.Iterable[Entry], part: str) -> dict[str, int]:
        """Every file of *entries*, the manifest last; by method, how many files it gave."""
        count: dict[str, int] = {}
        methods = _clone.METHODS[self._request.method]
        for entry in entries:
            signature = entry.path + _names.SIGNATURE_SUFFIX
            for source in (entry.path, entry.companion_path, signature, entry.path + _names.MANIFEST_SUFFIX):
                if source is not None:
                    try:
                        method = _clone.clone(source, os.path.join(part, os.path.basename(source)), methods)
                    except _clone.CannotCloneError as exc:
                        raise BackupError(
                            f"Failed to share {source} with a snapshot by {self._request.method}: {exc}. Set "
                            "larapee_backup_snapshot_method to auto.",
                            reason="cannot_share",
                        ) from exc
                    count[method] = count.get(method, 0) + 1
                    if method != _clone.REFLINK:
                        methods = tuple(each for each in methods if each != _clone.REFLINK)
        return count

    def _copy_beside(self, part: str) -> None:
        for name in _BESIDE:
            try:
                content = _io.read_small(os.path.join(self._request.place, name))
            except (FileNotFoundError, ValueError):
                continue
            _write(os.path.join(part, name), content)

    def _document(self, outcome: SnapshotOutcome, number: int) -> dict[str, t.Any]:
        return {
            "schema": _frozen.SCHEMA_VERSION,
            "branch": self._request.branch,
            "number": number,
            "created_at": _manifest.format_time(self._now),
            "run_id": self._request.run_id,
            "methods": outcome.methods,
            "recovery_point": outcome.recovery_point,
            "artifacts": [
                {"name": each.name, "size": each.manifest.size, "sha256": each.manifest.sha256}
                for each in outcome.taken
            ],
            "left_out": outcome.left_out,
        }

    def _freeze(self, outcome: SnapshotOutcome) -> None:
        """All that are there, since a crash may have come before the flags of an older one."""
        for each in self._snapshots:
            try:
                _frozen.freeze(each.path)
            except OSError as exc:
                outcome.failures.append(
                    BackupError(
                        f"Failed to make the snapshot {each.path} immutable: {exc.strerror}. It is there without the "
                        "flag. Give the unit the capability CAP_LINUX_IMMUTABLE and a filesystem that knows the flag, "
                        "or set larapee_backup_snapshot_immutable to false.",
                        reason="not_immutable",
                    )
                )
                return

    def _remove_expired(self, outcome: SnapshotOutcome) -> None:
        for each in _frozen.expired(self._snapshots, now=self._now, keep_days=self._request.keep_days):
            try:
                if _frozen.remove(each):
                    outcome.removed.append(each.name)
            except BackupError as exc:
                outcome.failures.append(exc)
                return


def _some(problems: t.Mapping[str, str]) -> str:
    named = [f"{name}: {why}" for name, why in sorted(problems.items())]
    more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f" ({'; '.join(named[:_NAMED])}{more})" if named else ""


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _dirfd.sync_filesystem(descriptor)
    finally:
        os.close(descriptor)


__all__ = ("SnapshotOutcome", "SnapshotRequest", "take_snapshot")

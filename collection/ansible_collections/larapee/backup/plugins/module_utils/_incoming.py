# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adoption: what lies in ``incoming`` becomes central's own when it is complete, intact and signed by its branch.

``incoming`` belongs to an account that central does not trust, and mirrors a branch that may be lying. So nothing there
is judged in place: files are copied, through descriptors that follow no link and wait for no pipe, into a directory of
root's; the copies are judged, and what passes is placed with its manifest last. Nothing adopted is ever overwritten.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import hashlib
import os
import stat
import typing as t

from . import _clock, _dirfd, _intact, _io, _ledger, _lock, _manifest, _names, _proofs
from ._catalog import Entry
from ._errors import BackupError
from ._manifest import Manifest

ADOPTED: t.Final = "adopted"
PRUNED: t.Final = "pruned"
REFUSED: t.Final = "refused"
WAITING: t.Final = "waiting"
STAGING: t.Final = ".adopting-"
FUTURE: t.Final = dt.timedelta(minutes=10)
# A branch keeps a week; what was signed long before it came was kept for a purpose, with a key that may be stolen.
OLDEST: t.Final = dt.timedelta(days=35)
_LOCK_WAIT = 60.0
_MODE = 0o600


class NotYetError(Exception):
    """Something of it has not arrived; the text says what."""


class RefusedError(Exception):
    """It must not be adopted; the text says why."""


class NotPlainError(Exception):
    """It is a link, a pipe, a directory or a device."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one artifact; ``stamp`` changes when what lies in ``incoming`` does."""

    name: str
    status: str
    stamp: str
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Inbox:
    """``incoming`` and the place of one branch; ``staging`` is the place's, for this kind of pull alone."""

    branch: str
    incoming: str
    place: str
    staging: str
    state_path: str
    run_id: str
    allowed_signers: str


def candidates(inbox: Inbox) -> dict[str, str]:
    """By name of an artifact that has a manifest in ``incoming``: a stamp of all its files."""
    descriptor, _status = _dirfd.open_directory(inbox.incoming)
    try:
        found = {}
        for name in os.listdir(descriptor):
            artifact = name[: -len(_names.MANIFEST_SUFFIX)]
            if not name.endswith(_names.MANIFEST_SUFFIX) or _names.parse_name(artifact) is None:
                continue
            names = (name, artifact + _names.SIGNATURE_SUFFIX, artifact, _names.companion_name(artifact))
            parts = [_dirfd.status_of(each, parent=descriptor) for each in names]
            facts = [None if each is None else (each.st_ino, each.st_size, each.st_mtime_ns) for each in parts]
            found[artifact] = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        return found
    finally:
        os.close(descriptor)


class Adopter:
    """Judges and places, for one sweep of a branch. ``quarantine`` gets what was refused; ``placed`` is new."""

    def __init__(self, inbox: Inbox, quarantine: t.Callable[[Inbox, str, str], None]) -> None:
        self._inbox = inbox
        self._quarantine = quarantine
        self._proofs = _proofs.Proofs(inbox.state_path, branch=inbox.branch, allowed_signers=inbox.allowed_signers)
        self._held: dict[tuple[str, str, int], str] | None = None
        self.placed: list[str] = []

    def adopt(self, artifacts: t.Mapping[str, str]) -> list[Verdict]:
        """Judge each of *artifacts* (name to stamp), oldest names first, and place what passes; raises BackupError."""
        self._clear()
        verdicts = []
        try:
            for name in sorted(artifacts, key=_age):
                verdicts.append(self._verdict(name, artifacts[name]))
        finally:
            if self.placed:
                self._proofs.save(self._inbox.place)
            self._clear()
        return verdicts

    def _verdict(self, name: str, stamp: str) -> Verdict:
        try:
            return Verdict(name, self._take(name), stamp)
        except NotYetError as exc:
            return Verdict(name, WAITING, stamp, str(exc))
        except RefusedError as exc:
            return Verdict(name, REFUSED, stamp, str(exc) + self._keep_copy(name, str(exc)))
        except OSError as exc:
            raise BackupError(
                f"Failed to adopt {name} of {self._inbox.branch}: {exc.strerror}. Check the free space and the "
                "owner of central's directories; the next pull goes on.",
                reason="not_taken_in",
            ) from exc

    def _keep_copy(self, name: str, why: str) -> str:
        """What is worth no more than a remark must not keep the next artifact from being adopted."""
        try:
            self._quarantine(self._inbox, name, why)
        except (BackupError, OSError) as exc:
            return f" (no copy could be kept: {exc})"
        return ""

    def _take(self, name: str) -> str:
        raw = self._small(name + _names.MANIFEST_SUFFIX)
        if self._is_held(name, raw):
            return ADOPTED
        manifest = self._parsed(name, raw)
        signature = self._small(name + _names.SIGNATURE_SUFFIX)
        self._check_time(manifest)
        if self._is_pruned(manifest):
            return PRUNED
        self._check_number(manifest)
        os.mkdir(self._inbox.staging, 0o700)
        try:
            entry = self._stage(manifest, raw, signature)
            self._check(entry)
            return self._place(entry)
        finally:
            self._clear()

    def _is_held(self, name: str, raw: bytes) -> bool:
        """Whether exactly this was adopted before; another one of the same name is refused."""
        try:
            held = _io.read_small(os.path.join(self._inbox.place, name + _names.MANIFEST_SUFFIX))
        except FileNotFoundError:
            return False
        except ValueError as exc:
            raise RefusedError(f"the manifest of that name at central is unusable ({exc})") from exc
        if held != raw:
            raise RefusedError("another artifact of this name was adopted before")
        return True

    def _small(self, name: str) -> bytes:
        try:
            return _io.read_small(os.path.join(self._inbox.incoming, name))
        except FileNotFoundError:
            raise NotYetError(f"{name} has not arrived") from None
        except ValueError as exc:
            raise RefusedError(f"{name}: {exc}") from exc

    def _parsed(self, name: str, raw: bytes) -> Manifest:
        try:
            manifest = _manifest.parse_manifest(raw)
        except _manifest.ManifestError as exc:
            raise RefusedError(f"unusable manifest: {exc}") from exc
        if manifest.artifact != name:
            raise RefusedError(f"its manifest describes {manifest.artifact}")
        return manifest

    def _check_time(self, manifest: Manifest) -> None:
        now = _clock.now()
        if manifest.created_at > now + FUTURE:
            raise NotYetError("it was signed in the future: check the clocks of branch and central")
        if manifest.created_at < now - OLDEST:
            raise RefusedError(f"it was signed more than {OLDEST.days} days before it came")

    def _is_pruned(self, manifest: Manifest) -> bool:
        """Whether retention removed it here: it must not come back. A damaged ledger excuses nothing."""
        try:
            ledger = _ledger.read_ledger(self._inbox.place, branch=self._inbox.branch)
        except _ledger.LedgerError:
            return False
        return _ledger.was_removed(ledger, manifest, self._numbers(), now=_clock.now())

    def _check_number(self, manifest: Manifest) -> None:
        """Numbers rise by one with each artifact: a second one of a number is an older state put back, or a forgery."""
        if not manifest.sequence:
            return
        holder = self._numbers().get(_ledger.number_of(manifest))
        if holder is not None:
            raise RefusedError(f"number {manifest.sequence} of kind {manifest.kind} is {holder} already")

    def _numbers(self) -> dict[tuple[str, str, int], str]:
        if self._held is None:
            self._held = {}
            for name in os.listdir(self._inbox.place):
                if name.endswith(_names.MANIFEST_SUFFIX) and not name.startswith("."):
                    with contextlib.suppress(OSError, ValueError):
                        held = _manifest.parse_manifest(_io.read_small(os.path.join(self._inbox.place, name)))
                        self._held[_ledger.number_of(held)] = held.artifact
        return self._held

    def _stage(self, manifest: Manifest, raw: bytes, signature: bytes) -> Entry:
        """Root's own copies, which nobody else can change any more."""
        entry = Entry(directory=self._inbox.staging, manifest=manifest, raw=raw)
        files = {entry.name: manifest.size}
        if entry.companion_path is not None:
            files[os.path.basename(entry.companion_path)] = manifest.document["companion"]["size"]
        for name in files:
            # Before anything is copied: what waits for a part waits at every sweep.
            if not os.path.lexists(os.path.join(self._inbox.incoming, name)):
                raise NotYetError(f"{name} has not arrived")
        for name, size in files.items():
            self._copy(name, size)
        for suffix, content in ((_names.SIGNATURE_SUFFIX, signature), (_names.MANIFEST_SUFFIX, raw)):
            with _new(entry.path + suffix) as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        return entry

    def _copy(self, name: str, size: int) -> None:
        source, target = (os.path.join(directory, name) for directory in (self._inbox.incoming, self._inbox.staging))
        try:
            copy_plain(source, target, check_size=lambda found: _require_size(name, found, size))
        except FileNotFoundError:
            raise NotYetError(f"{name} has not arrived") from None
        except NotPlainError as exc:
            raise RefusedError(f"{name} is not a regular file") from exc

    def _check(self, entry: Entry) -> None:
        try:
            self._proofs.check_signed(entry)
            self._proofs.check_read(entry)
        except _intact.NotIntactError as exc:
            raise RefusedError(str(exc)) from exc

    def _place(self, entry: Entry) -> str:
        """Under the lock that retention takes too: what it decided in between counts."""
        inbox = self._inbox
        with _lock.hold(inbox.state_path, f"pull-{inbox.branch}", run_id=inbox.run_id, wait_seconds=_LOCK_WAIT):
            if self._is_held(entry.name, entry.raw):
                return ADOPTED
            if self._is_pruned(entry.manifest):
                return PRUNED
            paths = [entry.path, entry.path + _names.SIGNATURE_SUFFIX]
            paths[1:1] = [entry.companion_path] if entry.companion_path is not None else []
            for path in paths:
                # Without a manifest, what is there is what a crash left of an adoption.
                os.replace(path, os.path.join(inbox.place, os.path.basename(path)))
            _io.fsync_directory(inbox.place)
            manifest = entry.name + _names.MANIFEST_SUFFIX
            os.link(entry.path + _names.MANIFEST_SUFFIX, os.path.join(inbox.place, manifest))
            _io.fsync_directory(inbox.place)
        self._numbers()[_ledger.number_of(entry.manifest)] = entry.name
        self.placed.append(entry.name)
        return ADOPTED

    def _clear(self) -> None:
        parent, _status = _dirfd.open_directory(self._inbox.place)
        try:
            _dirfd.remove(os.path.basename(self._inbox.staging), parent=parent)
        finally:
            os.close(parent)


def _require_size(name: str, found: int, announced: int) -> None:
    if found != announced:
        raise RefusedError(f"{name} has {found} bytes, its manifest says {announced}")


def copy_plain(source: str, target: str, *, check_size: t.Callable[[int], None]) -> int:
    """Copy the regular file *source* to a new file *target* (0600, durable), and return how many bytes that were.

    No link is followed, no pipe waited for, and never more copied than the file had when *check_size* was asked, which
    refuses by raising. Raises NotPlainError for what is no regular file, else OSError.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlainError(source) from exc
        raise
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainError(source)
        check_size(status.st_size)
        reading = stack.enter_context(open(descriptor, "rb", buffering=0, closefd=False))
        left = status.st_size
        with _new(target) as writing:
            while left:
                block = reading.read(min(left, _io.BLOCK_SIZE))
                if not block:
                    break
                writing.write(block)
                left -= len(block)
            writing.flush()
            os.fsync(writing.fileno())
    return int(status.st_size - left)


def _new(path: str) -> t.IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE), "wb")


def _age(name: str) -> tuple[dt.datetime, str]:
    parsed = _names.parse_name(name)
    return (parsed.time if parsed is not None else _clock.now(), name)


__all__ = (
    "ADOPTED",
    "PRUNED",
    "REFUSED",
    "STAGING",
    "WAITING",
    "Adopter",
    "Inbox",
    "NotPlainError",
    "Verdict",
    "candidates",
    "copy_plain",
)

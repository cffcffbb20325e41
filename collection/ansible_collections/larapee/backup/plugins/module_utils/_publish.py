# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an artifact comes into being: reserved, written aside, then companion, signature and manifest; never overwritten.

An intent file ``.<artifact>.intent`` is made first and removed last, and is held with flock by the process at work. It
is what tells the leftovers of a crash (removed by the next run) from files that are not ours (never touched, such as
the dumps of an older cron line, which bear the same names). Until the manifest is there, each file keeps its temporary
name as a second link: that tells ours from a foreign file that took the name meanwhile.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import stat

from . import _io, _names
from ._errors import BackupError

_INTENT = ".intent"
_PART = ".part"


class Reservation:
    """The right to publish one artifact name; use as a context manager, which discards what was not published."""

    def __init__(self, *, directory: str, name: str, descriptor: int) -> None:
        self.directory = directory
        self.name = name
        self._descriptor = descriptor
        self.part_path = _hidden(directory, name, _PART)
        self.published = False

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_exc: object) -> None:
        if not self.published:
            _remove_unfinished(self.directory, self.name)
        os.close(self._descriptor)

    def open_part(self) -> int:
        """Return a descriptor to write the artifact's bytes to, under a temporary name."""
        return _create(self.part_path)

    def open_companion(self) -> int:
        """The same for the companion's bytes; without this call the artifact has none."""
        return _create(_hidden(self.directory, self.name, _companion_suffix(self.name) + _PART))

    def drop_companion(self) -> None:
        """Take back what :meth:`open_companion` made: the artifact has none."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_hidden(self.directory, self.name, _companion_suffix(self.name) + _PART))

    def publish(self, *, manifest: bytes, signature: bytes) -> None:
        """Make the artifact exist: bytes, companion, signature, then the manifest, each durable before the next."""
        companion = _companion_suffix(self.name)
        has_one = os.path.exists(_hidden(self.directory, self.name, companion + _PART))
        self._place(("", companion) if has_one else ("",), manifest=manifest, signature=signature)

    def publish_beside(self, *, manifest: bytes, signature: bytes) -> None:
        """Make an artifact of the bytes that are there already under its name; they are not touched."""
        self._place((), manifest=manifest, signature=signature)

    def _place(self, written: tuple[str, ...], *, manifest: bytes, signature: bytes) -> None:
        final = os.path.join(self.directory, self.name)
        try:
            for suffix in written:
                _sync(_hidden(self.directory, self.name, suffix + _PART))
            if not written:
                _sync(final)
            self._write(_names.SIGNATURE_SUFFIX, signature)
            self._write(_names.MANIFEST_SUFFIX, manifest)
            for suffix in (*written, _names.SIGNATURE_SUFFIX, _names.MANIFEST_SUFFIX):
                # link fails where rename would overwrite
                os.link(_hidden(self.directory, self.name, suffix + _PART), final + suffix)
                _io.fsync_directory(self.directory)
        except OSError as exc:
            raise BackupError(
                f"Failed to publish {final}: {exc.strerror}. Check the directory's free space and permissions.",
                reason="publish_failed",
            ) from exc
        self.published = True
        _remove_unfinished(self.directory, self.name)
        _io.fsync_directory(self.directory)

    def _write(self, suffix: str, content: bytes) -> None:
        with os.fdopen(_create(_hidden(self.directory, self.name, suffix + _PART)), "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())


def reserve(
    directory: str, *, kind: str, compression: str, encrypted: bool, now: dt.datetime, run_id: str
) -> Reservation:
    """Reserve the first free name for *now*; raise BackupError when the whole minute is taken."""
    for name in _names.candidate_names(kind, compression, encrypted=encrypted, now=now):
        if not _taken(directory, name):
            reservation = _reserve(directory, name, run_id=run_id)
            if reservation is not None:
                return reservation
    raise BackupError(
        f"Failed to name an artifact in {directory}: every name of this minute is taken. Check the clock.",
        reason="name_taken",
    )


def reserve_beside(directory: str, name: str, *, run_id: str) -> Reservation:
    """Reserve *name*, whose bytes are there already and are nobody's; raise BackupError when a process works on it."""
    reservation = _reserve(directory, name, run_id=run_id)
    if reservation is None:
        raise BackupError(
            f"Failed to reserve {name}: another process works on it. Run again when it has ended.", reason="lock_held"
        )
    return reservation


def _reserve(directory: str, name: str, *, run_id: str) -> Reservation | None:
    try:
        descriptor = os.open(
            _hidden(directory, name, _INTENT), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
    except FileExistsError:
        return None
    except OSError as exc:
        raise BackupError(f"Failed to write into {directory}: {exc.strerror}.", reason="publish_failed") from exc
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    reservation = Reservation(directory=directory, name=name, descriptor=descriptor)
    with contextlib.ExitStack() as stack:
        stack.enter_context(reservation)
        try:
            os.write(descriptor, _io.json_bytes({"pid": os.getpid(), "run_id": run_id}))
            os.fsync(descriptor)
            _io.fsync_directory(directory)
        except OSError as exc:
            raise BackupError(f"Failed to write into {directory}: {exc.strerror}.", reason="disk_full") from exc
        stack.pop_all()
    return reservation


def _taken(directory: str, name: str) -> bool:
    return any(
        os.path.lexists(os.path.join(directory, each + suffix))
        for each in _names.same_minute_names(name)
        for suffix in _suffixes(each)
    )


def sweep(directory: str, *, kind: str) -> list[str]:
    """Remove what crashed runs of *kind* left; return the names of the artifacts they did not finish.

    The caller holds the lock of that kind. A crash after the manifest was placed left a complete artifact: it stays.
    """
    removed = []
    for name, intent in _intents(directory):
        parsed = _names.parse_name(name)
        if parsed is None or parsed.kind != kind or _in_use(intent):
            continue
        if _remove_unfinished(directory, name):
            removed.append(name)
    return removed


def sweep_beside(directory: str) -> None:
    """Remove what crashed runs put beside bytes that were there before; needs no kind's lock.

    No other run ever begins on a name that is taken.
    """
    for name, intent in _intents(directory):
        final = os.path.join(directory, name)
        foreign = os.path.lexists(final) and not _is_ours(final, _hidden(directory, name, _PART))
        if foreign and _names.parse_name(name) is not None and not _in_use(intent):
            _remove_unfinished(directory, name)


def _intents(directory: str) -> list[tuple[str, str]]:
    """The names that are reserved in *directory*, each with the path of its intent."""
    return [
        (entry[1 : -len(_INTENT)], os.path.join(directory, entry))
        for entry in sorted(os.listdir(directory))
        if entry.startswith(".") and entry.endswith(_INTENT)
    ]


def _in_use(intent: str) -> bool:
    """True while a process works under *intent*; what is no regular file is not ours to sweep either."""
    try:
        descriptor = os.open(intent, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return not stat.S_ISREG(os.fstat(descriptor).st_mode)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _remove_unfinished(directory: str, name: str) -> bool:
    """Remove the intent and what it covers, but for a complete artifact; False when there is one."""
    parts = {suffix: _hidden(directory, name, suffix + _PART) for suffix in _suffixes(name)}
    manifest = os.path.join(directory, name + _names.MANIFEST_SUFFIX)
    # The manifest's temporary name goes last: without it, a manifest that is there was ours.
    complete = os.path.exists(manifest) and (
        not os.path.exists(parts[_names.MANIFEST_SUFFIX]) or _is_ours(manifest, parts[_names.MANIFEST_SUFFIX])
    )
    for suffix, part in parts.items():
        final = os.path.join(directory, name + suffix)
        if not complete and _is_ours(final, part):
            os.unlink(final)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_hidden(directory, name, _INTENT))
    return not complete


def _is_ours(final: str, part: str) -> bool:
    try:
        return os.path.samestat(os.lstat(final), os.lstat(part))
    except FileNotFoundError:
        return False


def _companion_suffix(name: str) -> str:
    return _names.companion_name(name)[len(name) :]


def _suffixes(name: str) -> tuple[str, ...]:
    """What an artifact's files may be called after its name, the manifest last."""
    return ("", _companion_suffix(name), _names.SIGNATURE_SUFFIX, _names.MANIFEST_SUFFIX)


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _hidden(directory: str, name: str, suffix: str) -> str:
    return os.path.join(directory, f".{name}{suffix}")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ("Reservation", "reserve", "reserve_beside", "sweep", "sweep_beside")

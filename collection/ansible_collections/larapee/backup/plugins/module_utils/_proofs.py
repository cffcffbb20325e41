# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was proven of a branch's artifacts at central, so that it need not be proven twice.

A signature is judged by its manifest, the branch's allowed signers and its code alone: as long as none of them changes
by a byte, the judgement stands, and the process that would judge again is spared. That an artifact's bytes were read
and right says nothing about the disk a month later, so it bears its time.

Kept in the state, which only central's root can write: whoever could forge it could forge the allowed signers as well.
On a branch, where the operator owns both, there is none.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import typing as t
import zlib

from . import _clock, _intact, _io, _lock, _manifest, _names
from ._catalog import Entry
from ._errors import BackupError

_LIMIT = 256 * _io.BLOCK_SIZE
_WAIT_SECONDS = 60.0
# No pattern, no negation, no quotes.
_PLAIN_PRINCIPALS: t.Final = re.compile(rb"[A-Za-z0-9._,@-]+")
# Two nightly runs are a little less than a day apart when the first one was late.
_SLACK = dt.timedelta(hours=12)


class Proofs:
    """``signed`` by name of an artifact; ``read`` by name: when, and which files they were."""

    def __init__(self, state_path: str, *, branch: str, allowed_signers: str) -> None:
        self._now = _clock.now()
        self._state_path = state_path
        self._branch = branch
        self._allowed_signers = allowed_signers
        self._signers = signers(allowed_signers, branch)
        self._known = self._load()
        self._new: dict[str, dict[str, t.Any]] = {}

    def check_signed(self, entry: Entry) -> None:
        """As :func:`_intact.check_signed`; asks nobody about a manifest that was judged before."""
        signed = self._fingerprint(entry)
        if self._of(entry).get("signed") != signed:
            _intact.check_signed(entry, branch=self._branch, allowed_signers=self._allowed_signers)
            self._note(entry, "signed", signed)

    def read_at(self, entry: Entry) -> dt.datetime | None:
        """When the bytes of *entry* were last read and right, None when they never were, or its files were replaced."""
        read = self._of(entry).get("read")
        if not isinstance(read, dict) or read.get("sha256") != entry.manifest.sha256:
            return None
        try:
            return _manifest.parse_time(read["at"]) if read["files"] == _files(entry) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_due(self, entry: Entry, *, days: int) -> bool:
        """Whether the bytes of *entry* are to be read tonight, as :func:`is_due` has it."""
        return is_due(entry.name, self.read_at(entry), now=self._now, days=days)

    def is_fresh(self, entry: Entry, *, hours: int) -> bool:
        """Whether the bytes of *entry* were read and right within the last *hours*."""
        read_at = self.read_at(entry)
        return read_at is not None and dt.timedelta(0) <= self._now - read_at <= dt.timedelta(hours=hours)

    def check_read(self, entry: Entry) -> None:
        """Read the bytes of *entry* and of its companion; raise NotIntactError unless they are as recorded."""
        self._note(entry, "read", None)
        _intact.check_bytes(entry)
        _intact.check_companion(entry)
        read = {"at": _manifest.format_time(self._now), "sha256": entry.manifest.sha256, "files": _files(entry)}
        self._note(entry, "read", read)

    def save(self, directory: str) -> None:
        """Keep what was proven, of what is in *directory*; what another process proved meanwhile stays too."""
        with _lock.hold(self._state_path, f"proofs-{self._branch}", run_id="", wait_seconds=_WAIT_SECONDS):
            known = self._load()
            for name, proof in self._new.items():
                known[name] = {**known.get(name, {}), **proof}
            there = set(os.listdir(directory))
            self._known = {name: proof for name, proof in known.items() if name + _names.MANIFEST_SUFFIX in there}
            _io.ensure_directory(os.path.dirname(self._path))
            _io.write_json(self._path, {"schema": 1, "artifacts": self._known})

    @property
    def _path(self) -> str:
        return os.path.join(self._state_path, "proofs", f"{self._branch}.json")

    def _load(self) -> dict[str, dict[str, t.Any]]:
        """What the file tells; a damaged one proves nothing, and all is proven anew."""
        try:
            artifacts = _io.read_json(self._path, limit=_LIMIT)["artifacts"]
            return {name: dict(proof) for name, proof in artifacts.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _of(self, entry: Entry) -> t.Mapping[str, t.Any]:
        return {**self._known.get(entry.name, {}), **self._new.get(entry.name, {})}

    def _note(self, entry: Entry, what: str, proof: t.Any) -> None:
        self._new.setdefault(entry.name, {})[what] = proof

    def _fingerprint(self, entry: Entry) -> str:
        """Of all that a judgement depends on."""
        return fingerprint(self._branch, self._signers, entry.raw, entry.signature() or b"")


def signers(allowed_signers: str, branch: str) -> bytes:
    """What an ``allowed_signers`` file may say of *branch*; raises BackupError when it cannot be read."""
    try:
        content = _io.read_small(allowed_signers)
    except (OSError, ValueError) as exc:
        raise BackupError(
            f"Failed to read allowed signers {allowed_signers}: {exc}. Enrol the branches (central_prepare).",
            reason="no_allowed_signers",
        ) from exc
    return b"\n".join(signers_of(content, branch))


def fingerprint(branch: str, known: bytes, raw: bytes, signature: bytes) -> str:
    """Of all that a judgement depends on: the branch, its signers, the manifest and its signature."""
    parts = (branch.encode(), known, raw, signature)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def signers_of(content: bytes, branch: str) -> list[bytes]:
    """The lines of an ``allowed_signers`` file that may say something of *branch*: all but those plainly of others.

    Else the enrolment of one branch would have all signatures of all others judged again. Pure.
    """
    lines = [line.strip() for line in content.splitlines()]
    return [line for line in lines if line and not line.startswith(b"#") and not _is_of_others(line, branch.encode())]


def _is_of_others(line: bytes, branch: bytes) -> bool:
    principals = line.split(maxsplit=1)[0]
    return _PLAIN_PRINCIPALS.fullmatch(principals) is not None and branch not in principals.split(b",")


def is_due(name: str, read_at: dt.datetime | None, *, now: dt.datetime, days: int) -> bool:
    """Whether *name* is to be read tonight, so that no byte stays unread for more than *days* nights. Pure.

    Each name has its night of *days*: what a branch holds is spread over them evenly.
    """
    if read_at is None or read_at > now or now - read_at >= dt.timedelta(days=days) - _SLACK:
        return True
    return now - read_at >= _SLACK and zlib.crc32(name.encode()) % days == now.toordinal() % days


def _files(entry: Entry) -> list[list[int]]:
    """Which files hold *entry*. Not the time of change of their inodes: each link to them changes it."""
    found = []
    for path in (entry.path, entry.companion_path):
        if path is not None:
            status = os.lstat(path)
            found.append([status.st_ino, status.st_size, status.st_mtime_ns])
    return found


__all__ = ("Proofs", "fingerprint", "is_due", "signers", "signers_of")

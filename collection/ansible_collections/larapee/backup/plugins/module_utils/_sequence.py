# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rising number of each artifact of a branch and kind.

The highest number ever given is kept beside the state, so that it goes on rising when a place has lost its newest
manifests, and so that their loss is noticed. The state may itself be an older copy that was put back: what the branch
signed counts too.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import typing as t

from . import _intact, _io
from ._catalog import Catalogue, Entry

_SETS = "sets"
_SETS_KEPT = 64


class SequenceError(Exception):
    """What the state remembers cannot be used; the text says why."""


def last_given(state_path: str, *, branch: str, kind: str) -> int:
    """The highest number known to the state, 0 when there is none; raise SequenceError when it cannot be read."""
    path = _path(state_path, branch)
    try:
        value = _io.read_json(path).get(kind, 0)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as exc:
        raise SequenceError(f"the last number given is unreadable in {path}: {exc}") from exc
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SequenceError(f"the last number given of kind {kind} is not a number in {path}")
    return value


def credible(catalogue: Catalogue, *, last: int, branch: str, kind: str, allowed_signers: str | None) -> Catalogue:
    """*catalogue* without numbers that were never given, when the *last* one given is known (not 0).

    Anybody who can write to a place can put an unsigned manifest there. One more than *last* is credible: a crash may
    have come between publishing and remembering. What is further ahead counts when *allowed_signers*, where given,
    accepts its signature. Raises BackupError when that cannot be checked.
    """
    if not last:
        return catalogue
    ahead = [entry for entry in catalogue.of_kind(kind, branch=branch) if entry.manifest.sequence > last + 1]
    never_given = {entry.name for entry in ahead if not _is_signed(entry, branch, allowed_signers)}
    return dataclasses.replace(catalogue, entries=tuple(e for e in catalogue.entries if e.name not in never_given))


def next_number(catalogue: Catalogue, *, last: int, branch: str, kind: str) -> int:
    """The number after the *last* one given, and after those of a credible *catalogue*."""
    return max(last, catalogue.last_sequence(kind, branch=branch)) + 1


def set_number(catalogue: Catalogue, state_path: str, *, branch: str, run_id: str, allowed_signers: str | None) -> int:
    """The number of the set that the run *run_id* makes: one for all its artifacts, rising by one with each run.

    *allowed_signers* as for :func:`credible`.
    """
    with _updating(state_path, branch) as known:
        given = known.get(_SETS)
        sets = {run: n for run, n in given.items() if isinstance(n, int)} if isinstance(given, dict) else {}
        if run_id not in sets:
            # Runs at the same time take turns here, and an old one is never asked for again.
            last = max(sets.values(), default=0)
            sets[run_id] = max(last, _last_set(catalogue, last, branch=branch, allowed_signers=allowed_signers)) + 1
            known[_SETS] = dict(sorted(sets.items(), key=lambda item: item[1])[-_SETS_KEPT:])
        return int(sets[run_id])


def remember(state_path: str, *, branch: str, kind: str, number: int) -> None:
    """Note that *number* was published."""
    with _updating(state_path, branch) as known:
        known[kind] = number


def _last_set(catalogue: Catalogue, last: int, *, branch: str, allowed_signers: str | None) -> int:
    """The highest credible number of a set in *catalogue*; *last* is the state's, 0 when it knows of none."""
    own = [entry for entry in catalogue.entries if entry.manifest.branch == branch]
    for entry in sorted(own, key=lambda entry: entry.manifest.set_number, reverse=True):
        number = entry.manifest.set_number
        if not last or number <= last + 1 or _is_signed(entry, branch, allowed_signers):
            return number
    return 0


def _is_signed(entry: Entry, branch: str, allowed_signers: str | None) -> bool:
    if allowed_signers is None:
        return False
    try:
        _intact.check_signed(entry, branch=branch, allowed_signers=allowed_signers)
    except (_intact.NotIntactError, OSError):
        return False
    return True


@contextlib.contextmanager
def _updating(state_path: str, branch: str) -> t.Iterator[dict[str, t.Any]]:
    """What is known, to be changed and written back; runs of different kinds wait for each other."""
    path = _path(state_path, branch)
    _io.ensure_directory(os.path.dirname(path))
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            known = _io.read_json(path)
        except (OSError, ValueError):
            known = {}
        before = _io.json_bytes(known)
        yield known
        if _io.json_bytes(known) != before:
            _io.write_json(path, known)
    finally:
        os.close(descriptor)


def _path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "sequences", f"{branch}.json")


__all__ = ("SequenceError", "credible", "last_given", "next_number", "remember", "set_number")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What branches say of their runs, read at central: signed, of the branch itself, and each file only once.

Everything below ``incoming`` is a branch's word, and a branch may be lying, or not itself any more.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import os
import random
import typing as t

from . import _clock, _dirfd, _io, _manifest, _names, _runs_export, _signature
from ._errors import BackupError

INCOMING = "incoming"
# A branch keeps a week of some 350 runs a day; more than this is not a branch's history.
FILES_LIMIT = 20000
BRANCH_RECORDS = 300
BRANCH_BYTES = 2 * 1024 * 1024
ALL_RECORDS = 3000
ALL_BYTES = 32 * 1024 * 1024
CLOCK_TOLERANCE = dt.timedelta(minutes=10)
# A record lies at a branch for a week; one that was signed long before it came was kept for a purpose.
OLDEST = dt.timedelta(days=40)

_NESTING = 20
_OBSERVED = 2
# The stamp of what no later state of its file can change: an end that was observed.
_FINAL = "final"


class _Found(t.NamedTuple):
    """A record that has its signature; ``stamp`` changes when either file does."""

    name: str
    stamp: str
    size: int
    modified: int


@dataclasses.dataclass(frozen=True)
class ImportRequest:
    """``branches``: those whose records are read, from ``incoming/<branch>/runs`` below ``central_path``."""

    branches: tuple[str, ...]
    central_path: str
    state_path: str
    allowed_signers: str


@dataclasses.dataclass
class Parcel:
    """What is new of one branch, by file. ``records`` are signed by it; ``refused`` says why of the others."""

    records: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    stamps: dict[str, str] = dataclasses.field(default_factory=dict)
    # Those of the records whose end was observed: once taken in, they are never looked at again.
    final: list[str] = dataclasses.field(default_factory=list)
    # Refused before, and still there unchanged.
    refused_before: dict[str, str] = dataclasses.field(default_factory=dict)
    waiting: int = 0
    strangers: list[str] = dataclasses.field(default_factory=list)
    error: str | None = None


class _Budget:
    def __init__(self) -> None:
        self.records, self.bytes = ALL_RECORDS, ALL_BYTES


def collect(request: ImportRequest) -> dict[str, Parcel]:
    """Read what is new of every branch; what one call does not take waits for the next."""
    for branch in request.branches:
        if not _names.is_branch_code(branch):
            raise BackupError(f"Failed to use the branch {branch!r}: it is no branch's code.", reason="bad_branch")
    signers = _signers_stamp(request)
    budget = _Budget()
    parcels = {branch: Parcel() for branch in request.branches}
    # Where not all get their turn, none shall always be the last.
    for branch in random.sample(request.branches, len(request.branches)):
        try:
            _collect_branch(request, branch, parcels[branch], signers=signers, budget=budget)
        except FileNotFoundError:
            continue
        except OSError as exc:
            parcels[branch].error = f"its records cannot be read ({exc.strerror})"
    return parcels


def settle(
    request: ImportRequest,
    settled: t.Mapping[str, t.Mapping[str, str]],
    refused: t.Mapping[str, t.Mapping[str, str]],
    final: t.Mapping[str, t.Iterable[str]],
) -> None:
    """Note which files (with their stamps) are done with, which of them for good, and why some were refused."""
    signers = _signers_stamp(request)
    for branch, stamps in settled.items():
        noted, bad = _noted(request, branch, signers)
        noted.update(stamps)
        noted.update(dict.fromkeys(set(final.get(branch, ())) - set(refused.get(branch, {})), _FINAL))
        bad = {name: why for name, why in bad.items() if name not in stamps}
        bad.update(refused.get(branch, {}))
        try:
            present = set(os.listdir(os.path.join(request.central_path, INCOMING, branch, _runs_export.DIRECTORY)))
        except OSError:
            present = set()
        document = {
            "signers": signers,
            "done": {name: stamp for name, stamp in noted.items() if name in present},
            "refused": {name: why for name, why in bad.items() if name in present},
        }
        _write_note(_state_file(request, branch), document)


def _write_note(path: str, document: t.Mapping[str, t.Any]) -> None:
    """Not durable: one that a crash takes along only costs another look at each file."""
    _io.ensure_directory(os.path.dirname(path))
    temporary = f"{path}.new"
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w"
        ) as handle:
            json.dump(document, handle, separators=(",", ":"))
        os.replace(temporary, path)
    except OSError as exc:
        raise BackupError(f"Failed to write {path}: {exc.strerror}. Check the free space and the permissions.") from exc


def _collect_branch(
    request: ImportRequest, branch: str, parcel: Parcel, *, signers: list[int], budget: _Budget
) -> None:
    done, bad = _noted(request, branch, signers)
    with contextlib.ExitStack() as stack:
        directory = _open(stack, os.path.join(request.central_path, INCOMING), branch)
        found = _files(directory, parcel, known=done)
        new = [each for each in found if done.get(each.name) != each.stamp]
        same = {each.name for each in found} - {each.name for each in new}
        parcel.refused_before = {name: why for name, why in bad.items() if name in same}
        # The newest first: how the branch stands matters more than how it stood.
        new.sort(key=lambda each: (-each.modified, each.name))
        taken = 0
        for each in new[:BRANCH_RECORDS]:
            if budget.records <= 0 or budget.bytes < each.size or (taken and taken + each.size > BRANCH_BYTES):
                break
            budget.records -= 1
            budget.bytes -= each.size
            taken += each.size
            _take(directory, each, branch=branch, parcel=parcel, allowed_signers=request.allowed_signers)
        parcel.waiting = len(new) - len(parcel.stamps)


def _open(stack: contextlib.ExitStack, incoming: str, branch: str) -> int:
    """``runs`` of the branch; a link on the way to it is not followed."""
    descriptor, _status = _dirfd.open_directory(incoming)
    stack.callback(os.close, descriptor)
    for name in (branch, _runs_export.DIRECTORY):
        descriptor, _status = _dirfd.open_directory(name, parent=descriptor)
        stack.callback(os.close, descriptor)
    return descriptor


def _files(directory: int, parcel: Parcel, *, known: t.Mapping[str, str]) -> list[_Found]:
    """Each record that has its signature and is not done with for good; what else is there is no record."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in itertools.islice(entries, FILES_LIMIT + 1)]
    if len(names) > FILES_LIMIT:
        parcel.error = f"it has more than {FILES_LIMIT} files of records"
        return []
    present = set(names)
    found = []
    for name in names:
        base = name[: -len(_runs_export.SIGNATURE_SUFFIX)] if name.endswith(_runs_export.SIGNATURE_SUFFIX) else name
        if known.get(base) == _FINAL:
            continue
        if _runs_export.NAME.fullmatch(base) is None:
            # Partial files of a transfer begin with a dot.
            if not name.startswith("."):
                parcel.strangers.append(name)
        elif base == name and name + _runs_export.SIGNATURE_SUFFIX in present:
            record = _dirfd.status_of(name, parent=directory)
            signature = _dirfd.status_of(name + _runs_export.SIGNATURE_SUFFIX, parent=directory)
            if record is not None and signature is not None:
                # More of it is never read.
                size = min(record.st_size, _runs_export.RECORD_LIMIT)
                found.append(_Found(name, _stamp(record, signature), size, record.st_mtime_ns))
    return found


def _stamp(record: os.stat_result, signature: os.stat_result) -> str:
    facts = (record.st_mode, record.st_size, record.st_mtime_ns, signature.st_size, signature.st_mtime_ns)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _take(directory: int, found: _Found, *, branch: str, parcel: Parcel, allowed_signers: str) -> None:
    name = found.name
    try:
        # The directory itself is held open; only the last name could be a link, and that one is not followed.
        path = f"/proc/self/fd/{directory}/{name}"
        raw = _io.read_small(path, limit=_runs_export.RECORD_LIMIT)
        signature = _io.read_small(path + _runs_export.SIGNATURE_SUFFIX, limit=64 * 1024)
        document, exported_at = _parse(raw, run_id=name[: -len(".json")], branch=branch)
        if exported_at > _clock.now() + CLOCK_TOLERANCE:
            # Time heals it: not noted, looked at again.
            parcel.refused_before[name] = "it was signed in the future: check the clocks"
            return
        if exported_at < _clock.now() - OLDEST:
            raise ValueError(f"it was signed more than {OLDEST.days} days ago")
        _signature.verify(raw, signature, principal=branch, allowed_signers=allowed_signers, at=exported_at)
    except FileNotFoundError:
        return
    except (ValueError, OSError, _signature.SignatureError) as exc:
        parcel.refused[name] = str(exc)
    else:
        parcel.records[name] = document
        if document.get("evidence") == _OBSERVED:
            parcel.final.append(name)
    parcel.stamps[name] = found.stamp


def _parse(raw: bytes, *, run_id: str, branch: str) -> tuple[dict[str, t.Any], dt.datetime]:
    """The record in *raw*, and when it was signed; raises ValueError that says why it is none of *branch*'s."""
    try:
        document = json.loads(raw.decode("utf-8"))
        # What JSON can spell and no table takes fails here: lone surrogates, and numbers that are none.
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")
        is_flat = _depth_fits(document, _NESTING)
        exported_at = _manifest.parse_time(document["exported_at"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as exc:
        raise ValueError(f"it is no run record ({type(exc).__name__})") from exc
    if document.get("schema") != _runs_export.SCHEMA or not is_flat:
        raise ValueError("it is no run record that this version can read")
    if document.get("branch") != branch:
        raise ValueError("it is of another branch")
    if document.get("run_id") != run_id:
        raise ValueError("it is of another run than its name says")
    return document, exported_at


def _depth_fits(value: t.Any, left: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    below = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_depth_fits(each, left - 1) for each in below)


def _signers_stamp(request: ImportRequest) -> list[int]:
    """What tells whether the keys changed: what was refused is then judged again."""
    try:
        status = os.stat(request.allowed_signers)
    except OSError as exc:
        raise BackupError(
            f"Failed to read allowed signers {request.allowed_signers}: {exc.strerror}. Enrol the branches at central.",
            reason="no_allowed_signers",
        ) from exc
    return [status.st_size, status.st_mtime_ns]


def _noted(request: ImportRequest, branch: str, signers: list[int]) -> tuple[dict[str, str], dict[str, str]]:
    """The stamps of what was done with before, and why some was refused; damage only costs another look."""
    try:
        document = _io.read_json(_state_file(request, branch), limit=64 * 1024 * 1024)
        done, bad = dict(document["done"]), dict(document["refused"])
        if document["signers"] != signers:
            return {name: stamp for name, stamp in done.items() if name not in bad}, {}
        return done, bad
    except (OSError, ValueError, LookupError, TypeError):
        return {}, {}


def _state_file(request: ImportRequest, branch: str) -> str:
    return os.path.join(request.state_path, "imported", f"{branch}.json")


__all__ = ("ImportRequest", "Parcel", "collect", "settle")

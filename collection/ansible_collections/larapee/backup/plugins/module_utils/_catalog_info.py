# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one place can restore of each branch, for people and programs: nothing is changed, no artifact is read.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import os
import typing as t

from . import _catalog, _chain, _chain_check, _clock, _io, _manifest, _names, _recoverable, _sets, _tip
from ._catalog import Entry
from ._errors import BackupError
from ._manifest import Manifest

SCHEMA_VERSION: t.Final = 1
_LEVELS: t.Final = ("intact", "opened")
_FAILED: t.Final = "FAILED"
# A clock that is a little ahead breaks no objective.
_CLOCK_TOLERANCE: t.Final = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class InfoRequest:
    """``branch``: only that one. Without ``allowed_signers`` the tip's signature is not checked."""

    directory: str
    branch: str | None
    allowed_signers: str | None
    rpo_seconds: int


def catalog_info(request: InfoRequest) -> dict[str, t.Any]:
    """The document that docs/schemas/catalog_info.schema.json describes; raises BackupError."""
    if request.branch is not None and not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    catalogue = _catalog.read_catalogue(request.directory)
    now = _clock.now()
    branches = sorted({entry.manifest.branch for entry in catalogue.entries})
    return {
        "schema": SCHEMA_VERSION,
        "place": request.directory,
        "generated_at": _manifest.format_time(now),
        "rpo_s": request.rpo_seconds,
        "branches": [
            _Branch(request, code, [each for each in catalogue.entries if each.manifest.branch == code]).describe(now)
            for code in ([request.branch] if request.branch is not None else branches)
        ],
        "problems": dict(catalogue.problems),
        "unmanaged": list(catalogue.unmanaged),
    }


class _Branch:
    def __init__(self, request: InfoRequest, code: str, entries: t.Sequence[Entry]) -> None:
        self._request = request
        self._code = code
        self._entries = entries
        self._levels = {entry.name: _levels(entry) for entry in entries}
        self._tip, self._tip_problem = self._read_tip()
        self._unusable = self._find_unusable()
        usable = [entry.manifest for entry in entries if entry.name not in self._unusable]
        self._newest = {_sets.UPLOADS: _newest_uploads(usable), _sets.CONFIG: _newest_config(usable)}
        self._database = _recoverable.recoverable(
            (entry.manifest for entry in entries), unusable=self._unusable, current=self._current(_sets.DATABASE)
        )
        if self._database.newest is not None:
            self._newest[_sets.DATABASE] = self._database.newest.last

    def describe(self, now: dt.datetime) -> dict[str, t.Any]:
        points = {family: self._point(family) for family in _tip.FAMILIES}
        known = [point for point in points.values() if point is not None]
        point = min(known) if len(known) == len(points) else None
        age = None if point is None else now - point
        return {
            "branch": self._code,
            "recovery_point": _stamp(point),
            "age_s": None if age is None else age.total_seconds(),
            "within_rpo": age is not None
            and -_CLOCK_TOLERANCE <= age <= dt.timedelta(seconds=self._request.rpo_seconds),
            "parts": {family: self._part(family, points[family]) for family in _tip.FAMILIES},
            "recoverable": {
                **self._database.document(),
                "gaps": [gap.document() for gap in self._database.gaps],
                "spans": [
                    {"from": _stamp(span.from_), "until": _stamp(span.until), "full": span.full, "length": span.length}
                    for span in self._database.spans
                ],
            },
            "astray": dict(self._database.astray),
            "unusable": dict(self._unusable),
            "tip": self._tip and {key: self._tip[key] for key in ("created_at", "set", "signature_checked")},
            "tip_problem": self._tip_problem,
            "verified": {level: self._verified(level) for level in _LEVELS},
            "artifacts": [_artifact(entry, self._levels[entry.name]) for entry in self._entries],
        }

    def _read_tip(self) -> tuple[dict[str, t.Any] | None, str | None]:
        """The tip and, when there is none that can be believed, why."""
        signers = self._request.allowed_signers
        try:
            if signers is not None:
                found = _tip.read_tip(self._request.directory, branch=self._code, allowed_signers=signers)
                return {**found, "signature_checked": True}, None
            found = _io.read_json(os.path.join(self._request.directory, _tip.NAME))
            _manifest.parse_time(found["created_at"])
            if found["branch"] != self._code or not isinstance(found["parts"], dict):
                return None, f"{_tip.NAME} is not a tip of {self._code}"
            return {**found, "set": int(found.get("set", 0)), "signature_checked": False}, None
        except FileNotFoundError:
            return None, f"there is no {_tip.NAME}"
        except BackupError as exc:
            return None, str(exc)
        except (OSError, ValueError, LookupError, TypeError) as exc:
            return None, f"{_tip.NAME} cannot be read ({type(exc).__name__})"

    def _find_unusable(self) -> dict[str, str]:
        """By name, why an artifact does not count: by its size, and by what verification found of itself."""
        # Verification blames artifacts for their chain too; chains are walked anew here.
        of_chains, _gaps = _chain_check.chain_faults([entry.manifest for entry in self._entries])
        found = {}
        for entry in self._entries:
            failed = [each for each in self._levels[entry.name].values() if each["status"] == _FAILED]
            why = _flaw(entry)
            if why is None and failed and entry.name not in of_chains:
                why = failed[0]["reason"] or "verification failed"
            if why is not None:
                found[entry.name] = why
        return found

    def _current(self, family: str) -> tuple[str, dt.datetime] | None:
        """The artifact that the tip names, and up to when nothing came after it."""
        try:
            part = self._tip["parts"][family] if self._tip is not None else None
            return None if part is None else (str(part["artifact"]), _manifest.parse_time(part["current_at"]))
        except (LookupError, TypeError, ValueError):
            return None

    def _point(self, family: str) -> dt.datetime | None:
        if family == _sets.DATABASE:
            return self._database.until
        newest, current = self._newest[family], self._current(family)
        if newest is None or current is None or current[0] != newest.artifact:
            return None if newest is None else newest.recovery_point
        return max(newest.recovery_point, current[1])

    def _part(self, family: str, point: dt.datetime | None) -> dict[str, t.Any] | None:
        newest = self._newest.get(family)
        return None if newest is None else {"artifact": newest.artifact, "recovery_point": _stamp(point)}

    def _verified(self, level: str) -> dict[str, t.Any]:
        """How many artifacts had which result, ``never`` among them, and when the last one was looked at."""
        results = [each.get(level) for each in self._levels.values()]
        known = [each for each in results if each is not None]
        counts = collections.Counter(each["status"] for each in known)
        return {
            "last_at": max((each["at"] for each in known), default=None),
            "results": dict(sorted(counts.items())),
            "never": len(results) - len(known),
        }


def _levels(entry: Entry) -> dict[str, dict[str, str]]:
    """What verification last found of exactly this artifact here; without what cannot be understood."""
    try:
        document = _io.read_json(entry.path + _names.VERIFIED_SUFFIX)
        if document["sha256"] != entry.manifest.sha256:
            return {}
        levels = {level: document["levels"][level] for level in _LEVELS if level in document["levels"]}
        found = {level: {key: each[key] for key in ("status", "reason", "at")} for level, each in levels.items()}
        for each in found.values():
            _manifest.parse_time(each["at"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found


def is_known_damaged(entry: Entry) -> bool:
    """Whether the last verification here found these very bytes not intact."""
    return _levels(entry).get("intact", {}).get("status") == "FAILED"


def _flaw(entry: Entry) -> str | None:
    try:
        size = os.lstat(entry.path).st_size
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"
    expected = entry.manifest.size
    return None if size == expected else f"it has {size} bytes, its manifest says {expected}"


def _newest_uploads(manifests: t.Sequence[Manifest]) -> Manifest | None:
    uploads = [each for each in manifests if _sets.FAMILIES[each.kind] == _sets.UPLOADS]
    chains, _astray = _chain.file_chains(uploads)
    return chains[-1].last if chains else None


def _newest_config(manifests: t.Sequence[Manifest]) -> Manifest | None:
    return max((each for each in manifests if each.kind == "config"), key=lambda each: each.order, default=None)


def _artifact(entry: Entry, levels: dict[str, dict[str, str]]) -> dict[str, t.Any]:
    manifest = entry.manifest
    return {
        "name": entry.name,
        "kind": manifest.kind,
        "size": manifest.size,
        "created_at": _stamp(manifest.created_at),
        "recovery_point": _stamp(manifest.recovery_point),
        "sequence": manifest.sequence,
        "set": manifest.set_number,
        "epoch": manifest.epoch,
        "encrypted": manifest.encrypted,
        "verified": levels,
    }


def _stamp(time: dt.datetime | None) -> str | None:
    return None if time is None else _manifest.format_time(time)


__all__ = ("InfoRequest", "catalog_info", "is_known_damaged")

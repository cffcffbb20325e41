# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a branch stands at central: what is held of it, up to when that restores, and what the branch last said itself.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import typing as t

from . import _catalog, _catalog_info, _chain, _io, _manifest, _recoverable, _sets, _tip

_CHECKSUMS_LIMIT = 64 * 1024 * 1024


def changed_at(place: str) -> int:
    """Changes whenever somebody puts a file into *place* or takes one away."""
    return os.stat(place).st_mtime_ns


def read(place: str, *, branch: str) -> dict[str, t.Any]:
    """``held``: by name, SHA-256 and size; ``damaged``: names that verification found so; ``parts``: as below.

    ``changed`` is of before: what comes while the place is read is seen the next time.
    """
    changed = changed_at(place)
    entries = _catalog.read_catalogue(place).entries
    return {
        "changed": changed,
        "held": {each.name: [each.manifest.sha256, each.manifest.size] for each in entries},
        "damaged": sorted(each.name for each in entries if _catalog_info.is_known_damaged(each)),
        "parts": _parts([each.manifest for each in entries if each.manifest.branch == branch]),
    }


def write_checksums(place: str) -> None:
    """Make ``SHA256SUMS`` what the manifests say, also after a run that died before it did; the caller is alone."""
    path = os.path.join(place, _catalog.CHECKSUMS)
    catalogue = _catalog.read_catalogue(place)
    with contextlib.suppress(OSError, ValueError):
        if _io.read_small(path, limit=_CHECKSUMS_LIMIT) == _catalog.checksums(catalogue.entries):
            return
    _catalog.write_checksums(catalogue)


def raw_tip(place: str) -> bytes | None:
    """The tip's bytes as central took them, which judged them then."""
    with contextlib.suppress(OSError, ValueError):
        return _io.read_small(os.path.join(place, _tip.NAME))
    return None


def tip(place: str) -> dict[str, t.Any] | None:
    """``created_at``, and by family the newest artifact and up to when it is the truth; None where there is no tip.

    Nothing is current later than it was said.
    """
    raw = raw_tip(place)
    if raw is None:
        return None
    try:
        document = json.loads(raw)
        created_at = _manifest.parse_time(document["created_at"])
        parts = dict(document["parts"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    told: dict[str, t.Any] = {"created_at": _manifest.format_time(created_at)}
    for family in _tip.FAMILIES:
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            at = min(_manifest.parse_time(parts[family]["current_at"]), created_at)
            told[family] = {"artifact": str(parts[family]["artifact"]), "current_at": _manifest.format_time(at)}
    return told


def recovery_point(standing: t.Mapping[str, t.Any], told: t.Mapping[str, t.Any] | None) -> str | None:
    """The least of database, uploads and config; the tip of an idle branch moves each on."""
    points: list[str] = []
    for family in _tip.FAMILIES:
        part = standing["parts"].get(family)
        if part is None:
            return None
        word = (told or {}).get(family, {})
        is_of_it = word.get("artifact") == part["artifact"]
        points.append(max(part["until"], word["current_at"]) if is_of_it else part["until"])
    return min(points)


def _parts(manifests: t.Sequence[_manifest.Manifest]) -> dict[str, dict[str, str]]:
    """Of each family the artifact that the longest whole chain ends with, and until when it restores."""
    found: dict[str, tuple[str, dt.datetime]] = {}
    database = _recoverable.recoverable([each for each in manifests if _sets.FAMILIES[each.kind] == _sets.DATABASE])
    if database.newest is not None and database.until is not None:
        found[_sets.DATABASE] = (database.newest.last.artifact, database.until)
    ordered = sorted(manifests, key=lambda each: each.order)
    chains, _astray = _chain.file_chains([each for each in ordered if _sets.FAMILIES[each.kind] == _sets.UPLOADS])
    if chains:
        found[_sets.UPLOADS] = (chains[-1].last.artifact, chains[-1].last.recovery_point)
    for each in ordered:
        if each.kind == "config":
            found[_sets.CONFIG] = (each.artifact, each.recovery_point)
    return {
        family: {"artifact": name, "until": _manifest.format_time(until)} for family, (name, until) in found.items()
    }


__all__ = ("changed_at", "raw_tip", "read", "recovery_point", "tip", "write_checksums")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What retention finds out about a place before it decides. What cannot be found out keeps sets.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import typing as t

from . import _catalog, _clock, _io, _lease, _making, _manifest, _names, _quota, _retention, _sequence
from ._catalog import Catalogue, Entry
from ._ledger import Ledger
from ._prune_request import PruneRequest
from ._retention import Facts
from ._sets import BackupSet

# Twice what central may send: it is not kept in the form in which it came.
_LARGEST_ACKNOWLEDGEMENT = 16 * _io.BLOCK_SIZE


def credible_catalogue(request: PruneRequest) -> tuple[Catalogue, list[str]]:
    """The catalogue without artifacts whose numbers were never given: they decide nothing, and are not touched."""
    catalogue = found = _catalog.read_catalogue(request.directory)
    warnings = []
    for kind in _manifest.KINDS:
        try:
            last = _sequence.last_given(request.state_path, branch=request.branch, kind=kind)
        except _sequence.SequenceError as exc:
            warnings.append(f"Every number of kind {kind} counts: {exc}.")
        else:
            catalogue = _sequence.credible(
                catalogue, last=last, branch=request.branch, kind=kind, allowed_signers=request.allowed_signers
            )
    names = {entry.name for entry in catalogue.entries}
    strange = [entry.name for entry in found.entries if entry.name not in names]
    if strange:
        warnings.append(f"Their numbers were never given, so they do not count: {', '.join(strange)}.")
    return catalogue, warnings


def gather(
    request: PruneRequest, ledger: Ledger, sets: t.Sequence[BackupSet], entries: t.Mapping[str, Entry]
) -> tuple[Facts, list[str]]:
    """The facts, and warnings of what could not be found out."""
    facts = Facts(
        now=_clock.now(),
        keep_days=request.keep_days,
        aged={(before, after): dt.timedelta(seconds=passed) for before, (after, passed) in ledger.aged.items()},
    )
    old = _retention.over_age(sets, facts)
    warnings: list[str] = []
    central = None
    excess = 0
    if request.require_acknowledgement:
        central, warnings = _at_central(request, entries)
        excess = _excess(request, entries)
    facts = dataclasses.replace(
        facts,
        hold=None if ledger.hold is None else ledger.hold["reason"],
        pinned=frozenset(ledger.pinned),
        acknowledged=frozenset(ledger.acknowledged),
        leased=frozenset(name for name in {name for each in old for name in each.keeps} if is_leased(entries[name])),
        opened=_opened(request.results or request.directory, entries) if old else frozenset(),
        at_central=central,
        excess=excess,
    )
    return facts, warnings


def is_leased(entry: Entry) -> bool:
    """Whether somebody reads it now."""
    with _lease.claim(entry) as claimed:
        return not claimed


def _opened(directory: str, entries: t.Mapping[str, Entry]) -> frozenset[str]:
    return frozenset(name for name, entry in entries.items() if _is_opened(directory, entry))


def _is_opened(directory: str, entry: Entry) -> bool:
    """Whether a verification opened these very bytes in *directory*."""
    try:
        document = _io.read_json(os.path.join(directory, entry.name + _names.VERIFIED_SUFFIX))
        status = document["levels"]["opened"]["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(status == "OK" and document.get("sha256") == entry.manifest.sha256)


def _at_central(request: PruneRequest, entries: t.Mapping[str, Entry]) -> tuple[frozenset[str], list[str]]:
    path = os.path.join(request.state_path, "acknowledged", f"{request.branch}.json")
    try:
        known = _io.read_json(path, limit=_LARGEST_ACKNOWLEDGEMENT)["artifacts"]
        return frozenset(name for name, entry in entries.items() if known.get(name) == entry.manifest.sha256), []
    except FileNotFoundError:
        return frozenset(), []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        return frozenset(), [f"Nothing counts as acknowledged by central: {path} is unusable ({exc})."]


def _excess(request: PruneRequest, entries: t.Mapping[str, Entry]) -> int:
    """By how many bytes the next full run would exceed the quota."""
    if not request.quota_bytes:
        return 0
    newest = {entry.manifest.kind: entry for entry in sorted(entries.values(), key=lambda each: each.manifest.order)}
    expected = sum(_making.expected_size(newest.get(kind)) for kind in ("db_full", "files_full", "config"))
    return _quota.used_bytes(request.directory) + expected - request.quota_bytes


__all__ = ("credible_catalogue", "gather", "is_leased")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which place offsite central's memory is about: where another takes its part, another memory begins.

What retention removed from one bucket was never in the next one, and has to get there. The first place of a branch has
the plain names; those of others end with a suffix, so that nothing is moved while somebody reads it, and a place that
is used again has its own memory again.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import typing as t

from . import _clock, _io, _ledger, _lock, _manifest, _mounted, _shelf
from ._store._base import Store

_WAIT_SECONDS = 60.0
_VERSIONS = ".versions.json"
_LOST = "central knew nothing of what was here already, nor of what had been pinned: pin it anew, then release"

Place = dict[str, str]


class PlaceRequest(t.Protocol):
    """What every request about a place offsite has."""

    @property
    def branch(self) -> str: ...
    @property
    def state_path(self) -> str: ...
    @property
    def run_id(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class PlaceMemory:
    """``shelf``: which versions central stored there. ``mirror``: the manifests there, and retention's ledger.

    ``lost``: central remembers nothing of a place that has something of the branch.
    """

    shelf: str
    mirror: str
    lost: bool = False


@dataclasses.dataclass(frozen=True)
class _Known:
    place: Place
    suffix: str


def open_memory(
    store: Store, request: PlaceRequest, target: str, *, begin: bool = False, write: bool = False
) -> PlaceMemory:
    """What central remembers of the place that *store* is; raise BackupError when that is not mounted.

    *begin*: a directory that nobody used is used from now on. *write*: the place is remembered from now on.
    """
    shelf = _shelf.memory_path(request.state_path, target, request.branch)
    mirror = _shelf.mirror_path(request.state_path, target, request.branch)
    found = _mounted.require_mounted(store, request.state_path, run_id=request.run_id, shelf=shelf, begin=begin)
    here = {"url": _plain(store.url), "endpoint": store.endpoint, **({} if found is None else {"id": found})}
    path = f"{shelf.removesuffix('.json')}.places.json"
    places = _read(path) or _told(shelf, mirror)
    known = _find(places, here)
    lost = not places and bool(store.list(f"{request.branch}/"))
    # The last one is the one in use.
    if write and not (os.path.exists(path) and known is not None and known.place == here and places[-1] == known):
        name = f"places-{target}-{request.branch}"
        with _lock.hold(request.state_path, name, run_id=request.run_id, wait_seconds=_WAIT_SECONDS):
            if lost:
                # First: with the place noted, a run that died here would have it look as if nothing had been lost.
                hold(mirror, branch=request.branch)
            known = _note(path, here, _read(path) or _told(shelf, mirror), mirror=mirror, branch=request.branch)
    suffix = known.suffix if known is not None else _suffix(here)
    return PlaceMemory(f"{shelf.removesuffix('.json')}{suffix}.json", mirror + suffix, lost)


def hold(directory: str, *, branch: str) -> None:
    """Let retention remove nothing until somebody releases it: what was pinned or held there is not known any more."""
    said = _ledger.read_ledger(directory, branch=branch)
    note = {"reason": _LOST, "at": _manifest.format_time(_clock.now()), "by": "central"}
    _io.ensure_directory(directory)
    _ledger.write_ledger(directory, dataclasses.replace(said, hold=said.hold or note))


def _note(path: str, here: Place, places: list[_Known], *, mirror: str, branch: str) -> _Known:
    found = _find(places, here)
    known = _Known(here, found.suffix if found is not None else _suffix(here) if places else "")
    if places and places[-1].suffix != known.suffix:
        _hand_on(mirror + places[-1].suffix, mirror + known.suffix, branch=branch)
    kept = [each for each in places if each.suffix != known.suffix]
    _io.ensure_directory(os.path.dirname(path))
    _io.write_json(path, {"schema": 1, "places": [dataclasses.asdict(each) for each in (*kept, known)]})
    return known


def _hand_on(before: str, directory: str, *, branch: str) -> None:
    """What people said last counts at any place; what was removed counts for the place that had it only."""
    try:
        said = _ledger.read_ledger(before, branch=branch)
    except _ledger.LedgerError:
        # Nobody knows what is held: retention does nothing here either, until somebody has repaired it.
        _io.ensure_directory(directory)
        shutil.copyfile(os.path.join(before, _ledger.NAME), os.path.join(directory, _ledger.NAME))
        return
    with contextlib.suppress(_ledger.LedgerError):
        own = _ledger.read_ledger(directory, branch=branch)
        wanted = dataclasses.replace(said, pruned=own.pruned, going=own.going, aged=own.aged)
        if wanted != own:
            _io.ensure_directory(directory)
            _ledger.write_ledger(directory, wanted)


def _find(places: t.Iterable[_Known], here: Place) -> _Known | None:
    """The one that is *here*, as far as was known of it when it was noted."""
    return next((each for each in places if all(here.get(key) == value for key, value in each.place.items())), None)


def _read(path: str) -> list[_Known]:
    try:
        return [_Known(dict(each["place"]), str(each["suffix"])) for each in _io.read_json(path)["places"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _told(shelf: str, mirror: str) -> list[_Known]:
    """The place that the plain names are about, where no list says it: as an earlier version left it."""
    for path in (os.path.join(mirror, _VERSIONS), shelf):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            return [_Known({"url": _plain(str(_io.read_json(path, limit=_shelf.LIMIT)["url"]))}, "")]
    return []


def _plain(url: str) -> str:
    return os.path.normpath(url) if os.path.isabs(url) else url


def _suffix(here: Place) -> str:
    """No branch's code has its first character."""
    return "@" + hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()[:12]


__all__ = ("PlaceMemory", "PlaceRequest", "hold", "open_memory")

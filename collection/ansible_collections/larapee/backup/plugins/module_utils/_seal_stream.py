# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which artifact the next increment of the database continues, from what the place holds.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os

from . import _db_chain, _db_stream
from ._catalog import Catalogue, Entry
from ._manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Standing:
    """``full`` is the newest of the running epoch that is whole.

    ``ends`` are what an increment may continue, the better one first: where the increments end, and that full, when it
    stands beyond the file that comes next.
    """

    full: Manifest
    ends: tuple[Manifest, ...]

    def newest_after(self, last: Manifest) -> str:
        """The artifact that holds most when nothing was committed after *last*: that full, when it came later."""
        return self.full.artifact if _number(self.full) > _number(last) else last.artifact


def find_standing(catalogue: Catalogue, *, branch: str, database: str) -> Standing | str:
    """Where the stream of *branch* stands; else, why a full is needed first."""
    entries = [
        entry
        for entry in catalogue.entries
        if entry.manifest.branch == branch and entry.manifest.kind in ("db_full", "db_increment")
    ]
    fulls = [entry.manifest for entry in entries if entry.manifest.kind == "db_full" and entry.manifest.sequence]
    if not fulls:
        return "there is no full yet"
    newest = max(fulls, key=lambda full: full.order)
    unusable = {entry.name: flaw for entry in entries for flaw in [flaw_of(entry)] if flaw is not None}
    chains, _astray = _db_chain.db_chains((entry.manifest for entry in entries), unusable=unusable)
    own = [chain for chain in chains if chain.full.epoch == newest.epoch and chain.full.sequence]
    if not own:
        return f"the newest full {newest.artifact} does not count: {unusable.get(newest.artifact, 'it is unusable')}"
    full = own[-1].full
    if full.document["database"] != database:
        return f"the newest full {full.artifact} is of the database {full.document['database']}"
    place = _db_stream.key_of(full)
    if place is None:
        return f"the newest full {full.artifact} does not say where the binary log stood"
    increments = [chain.last for chain in own if chain.increments]
    if not increments:
        return Standing(full, (full,))
    last = max(increments, key=lambda each: (_number(each), each.order))
    beyond = place[0] != _stem(last) or place[1] > _number(last) + 1
    return Standing(full, (last, full) if beyond else (last,))


def flaw_of(entry: Entry) -> str | None:
    """Why nothing can stand on *entry*, None when it is there in full length."""
    try:
        size = os.lstat(entry.path).st_size
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"
    expected = entry.manifest.size
    return None if size == expected else f"it has {size} bytes, its manifest says {expected}"


def _stem(manifest: Manifest) -> str:
    return str(manifest.position["file"]).rpartition(".")[0]


def _number(manifest: Manifest) -> int:
    return int(str(manifest.position["file"]).rpartition(".")[2])


__all__ = ("Standing", "find_standing", "flaw_of")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new artifact of files follows: whether it can be an increment, and why not.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t
import uuid

from . import _chain, _snapshot
from ._catalog import Catalogue, Entry
from ._making import Making, Surroundings
from ._sources import UPLOADS

FULL: t.Final = "files_full"
INCREMENT: t.Final = "files_increment"
CONFIG_KIND: t.Final = "config"


class Lineage:
    """``chain`` is what the newest artifact of the content stands on, itself last; empty when there is none."""

    def __init__(self, making: Making, content: str, *, check_mode: bool) -> None:
        self._making = making
        self._content = content
        kinds = (FULL, INCREMENT) if content == UPLOADS else (CONFIG_KIND,)
        self.around = {kind: Surroundings(making, kind=kind, check_mode=check_mode) for kind in kinds}
        self.warnings = list(dict.fromkeys(line for each in self.around.values() for line in each.warnings))
        self._astray: dict[str, str] = {}
        self.chain = self._uploads() if content == UPLOADS else self._config()
        self.epoch = self._find_epoch()

    def snapshot(self) -> _snapshot.Snapshot:
        """How the tree looked when the newest artifact was made; raise SnapshotError with what stands against it."""
        if not self.chain:
            raise NothingYet(f"the place has no backup of the {self._content} yet")
        for entry in self.chain:
            try:
                size = os.lstat(entry.path).st_size
            except OSError as exc:
                raise _snapshot.SnapshotError(f"{entry.name} cannot be read: {exc.strerror}") from exc
            if size != entry.manifest.size:
                raise _snapshot.SnapshotError(f"{entry.name} has {size} bytes, {entry.manifest.size} are right")
        newest = self.chain[-1]
        if self._astray:
            name, why = next(iter(self._astray.items()))
            raise _snapshot.SnapshotError(f"{name} does not join its chain: {why}")
        if newest.manifest.epoch != self.epoch:
            raise _snapshot.SnapshotError("the database has begun a new epoch")
        directory = _snapshot.directory_of(self._making.state_path, self._making.branch)
        return _snapshot.Snapshot(directory, newest.name, sha256=newest.manifest.sha256)

    def _uploads(self) -> list[Entry]:
        own = {
            entry.name: entry
            for kind, around in self.around.items()
            for entry in around.catalogue.of_kind(kind, branch=self._making.branch)
            if entry.manifest.adopted_moment is None
        }
        chains, astray = _chain.file_chains(entry.manifest for entry in own.values())
        if not chains:
            return []
        newest = chains[-1]
        self._astray = {
            name: why for name, why in astray.items() if own[name].manifest.document["base"] == newest.full.artifact
        }
        return [own[each.artifact] for each in newest.artifacts]

    def _config(self) -> list[Entry]:
        newest = self.around[CONFIG_KIND].newest(CONFIG_KIND)
        return [newest] if newest is not None else []

    def _find_epoch(self) -> str:
        """The epoch of the newest full of the database, else of the newest files, else a new one."""
        catalogue: Catalogue = next(iter(self.around.values())).catalogue
        fulls = catalogue.of_kind("db_full", branch=self._making.branch)
        if fulls:
            return fulls[-1].manifest.epoch
        if self.chain:
            return self.chain[-1].manifest.epoch
        others = [
            entry for kind in (CONFIG_KIND, FULL) for entry in catalogue.of_kind(kind, branch=self._making.branch)
        ]
        return others[-1].manifest.epoch if others else str(uuid.uuid4())


class NothingYet(_snapshot.SnapshotError):
    """There is nothing that an increment could follow."""


__all__ = ("CONFIG_KIND", "FULL", "INCREMENT", "Lineage", "NothingYet")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention of the hot place: as at any place, what goes has a better successor that is intact there.

Central keeps the ledger, and the next copy leaves out what it says was removed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os

from . import _io, _names, _offsite
from ._catalog import Entry
from ._mirror import Mirror
from ._offsite_verify import open_mirror
from ._prune import PruneOutcome, PruneRequest, prune_place
from ._store._base import Store


class OffsitePlace:
    """The objects of a branch, as the mirror of them says."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def check(self, entry: Entry) -> None:
        # Its signature was judged when the mirror took its manifest.
        self._mirror.check(entry)

    def remove_manifest(self, entry: Entry) -> None:
        self._mirror.remove(entry.name + _names.MANIFEST_SUFFIX)
        os.unlink(entry.path + _names.MANIFEST_SUFFIX)
        _io.fsync_directory(entry.directory)

    def remove_rest(self, name: str) -> None:
        for each in (name + _names.SIGNATURE_SUFFIX, _names.companion_name(name), name):
            self._mirror.remove(each)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._mirror.directory, name + _names.SIGNATURE_SUFFIX))

    def account(self) -> None:
        """Nothing to do: a list of checksums there would be one more version each day."""


def prune_offsite(store: Store, request: PruneRequest, *, read_days: int, check_mode: bool = False) -> PruneOutcome:
    """As :func:`prune_place`, of the hot place: ``directory`` of *request* is where central keeps its manifests.

    Of what replaces others, that it was read counts for *read_days*.
    """
    store.require_versions()
    # Where bytes may change under the same name, they are read for this.
    days = read_days if store.keeps_versions else 1
    with open_mirror(store, _offsite.HOT, request, read_days=days, check_mode=check_mode) as mirror:
        request = dataclasses.replace(
            request,
            directory=mirror.directory,
            excludes=f"offsite-{_offsite.HOT}-{request.branch}",
            lock=f"retention-{_offsite.HOT}",
        )
        return prune_place(request, place=OffsitePlace(mirror), check_mode=check_mode)


__all__ = ("prune_offsite",)

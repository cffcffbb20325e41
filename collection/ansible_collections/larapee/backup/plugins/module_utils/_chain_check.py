# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What verification says of the chains of a place, and how far the intact ones reach. Pure.

Retention takes increments with the full that they follow, and before it: it never leaves one that is in no chain, so
there is nothing to excuse.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from . import _chain, _manifest, _sets
from ._manifest import Manifest


def chain_faults(manifests: t.Collection[Manifest]) -> tuple[dict[str, str], dict[str, str]]:
    """By name of an artifact of one branch, why no chain has it; and by name of an increment, why nothing follows it.

    A gap that shows in the numbers is not named twice.
    """
    _chains, astray = _chain.file_chains(_of(_sets.UPLOADS, manifests))
    database = _of(_sets.DATABASE, manifests)
    chains, why = _sets.database_chains(database)
    astray.update(why)
    astray.update(_sets.unfollowed(chains))
    numbered = {(each.epoch, each.sequence): each for each in database if each.kind == "db_increment"}
    gaps = {}
    for chain in chains:
        after = numbered.get((chain.full.epoch, chain.last.sequence + 1)) if chain.increments else None
        if chain.broken and after is not None and after.artifact not in astray:
            gaps[chain.last.artifact] = chain.broken
    return astray, gaps


def reached(manifests: t.Collection[Manifest]) -> dict[str, dt.datetime]:
    """By family, up to when the newest of *manifests*, which are intact and in the order of their numbers, restore."""
    found: dict[str, dt.datetime] = {}
    for each in manifests:
        if each.kind == "config":
            found[_sets.CONFIG] = each.recovery_point
    chains, _astray = _chain.file_chains(_of(_sets.UPLOADS, manifests))
    if chains:
        found[_sets.UPLOADS] = chains[-1].last.recovery_point
    of_database, _why = _sets.database_chains(_of(_sets.DATABASE, manifests))
    if of_database:
        found[_sets.DATABASE] = of_database[-1].recovery_point
    return found


def recovery_point(there: t.Iterable[Manifest], intact: t.Collection[Manifest]) -> str | None:
    """The least of what the newest *intact* artifacts reach, over all families *there*; None when one has none."""
    families = {_sets.FAMILIES[each.kind] for each in there}
    found = reached(intact)
    if not families or families - found.keys():
        return None
    return _manifest.format_time(min(found.values()))


def _of(family: str, manifests: t.Iterable[Manifest]) -> list[Manifest]:
    return [each for each in manifests if _sets.FAMILIES[each.kind] == family]


__all__ = ("chain_faults", "recovery_point")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which increments of the uploads follow which full, from manifests alone. Pure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Chain:
    """A full and the increments that follow it without a gap, in order."""

    full: Manifest
    increments: tuple[Manifest, ...]

    @property
    def artifacts(self) -> tuple[Manifest, ...]:
        return (self.full, *self.increments)

    @property
    def last(self) -> Manifest:
        return self.artifacts[-1]


def file_chains(manifests: t.Iterable[Manifest]) -> tuple[list[Chain], dict[str, str]]:
    """The chains of one branch's uploads, oldest first; and by name, why an increment belongs to none.

    An increment belongs to the chain that ends with its ``previous``: what comes after a missing one is of no use.
    """
    ordered = sorted(manifests, key=lambda manifest: manifest.order)
    chains = {each.artifact: [each] for each in ordered if each.kind == "files_full"}
    present = {each.artifact for each in ordered}
    astray: dict[str, str] = {}
    for each in ordered:
        if each.kind != "files_increment":
            continue
        base, previous = str(each.document["base"]), str(each.document["previous"])
        chain = chains.get(base)
        if chain is not None and chain[-1].artifact == previous:
            chain.append(each)
        elif chain is None:
            astray[each.artifact] = f"its base {base} is gone"
        elif previous not in present:
            astray[each.artifact] = f"the artifact before it, {previous}, is gone"
        elif previous in astray:
            astray[each.artifact] = f"the chain is broken before it, at {previous}"
        else:
            astray[each.artifact] = f"another increment follows {previous} already"
    return [Chain(full=first, increments=tuple(rest)) for first, *rest in chains.values()], astray


__all__ = ("Chain", "file_chains")

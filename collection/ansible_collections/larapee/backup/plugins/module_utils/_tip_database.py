# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which artifact a branch's database stands at, as far as its chain is whole.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _db_chain, _recoverable
from ._catalog import Entry
from ._manifest import Manifest
from ._seal_stream import flaw_of


def newest_state(
    entries: t.Mapping[str, Entry], *, why_not_accepted: t.Callable[[Entry], str | None]
) -> tuple[Manifest | None, dict[str, str], list[str]]:
    """The last artifact of the chain that reaches furthest; by name, why others do not count; which of them are newer.

    *why_not_accepted* is asked of what would be the last one only. An adopted dump stands for nothing.
    """
    refused: list[str] = []
    own = {name: entry for name, entry in entries.items() if entry.manifest.adopted_moment is None}
    flaws = {name: flaw for name, entry in own.items() for flaw in [flaw_of(entry)] if flaw is not None}
    while True:
        chains, _astray = _db_chain.db_chains((entry.manifest for entry in own.values()), unusable=flaws)
        chain = _recoverable.newest_chain(chains)
        if chain is None:
            return None, flaws, list(flaws)
        for last in reversed(chain.artifacts):
            why = why_not_accepted(own[last.artifact])
            if why is None:
                later = [name for name in flaws if own[name].manifest.set_number >= last.set_number]
                return last, flaws, [*refused, *(name for name in later if name not in refused)]
            flaws[last.artifact] = why
            refused.append(last.artifact)


__all__ = ("newest_state",)

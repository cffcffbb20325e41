# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From when until when a place can restore a branch's database, and the gaps in between. Pure, from manifests alone.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _db_chain, _epoch, _manifest
from ._db_chain import DbChain
from ._manifest import Manifest

# The newest gaps are what a person acts on; a row of backup_runs is not a catalogue.
_GAPS_TOLD: t.Final = 10


@dataclasses.dataclass(frozen=True)
class Span:
    """``from_`` is where its oldest ``full`` stands; every moment from that one's snapshot to ``until`` can be had.

    ``length`` is the number of artifacts from it to the end, itself too. ``broken`` says why it goes no further
    although there is something later.
    """

    from_: dt.datetime
    until: dt.datetime
    full: str
    last: str
    length: int
    broken: str | None
    epoch: str


@dataclasses.dataclass(frozen=True)
class Gap:
    """Nothing between ``after`` and ``before`` can be had; ``before`` is None when nothing later can be had either."""

    after: dt.datetime
    before: dt.datetime | None
    why: str

    def document(self) -> dict[str, str | None]:
        return {"after": _manifest.format_time(self.after), "before": _stamp(self.before), "why": self.why}


@dataclasses.dataclass(frozen=True)
class Recoverable:
    """``spans`` and ``gaps``, oldest first; ``newest`` is the chain that ``until`` is of, by the fewest artifacts.

    ``astray``: by name, why an increment is in no chain.
    """

    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]
    newest: DbChain | None
    until: dt.datetime | None
    astray: t.Mapping[str, str]

    @property
    def from_(self) -> dt.datetime | None:
        return min((span.from_ for span in self.spans), default=None)

    @property
    def chain_length(self) -> int:
        """How many artifacts a restore to ``until`` uses."""
        return len(self.newest.artifacts) if self.newest is not None else 0

    def document(self) -> dict[str, t.Any]:
        """For a row of backup_runs: bounded, whatever the place holds."""
        return {
            "from": _stamp(self.from_),
            "until": _stamp(self.until),
            "full": self.newest.full.artifact if self.newest is not None else None,
            "chain_length": self.chain_length,
            "gaps": [gap.document() for gap in self.gaps[-_GAPS_TOLD:]],
            "gap_count": len(self.gaps),
        }


def recoverable(
    manifests: t.Iterable[Manifest],
    *,
    unusable: t.Mapping[str, str] | None = None,
    current: tuple[str, dt.datetime] | None = None,
) -> Recoverable:
    """What the artifacts of one branch at one place restore of its database.

    *unusable*: as for the chains. *current*: an artifact's name, and up to when nothing came after it, as the tip says.
    """
    chains, astray = _db_chain.db_chains(manifests, unusable=unusable)
    newest = newest_chain(chains)
    spans = _spans(chains, current)
    return Recoverable(
        spans=tuple(spans),
        gaps=tuple(_gaps(spans)),
        newest=newest,
        until=None if newest is None else _until(newest, current),
        astray=astray,
    )


def newest_chain(chains: t.Sequence[DbChain]) -> DbChain | None:
    """The chain that reaches furthest, from the newest full that reaches so far; no clock decides."""
    if not chains:
        return None
    epoch = chains[-1].full.epoch
    own = [chain for chain in chains if chain.full.epoch == epoch]
    return max(own, key=lambda chain: (_epoch.log_number(chain.position), chain.full.order))


def _spans(chains: t.Sequence[DbChain], current: tuple[str, dt.datetime] | None) -> list[Span]:
    """In the order of the fulls; what lies within an earlier one is part of it."""
    spans: list[Span] = []
    for chain in chains:
        from_, until = chain.full.recovery_point, _until(chain, current)
        if any(span.from_ <= from_ and until <= span.until for span in spans):
            continue
        spans.append(
            Span(
                from_=from_,
                until=until,
                full=chain.full.artifact,
                last=chain.last.artifact,
                length=len(chain.artifacts),
                broken=chain.broken,
                epoch=chain.full.epoch,
            )
        )
    return spans


def _gaps(spans: t.Sequence[Span]) -> t.Iterator[Gap]:
    for index, span in enumerate(spans):
        after = span.until
        later = spans[index + 1 :]
        if any(each.from_ <= after < each.until for each in spans) or any(each.until == after for each in later):
            continue
        if _is_on_its_way(span, later):
            continue
        before = min((each.from_ for each in spans if each.from_ > after), default=None)
        if before is not None or (span.broken is not None and not later):
            yield Gap(after, before, span.broken or f"no increment follows {span.last}")


def _is_on_its_way(span: Span, later: t.Sequence[Span]) -> bool:
    """Whether only a full was taken since the last increment: the next one joins both, and nothing is lost yet."""
    if len(later) != 1 or span.broken is not None or span.length == 1:
        return False
    return later[0].length == 1 and later[0].epoch == span.epoch


def _until(chain: DbChain, current: tuple[str, dt.datetime] | None) -> dt.datetime:
    # The clock may have been put back: the full itself stands where it says.
    known = [chain.full.recovery_point, chain.recovery_point]
    if current is not None and current[0] == chain.last.artifact:
        known.append(current[1])
    return max(known)


def _stamp(time: dt.datetime | None) -> str | None:
    return None if time is None else _manifest.format_time(time)


__all__ = ("Gap", "Recoverable", "Span", "newest_chain", "recoverable")

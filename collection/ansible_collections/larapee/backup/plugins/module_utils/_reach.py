# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which chain reaches what was wished for, with how many of its artifacts, and else what is nearest. Pure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from . import _manifest, _recoverable, _sets
from ._aim import Wish
from ._binlog import _gtid
from ._binlog._errors import BinlogError
from ._binlog._names import log_number
from ._db_chain import DbChain
from ._manifest import Manifest

Found = t.Optional[tuple[DbChain, int]]
# A client connects and waits for locks before it has its snapshot: so long after its start, a full that does not tell
# is taken to hold nothing that came later.
_SNAPSHOT_SECONDS: t.Final = 600


def pick(wish: Wish, chains: t.Sequence[DbChain], current: tuple[str, dt.datetime] | None) -> Found:
    """The best of *chains*, oldest first, and how many of its artifacts are needed; None when none reaches *wish*."""
    if wish.is_latest:
        chain = _recoverable.newest_chain(chains)
        return None if chain is None else (chain, len(chain.artifacts))
    if wish.number is not None:
        return _for_set(wish.number, chains)
    if wish.time is not None:
        return _for_time(wish.time, chains, current)
    for chain in reversed(chains):
        length = _length_for_gtid(wish.gtid, chain) if wish.gtid is not None else _length_for_position(wish, chain)
        if length:
            return chain, length
    return None


def until(chain: DbChain, current: tuple[str, dt.datetime] | None) -> dt.datetime:
    """Up to when *chain* restores; further than its last artifact when a tip says that nothing came after it."""
    known = [chain.full.recovery_point, chain.recovery_point]
    if current is not None and current[0] == chain.last.artifact:
        known.append(current[1])
    return max(known)


def _for_set(number: int, chains: t.Sequence[DbChain]) -> Found:
    if number > max((each.set_number for chain in chains for each in chain.artifacts), default=0):
        return None
    point = _sets.database_at(chains, number)
    return None if point is None else (point.chain, point.length)


def _for_time(wished: dt.datetime, chains: t.Sequence[DbChain], current: tuple[str, dt.datetime] | None) -> Found:
    reaching = [chain for chain in reversed(chains) if chain.full.recovery_point <= wished <= until(chain, current)]
    sure = [chain for chain in reaching if _snapshot_by(chain.full) <= wished]
    for chain in sure or [each for each in reaching if "snapshot_at" not in each.full.document]:
        return chain, _length_for_time(wished, chain)
    return None


def _snapshot_by(full: Manifest) -> dt.datetime:
    """When *full* had its snapshot at the latest: nothing that came later is in it."""
    text = full.document.get("snapshot_at")
    try:
        return max(full.recovery_point, _manifest.parse_time(str(text)))
    except ValueError:
        return full.recovery_point + dt.timedelta(seconds=_SNAPSHOT_SECONDS)


def _length_for_time(wished: dt.datetime, chain: DbChain) -> int:
    """What was committed before *wished* was sealed by then; later ones only show whether a clock was put back."""
    length, sealed = 1, False
    for number, each in enumerate(chain.increments, start=2):
        if not sealed or _may_hold_earlier(each, wished):
            length = number
        sealed = sealed or each.recovery_point >= wished
    return length


def _may_hold_earlier(increment: Manifest, wished: dt.datetime) -> bool:
    if increment.document["time_went_back"]:
        return True
    return any(_manifest.parse_time(increment.document[edge]["time"]) < wished for edge in ("start", "end"))


def _length_for_gtid(gtid: str, chain: DbChain) -> int:
    engine = str(chain.full.document.get("engine"))
    try:
        if _gtid.parse(engine, str(chain.full.position.get("gtid") or "")).contains(gtid):
            return 0
        for number, each in enumerate(chain.increments, start=2):
            if _gtid.parse(engine, str(each.position.get("gtid") or "")).contains(gtid):
                return number
    except BinlogError:
        pass
    return 0


def _length_for_position(wish: Wish, chain: DbChain) -> int:
    start = chain.full.position
    for number, each in enumerate(chain.increments, start=2):
        for file in each.document["files"]:
            if file["name"] == wish.file and wish.position <= file["size"]:
                at, full_at = log_number(file["name"]), log_number(str(start["file"]))
                return number if (at, wish.position) > (full_at, int(start["position"])) else 0
    return 0


def nearest(to: str, chains: t.Sequence[DbChain], current: tuple[str, dt.datetime] | None) -> str:
    """What can be had instead of *to*, in words."""
    try:
        wished = _manifest.parse_time(to)
    except ValueError:
        wished = dt.datetime.max.replace(tzinfo=dt.timezone.utc)
    edges = {edge for chain in chains for edge in (chain.full.recovery_point, until(chain, current))}
    edges |= {_snapshot_by(chain.full) for chain in chains if _snapshot_by(chain.full) <= until(chain, current)}
    before = max((edge for edge in edges if edge <= wished), default=None)
    after = min((edge for edge in edges if edge > wished), default=None)
    text = f"The nearest that can be had is {_manifest.format_time(t.cast(dt.datetime, before or after))}."
    if before is not None and after is not None:
        text += f" The next after it is {_manifest.format_time(after)}."
    ends = {str(chain.position["gtid"]) for chain in chains[-1:] if chain.position.get("gtid")}
    return text + "".join(f" The newest chain ends at GTID {end}." for end in ends)


__all__ = ("nearest", "pick", "until")

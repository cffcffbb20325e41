# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where in the binary log a restore stops: what was wished for, and the transactions around it. Pure.

The order of the log is the order of commits; times are what the server's clock said. A time stands before the first
transaction that was committed in that second or later.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import typing as t

from . import _manifest
from ._binlog import _names
from ._binlog._facts import Group
from ._errors import BackupError

LATEST: t.Final = "latest"
# A statement that commits by itself bears the time of its beginning, so one that took a while stands behind later ones.
LATE_SECONDS: t.Final = 2
_NAMED: t.Final = 10
_SET = re.compile(r"set:([0-9]{1,18})", re.ASCII)
_POSITION = re.compile(r"(?P<file>[^\s:/]+\.[0-9]{6,10}):(?P<position>[0-9]{1,18})", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What was asked for: ``text`` as it was given; by its form, one of the others is set, or none for all there is."""

    text: str
    time: dt.datetime | None = None
    gtid: str | None = None
    file: str | None = None
    position: int = 0
    number: int | None = None

    @property
    def is_latest(self) -> bool:
        return self.text == LATEST


def parse_wish(text: str) -> Wish | None:
    """What *text* asks for; None when it is nothing of the kind."""
    if text == LATEST:
        return Wish(text)
    if text.startswith("gtid:") and len(text) > len("gtid:"):
        return Wish(text, gtid="".join(text[len("gtid:") :].split()).lower())
    numbered = _SET.fullmatch(text)
    if numbered is not None:
        return Wish(text, number=int(numbered[1]))
    positioned = _POSITION.fullmatch(text)
    if positioned is not None:
        return Wish(text, file=positioned["file"], position=int(positioned["position"]))
    try:
        return Wish(text, time=_manifest.parse_time(text))
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True)
class Transaction:
    """One transaction of the log: where it ends, and when (UTC) it was committed."""

    file: str
    start: int
    position: int
    gtid: str | None
    time: dt.datetime

    def document(self) -> dict[str, t.Any]:
        return {
            "file": self.file,
            "position": self.position,
            "gtid": self.gtid,
            "time": _manifest.format_time(self.time),
        }

    def __str__(self) -> str:
        gtid = f"gtid:{self.gtid} " if self.gtid else ""
        return f"{gtid}at {self.file}:{self.position} ({_manifest.format_time(self.time)})"


class Seeker:
    """Is shown every transaction after the full, in order, and finds where to stop.

    ``last`` is the last one that is applied, None for the full alone; ``following`` the first that is not, None when it
    was not seen; ``count`` how many are applied.
    """

    def __init__(self, wish: Wish, *, late_seconds: int = LATE_SECONDS) -> None:
        self.wish = wish
        self.last: Transaction | None = None
        self.following: Transaction | None = None
        self.count = 0
        self._late = late_seconds
        self._latest: dt.datetime | None = None
        self._contradicting: list[Transaction] = []
        self._contradictions = 0

    def see(self, file: str, group: Group) -> None:
        """The next transaction; raises BackupError when the wish lies within it."""
        at = Transaction(
            file=file,
            start=group.start,
            position=group.end,
            gtid=group.gtid,
            time=dt.datetime.fromtimestamp(group.at, dt.timezone.utc),
        )
        if self.following is None and not self._is_beyond(at):
            self.last = at
            self.count += 1
        elif self.following is None:
            self.following = at
        self._look_back(at)

    def _is_beyond(self, at: Transaction) -> bool:
        wish = self.wish
        if wish.time is not None:
            return at.time >= wish.time
        if wish.gtid is not None:
            return self.last is not None and self.last.gtid == wish.gtid
        if wish.file is None:
            return False
        if at.file == wish.file and at.start < wish.position < at.position:
            raise self._within(at)
        return (_names.log_number(at.file), at.start) >= (_names.log_number(wish.file), wish.position)

    def _within(self, at: Transaction) -> BackupError:
        return BackupError(
            f"Failed to restore to {self.wish.text}: that position lies within the transaction {at}. Give "
            f"{at.file}:{at.start} to stop before it, or {at.file}:{at.position} to have it.",
            reason="target_out_of_reach",
        )

    def _look_back(self, at: Transaction) -> None:
        """Note what was committed after the stop and yet bears an earlier time: the clock was put back."""
        wished = self.wish.time
        if wished is None:
            return
        latest = self._latest
        self._latest = at.time if latest is None else max(latest, at.time)
        if self.following is None or at.time >= wished or (self._latest - at.time).total_seconds() <= self._late:
            return
        self._contradictions += 1
        if len(self._contradicting) < _NAMED:
            self._contradicting.append(at)

    def check(self, *, end: str) -> None:
        """After the last transaction: raise BackupError unless the wish was found, and once. *end* is for messages."""
        if self._contradictions:
            raise self._ambiguous()
        gtid = self.wish.gtid
        if gtid is not None and (self.last is None or self.last.gtid != gtid):
            before = f" The last one before the end of the chain ({end}) is {self.last}." if self.last else ""
            raise BackupError(
                f"Failed to restore to {self.wish.text}: no transaction of the chain has that GTID.{before} Give one "
                "that the preview of a time names.",
                reason="target_out_of_reach",
            )

    def _ambiguous(self) -> BackupError:
        candidates = [each for each in (self.last, self.following) if each is not None]
        candidates += self._contradicting
        more = self._contradictions - len(self._contradicting)
        named = "; ".join(str(each) for each in candidates) + (f"; and {more} more" if more > 0 else "")
        return BackupError(
            f"Failed to restore to {self.wish.text}: the branch's clock was put back, so that time came more than "
            f"once. Give one of these by its GTID or position; each is the last one that comes back: {named}.",
            reason="ambiguous_time",
            facts={"candidates": [each.document() for each in candidates]},
        )


__all__ = ("LATEST", "LATE_SECONDS", "Seeker", "Transaction", "Wish", "parse_wish")

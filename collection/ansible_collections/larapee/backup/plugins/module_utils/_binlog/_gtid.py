# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a server's binary log in GTIDs: what a file begins after and what it ends with.

MariaDB: the last GTID of each domain. MySQL: a set of intervals for each server and tag.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import abc
import bisect
import re
import typing as t

from ._errors import BinlogError

_MARIADB_GTID: t.Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")
_UUID: t.Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG: t.Final = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL: t.Final = re.compile(r"([1-9][0-9]{0,18})(?:-([1-9][0-9]{0,18}))?")

# The key is (server, tag); intervals are [first, after the last).
Intervals = dict[tuple[str, str], list[tuple[int, int]]]


class State(abc.ABC):
    """Never changes; equal states of one engine are equal, and their text is canonical."""

    engine: t.ClassVar[str]

    @staticmethod
    def empty(engine: str) -> State:
        """The state of a server that has written nothing yet."""
        return _STATES[engine].parse("")

    @classmethod
    @abc.abstractmethod
    def parse(cls, text: str) -> State: ...

    @abc.abstractmethod
    def add(self, gtid: str) -> State:
        """The state after the transaction *gtid*."""

    @abc.abstractmethod
    def contains(self, gtid: str) -> bool:
        """Whether the transaction *gtid* was committed by then."""

    @abc.abstractmethod
    def lower(self, other: State) -> bool:
        """Whether something that *other* holds is missing here: after *other*, the server went back."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and (self.engine, str(self)) == (other.engine, str(other))

    def __hash__(self) -> int:
        return hash((self.engine, str(self)))

    def __bool__(self) -> bool:
        return bool(str(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class MariadbState(State):
    """``domain-server-sequence`` of the last transaction of each domain."""

    engine = "mariadb"

    def __init__(self, last: t.Mapping[int, tuple[int, int]]) -> None:
        self._last = dict(last)

    @classmethod
    def parse(cls, text: str) -> MariadbState:
        # A list may name several servers of one domain; as in the server's own list, the last one counts.
        last = {}
        for part in _parts(text):
            domain, server, sequence = _mariadb_gtid(part)
            last[domain] = (server, sequence)
        return cls(last)

    @property
    def last(self) -> dict[int, tuple[int, int]]:
        """Domain to (server, sequence); a copy."""
        return dict(self._last)

    def add(self, gtid: str) -> MariadbState:
        domain, server, sequence = _mariadb_gtid(gtid)
        return MariadbState({**self._last, domain: (server, sequence)})

    def contains(self, gtid: str) -> bool:
        domain, server, sequence = _mariadb_gtid(gtid)
        if domain not in self._last:
            return False
        last_server, last_sequence = self._last[domain]
        return sequence < last_sequence or (server, sequence) == (last_server, last_sequence)

    def lower(self, other: State) -> bool:
        _same_engine(self, other)
        theirs = t.cast(MariadbState, other)._last
        return any(self._last.get(domain, (0, 0))[1] < sequence for domain, (_server, sequence) in theirs.items())

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{sequence}" for domain, (server, sequence) in sorted(self._last.items()))


class MysqlState(State):
    """``uuid:1-5:7:tag:1-2`` for each server, joined by commas."""

    engine = "mysql"

    def __init__(self, intervals: t.Mapping[tuple[str, str], t.Iterable[tuple[int, int]]]) -> None:
        self._intervals: Intervals = {}
        for (uuid, tag), ranges in intervals.items():
            merged = _merge(ranges)
            if merged:
                self._intervals[uuid, tag] = merged

    @classmethod
    def parse(cls, text: str) -> MysqlState:
        found: Intervals = {}
        for part in _parts(text):
            for key, interval in _mysql_intervals(part):
                found.setdefault(key, []).append(interval)
        return cls(found)

    @property
    def intervals(self) -> Intervals:
        """(Server, tag) to its intervals [first, after the last); a copy."""
        return {key: list(ranges) for key, ranges in self._intervals.items()}

    def add(self, gtid: str) -> MysqlState:
        grown = self.intervals
        key, number = mysql_gtid(gtid)
        include(grown, key, number)
        return MysqlState(grown)

    def contains(self, gtid: str) -> bool:
        key, number = mysql_gtid(gtid)
        return self._covers(key, (number, number + 1))

    def lower(self, other: State) -> bool:
        _same_engine(self, other)
        theirs = t.cast(MysqlState, other)._intervals
        return any(not self._covers(key, interval) for key, ranges in theirs.items() for interval in ranges)

    def _covers(self, key: tuple[str, str], interval: tuple[int, int]) -> bool:
        return any(first <= interval[0] and interval[1] <= end for first, end in self._intervals.get(key, []))

    def __str__(self) -> str:
        texts: dict[str, str] = {}
        for (uuid, tag), ranges in sorted(self._intervals.items()):
            shown = ":".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in ranges)
            texts[uuid] = texts.get(uuid, uuid) + (f":{tag}" if tag else "") + f":{shown}"
        return ",".join(texts.values())


_STATES: t.Final[dict[str, type[State]]] = {"mariadb": MariadbState, "mysql": MysqlState}


def parse(engine: str, text: str) -> State:
    """Read a state as the server and the manifests write it. Raises BinlogError for anything else."""
    return _STATES[engine].parse(text)


def include(intervals: Intervals, key: tuple[str, str], number: int) -> None:
    """Add one transaction to *intervals*, in place."""
    ranges = intervals.setdefault(key, [])
    if ranges and ranges[-1][1] == number:
        ranges[-1] = (ranges[-1][0], number + 1)
        return
    bisect.insort(ranges, (number, number + 1))
    ranges[:] = _merge(ranges)


def mysql_gtid(text: str) -> tuple[tuple[str, str], int]:
    """Server, tag and number of one transaction of MySQL."""
    found = _mysql_intervals(text)
    if len(found) != 1 or found[0][1][1] != found[0][1][0] + 1:
        raise BinlogError(f"{text!r} is not one GTID")
    return found[0][0], found[0][1][0]


def _merge(ranges: t.Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged


def _parts(text: str) -> list[str]:
    stripped = "".join(text.split())
    # The server ends neither list with a comma, but people do.
    return [part for part in stripped.split(",") if part]


def _mariadb_gtid(text: str) -> tuple[int, int, int]:
    match = _MARIADB_GTID.fullmatch(text)
    if match is None:
        raise BinlogError(f"{text!r} is not a GTID of MariaDB")
    return int(match[1]), int(match[2]), int(match[3])


def _mysql_intervals(text: str) -> list[tuple[tuple[str, str], tuple[int, int]]]:
    uuid, *rest = text.lower().split(":")
    found: list[tuple[tuple[str, str], tuple[int, int]]] = []
    tag = ""
    for part in rest:
        match = _INTERVAL.fullmatch(part)
        if match is not None:
            first = int(match[1])
            found.append(((uuid, tag), (first, int(match[2] or first) + 1)))
        elif _TAG.fullmatch(part):
            tag = part
        else:
            found.clear()
            break
    if not _UUID.fullmatch(uuid) or not found or any(end <= first for _key, (first, end) in found):
        raise BinlogError(f"{text!r} is not a GTID set of MySQL")
    return found


def _same_engine(state: State, other: State) -> None:
    if state.engine != other.engine:
        raise BinlogError(f"GTIDs of {state.engine} and of {other.engine} cannot be compared")


__all__ = ("Intervals", "MariadbState", "MysqlState", "State", "include", "mysql_gtid", "parse")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of a branch for the tests of retention: runs, what they made, and what befell it. Times are in hours."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Any

from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
from ansible_collections.larapee.backup.plugins.module_utils._retention import Facts
from ansible_collections.larapee.backup.plugins.module_utils._sets import BackupSet

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KINDS = ("db_full", "db_increment", "files_full", "files_increment", "config")
ENDINGS = {
    "db_full": ".sql.gz",
    "db_increment": ".binlog.zst",
    "files_full": ".tar.zst",
    "files_increment": ".incr.tar.zst",
    "config": ".tar.zst",
}
PREFIXES = {
    "db_full": "db",
    "db_increment": "db",
    "files_full": "public-uploads",
    "files_increment": "public-uploads",
    "config": "config",
}
EPOCHS = [str(uuid.UUID(int=number)) for number in range(4)]
# Far apart, so that no jump of the clock looks like a step between two runs.
OFFSETS = (0,) * 9 + (8766, 2400, -3600)


def moment(hours: float) -> dt.datetime:
    return BEGIN + dt.timedelta(hours=hours)


def manifest(kind: str, *, number: int, sequence: int, at: float, epoch: str, **fields: Any) -> Manifest:
    """A manifest as far as retention reads it; *at* is what the clock showed."""
    document = {
        "base": fields.get("base"),
        "previous": fields.get("previous"),
        "tree": {"entries": fields.get("entries", 0), "bytes": 1000 * fields.get("entries", 0)},
        "problems": {"unreadable": fields.get("unreadable", 0)},
        "companion": None if kind.startswith("db_") else {"size": 7},
        "engine": "mariadb",
        "server_id": 1,
        **fields.get("stream", {}),
    }
    return Manifest(
        document=document,
        artifact=f"{PREFIXES[kind]}-{number:04d}-{sequence}{ENDINGS[kind]}",
        branch="branch-001",
        kind=kind,
        sequence=sequence,
        epoch=epoch,
        created_at=moment(at),
        run_id=str(uuid.UUID(int=number)),
        size=fields.get("size", 100),
        sha256="0" * 64,
        plain_size=fields.get("plain_size", 1000),
        plain_sha256="0" * 64,
        compression="zstd",
        encrypted=False,
        set_number=number,
        adopted_moment=None,
    )


class Stream:
    """The binary log of one life of a server: its files are numbered, its transactions counted."""

    def __init__(self) -> None:
        self.file = 1
        self.position = 4
        self.transactions = 0
        self.before = 0
        self.unsealed = 1
        self.sealed = 0
        self.last = ""

    def sell(self, transactions: int) -> None:
        self.transactions += transactions
        self.position += 100 * transactions

    def rotate(self) -> None:
        """A restart of the server does no more."""
        self.file += 1
        self.position = 4
        self.before = self.transactions

    def begin(self, full: str) -> None:
        """The first full: what is sealed begins with the file that its position lies in."""
        self.unsealed, self.sealed, self.last = self.file, self.before, full

    def where(self, at: float) -> dict[str, Any]:
        return _place(self.file, self.position, self.transactions, at)

    def describe_full(self, at: float) -> dict[str, Any]:
        return {"start": self.where(at), "end": self.where(at)}

    def flush(self, at: float) -> dict[str, Any] | None:
        """What an increment that closes the current file holds; None when there is nothing new."""
        if not self.last or self.transactions == self.sealed:
            return None
        numbers = range(self.unsealed, self.file + 1)
        # An older file has its own size, which nobody compares.
        sizes = {number: self.position if number == self.file else 10**9 for number in numbers}
        found = {
            "start": _place(self.unsealed, 4, self.sealed, at),
            "end": self.where(at),
            "files": [
                {"name": _log(n), "size": sizes[n], "sha256": "1" * 64, "identity": "2" * 64, "end": "rotate"}
                for n in numbers
            ],
            "transactions": self.transactions - self.sealed,
        }
        self.rotate()
        self.unsealed, self.sealed = self.file, self.transactions
        return found


def _log(number: int) -> str:
    return f"mysql-bin.{number:06d}"


def _place(file: int, position: int, transactions: int, at: float) -> dict[str, Any]:
    time = moment(at).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"file": _log(file), "position": position, "gtid": f"0-1-{transactions}" * bool(transactions), "time": time}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: how long after the last one, what it made, and what happened to the shop before it.

    ``beside``: a log run that works while the database of this one is dumped. It has sealed what it had to before the
    dump's moment (``late``: it publishes after the dump all the same), or after that moment (``early``: it publishes
    before the dump).
    """

    wait: float
    kind: str
    offset: int = 0
    rows: int = 100
    entries: int = 100
    epoch: int = 0
    missing: frozenset[str] = frozenset()
    unreadable: bool = False
    corrupt: frozenset[str] = frozenset()
    sales: int = 5
    restarted: bool = False
    beside: str = ""


MISFORTUNES = st.sampled_from((frozenset[str](),) * 20 + tuple(frozenset([kind]) for kind in KINDS))
RUNS = st.builds(
    Run,
    wait=st.sampled_from((24, 24, 0.5, 6, 24, 30, 47, 47, 49, 300)),
    kind=st.sampled_from(("full", "full", "dump", "increment", "increment", "log", "log", "uploads")),
    offset=st.sampled_from(OFFSETS),
    rows=st.sampled_from((100,) * 9 + (110, 61, 60, 50, 10)),
    entries=st.sampled_from((100,) * 9 + (120, 61, 60, 40)),
    epoch=st.sampled_from((0,) * 11 + (1,)),
    missing=MISFORTUNES,
    unreadable=st.sampled_from((False,) * 15 + (True,)),
    corrupt=MISFORTUNES,
    sales=st.sampled_from((5, 5, 5, 0)),
    restarted=st.sampled_from((False,) * 5 + (True,)),
    beside=st.sampled_from(("", "", "early", "late")),
)
MADE = {
    "full": ("db_full", "files_full", "config"),
    "dump": ("db_full", "files_increment"),
    "increment": ("db_increment", "files_increment", "config"),
    "log": ("db_increment", "files_increment"),
    "uploads": ("files_full",),
}


@dataclasses.dataclass
class World:
    """A place after some runs. ``honest`` knows when each artifact was really made."""

    artifacts: list[Manifest] = dataclasses.field(default_factory=list)
    corrupt: set[str] = dataclasses.field(default_factory=set)
    honest: dict[str, float] = dataclasses.field(default_factory=dict)
    clock: float = 0.0
    offset: int = 0
    number: int = 0
    epoch: int = 0
    aged: dict[tuple[str, str], dt.timedelta] = dataclasses.field(default_factory=dict)
    missing: set[tuple[int, str]] = dataclasses.field(default_factory=set)
    stream: Stream = dataclasses.field(default_factory=Stream)

    @property
    def now(self) -> dt.datetime:
        return moment(self.clock + self.offset)

    def run(self, run: Run) -> None:
        """Let one run happen; what is missing of it is lost after the next one."""
        lost = self.missing
        self.clock += run.wait
        self.offset = run.offset
        if run.epoch and self.epoch + 1 < len(EPOCHS):
            self.epoch += 1
            self.stream = Stream()
        if run.restarted:
            self.stream.rotate()
        self.stream.sell(run.sales)
        early = late = snapshot = None
        base = self._last("db_full")
        at = self.clock + self.offset
        if "db_full" in MADE[run.kind]:
            late = self.stream.flush(at) if run.beside == "late" else None
            self.stream.sell(run.sales)
            snapshot = self.stream.describe_full(at)
            self.stream.sell(run.sales)
            early = self.stream.flush(at) if run.beside == "early" else None
        self._log_run(run, early, base)
        self.number += 1
        self.missing = {(self.number, kind) for kind in run.missing}
        for kind in MADE[run.kind]:
            self._make(kind, run, snapshot)
        self._log_run(run, late, base)
        self.artifacts = [each for each in self.artifacts if (each.set_number, each.kind) not in lost]

    def _log_run(self, run: Run, sealed: dict[str, Any] | None, base: Manifest | None) -> None:
        if sealed is not None:
            self.number += 1
            self._put("db_increment", run, stream=sealed, base=base and base.artifact)

    def _make(self, kind: str, run: Run, snapshot: dict[str, Any] | None) -> None:
        if kind == "db_full":
            made = self._put(kind, run, stream=snapshot, plain_size=run.rows * 10)
            if not self.stream.last:
                self.stream.begin(made)
        elif kind == "db_increment":
            sealed = self.stream.flush(self.clock + self.offset)
            if sealed is not None:
                base = self._last("db_full")
                self._put(kind, run, stream=sealed, plain_size=1, base=base and base.artifact)
        elif kind == "files_increment":
            last = self._last("files_")
            if last is not None:
                chain = {"base": last.document["base"] or last.artifact, "previous": last.artifact}
                self._put(kind, run, unreadable=int(run.unreadable), **chain)
        else:
            self._put(kind, run, unreadable=int(run.unreadable))

    def _put(self, kind: str, run: Run, **fields: Any) -> str:
        if kind == "db_increment":
            fields["previous"] = self.stream.last
        made = manifest(
            kind,
            number=self.number,
            sequence=self.number,
            at=self.clock + self.offset,
            epoch=EPOCHS[self.epoch],
            entries=run.entries,
            **fields,
        )
        self.artifacts.append(made)
        self.honest[made.artifact] = self.clock
        if kind in run.corrupt:
            self.corrupt.add(made.artifact)
        if kind == "db_increment":
            self.stream.last = made.artifact
        return made.artifact

    def _last(self, kinds: str) -> Manifest | None:
        found = [each for each in self.artifacts if each.kind.startswith(kinds)]
        return max(found, key=lambda each: (each.set_number, each.kind), default=None)

    def defect(self, each: BackupSet) -> str:
        return "; ".join(f"{member.artifact} is corrupt" for member in each.members if member.artifact in self.corrupt)

    def remove(self, names: set[str]) -> None:
        self.artifacts = [each for each in self.artifacts if each.artifact not in names]


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What people and other programs said, as shares of the sets and artifacts that are there."""

    keep_days: int
    pinned: frozenset[int]
    acknowledged: frozenset[int]
    opened: frozenset[int]
    leased: frozenset[int]
    central: frozenset[int] | None
    hold: bool
    excess: int

    def facts(self, world: World, **changes: Any) -> Facts:
        def names(numbers: frozenset[int]) -> frozenset[str]:
            return frozenset(each.artifact for each in world.artifacts if each.set_number in numbers)

        facts = Facts(
            now=world.now,
            keep_days=self.keep_days,
            hold="stocktaking" if self.hold else None,
            pinned=self.pinned,
            acknowledged=self.acknowledged,
            leased=names(self.leased),
            opened=names(self.opened),
            at_central=None if self.central is None else names(self.central),
            excess=self.excess,
            aged=world.aged,
        )
        return dataclasses.replace(facts, **changes)


_FEW = st.frozensets(st.integers(1, 20), max_size=2)
WISHES = st.builds(
    Wishes,
    keep_days=st.sampled_from((1, 1, 2, 3)),
    pinned=_FEW,
    acknowledged=_FEW,
    opened=st.one_of(
        st.just(frozenset[int]()), st.just(frozenset[int]()), st.frozensets(st.integers(1, 16), max_size=12)
    ),
    leased=st.one_of(st.just(frozenset[int]()), st.just(frozenset[int]()), _FEW),
    central=st.one_of(st.none(), st.none(), st.frozensets(st.integers(1, 16), min_size=4)),
    hold=st.sampled_from((False,) * 19 + (True,)),
    excess=st.sampled_from((-1, 0, 1, 150, 400, 10_000)),
)

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
KINDS = ("db_full", "files_full", "files_increment", "config")
ENDINGS = {"db_full": ".sql.gz", "files_full": ".tar.zst", "files_increment": ".incr.tar.zst", "config": ".tar.zst"}
PREFIXES = {"db_full": "db", "files_full": "public-uploads", "files_increment": "public-uploads", "config": "config"}
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
        "companion": None if kind == "db_full" else {"size": 7},
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


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: how long after the last one, what it made, and what happened to the shop before it."""

    wait: float
    kind: str
    offset: int = 0
    rows: int = 100
    entries: int = 100
    epoch: int = 0
    missing: frozenset[str] = frozenset()
    unreadable: bool = False
    corrupt: frozenset[str] = frozenset()


MISFORTUNES = st.sampled_from((frozenset[str](),) * 16 + tuple(frozenset([kind]) for kind in KINDS))
RUNS = st.builds(
    Run,
    wait=st.sampled_from((24, 24, 0.5, 6, 24, 30, 47, 47, 49, 300)),
    kind=st.sampled_from(("full", "full", "increment", "increment", "log")),
    offset=st.sampled_from(OFFSETS),
    rows=st.sampled_from((100,) * 9 + (110, 61, 60, 50, 10)),
    entries=st.sampled_from((100,) * 9 + (120, 61, 60, 40)),
    epoch=st.sampled_from((0,) * 11 + (1,)),
    missing=MISFORTUNES,
    unreadable=st.sampled_from((False,) * 15 + (True,)),
    corrupt=MISFORTUNES,
)


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

    @property
    def now(self) -> dt.datetime:
        return moment(self.clock + self.offset)

    def run(self, run: Run) -> None:
        """Let one run happen; what is missing of it is lost after the next one."""
        lost = self.missing
        self.missing = {(self.number + 1, kind) for kind in run.missing}
        self.clock += run.wait
        self.offset = run.offset
        self.number += 1
        self.epoch = min(self.epoch + run.epoch, len(EPOCHS) - 1)
        kinds = {"full": ("db_full", "files_full", "config"), "increment": ("db_full", "files_increment")}
        for kind in kinds.get(run.kind, ("files_increment",)):
            last = self._last_uploads()
            if kind == "files_increment" and last is None:
                continue
            chain = {}
            if kind == "files_increment" and last is not None:
                chain = {"base": last.document["base"] or last.artifact, "previous": last.artifact}
            made = manifest(
                kind,
                number=self.number,
                sequence=self.number,
                at=self.clock + self.offset,
                epoch=EPOCHS[self.epoch],
                plain_size=run.rows * 10,
                entries=run.entries,
                unreadable=int(run.unreadable and kind != "db_full"),
                **chain,
            )
            self.artifacts.append(made)
            self.honest[made.artifact] = self.clock
            if kind in run.corrupt:
                self.corrupt.add(made.artifact)
        self.artifacts = [each for each in self.artifacts if (each.set_number, each.kind) not in lost]

    def _last_uploads(self) -> Manifest | None:
        uploads = [each for each in self.artifacts if each.kind.startswith("files_")]
        return max(uploads, key=lambda each: (each.set_number, each.kind), default=None)

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


_FEW = st.frozensets(st.integers(1, 16), max_size=2)
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

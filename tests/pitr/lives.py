# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives of a branch for the tests of the chain: what its server wrote, what was sealed of it, and what befell both.

The model knows what no manifest tells: which transactions are in which file, and which file came after which. Time is
in minutes.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import hashlib
import itertools
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HEADER, EVENT, TRAILER = 256, 100, 44


@dataclasses.dataclass(frozen=True)
class LogFile:
    """One binary log file as it lay there at some moment; ``after`` is the one that it truly continues."""

    uid: int
    number: int
    before: str
    after: tuple[int, tuple[int, ...]] | None
    transactions: tuple[int, ...] = ()
    gtid: str = ""
    end: str = ""

    @property
    def name(self) -> str:
        return f"mysql-bin.{self.number:06d}"

    @property
    def content(self) -> tuple[int, tuple[int, ...]]:
        return (self.uid, self.transactions)

    @property
    def size(self) -> int:
        return HEADER + EVENT * len(self.transactions) + TRAILER

    @property
    def sha256(self) -> str:
        return hashlib.sha256(repr((self.content, self.end == "crash")).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class FullTruth:
    """What a full really holds, and the file in which its snapshot stands, as far as it was written then."""

    transactions: tuple[int, ...]
    file: LogFile


@dataclasses.dataclass
class Branch:
    """The server, and what the branch remembers of its own backups; all of it goes back with its host."""

    server_id: int = 1
    counter: int = 0
    gtids: bool = True
    gtid: str = ""
    data: tuple[int, ...] = ()
    files: list[LogFile] = dataclasses.field(default_factory=list)
    fulls: list[str] = dataclasses.field(default_factory=list)
    increments: list[str] = dataclasses.field(default_factory=list)
    given: dict[str, int] = dataclasses.field(default_factory=lambda: {"db_full": 0, "db_increment": 0})
    dumping: list[tuple[FullTruth, float, int]] = dataclasses.field(default_factory=list)
    demanded: str | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that happens, ``count`` of it."""

    what: str
    count: int = 1


@dataclasses.dataclass
class Life:
    """``place`` is another place than the branch, which received all and keeps it when the branch goes back in time.

    ``went_back``: the branch did, and the place may hold two lives of it under one epoch.
    """

    gtids: bool = True
    sneaky: bool = True
    branch: Branch = dataclasses.field(default_factory=Branch)
    place: dict[str, Manifest] = dataclasses.field(default_factory=dict)
    fulls: dict[str, FullTruth] = dataclasses.field(default_factory=dict)
    increments: dict[str, tuple[LogFile, ...]] = dataclasses.field(default_factory=dict)
    clock: float = 0
    jumped: bool = False
    went_back: bool = False
    forgot: bool = False
    saved: Branch | None = None
    unique: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.branch.gtids = self.gtids
        self._open(number=1, after=None)

    def live(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.clock += 5
            self._publish(minimum=1)
            getattr(self, f"_{step.what}")(step.count)
        if self.went_back:
            # The night after at the latest, a full is taken.
            self._full(1)
        self._publish(minimum=0)

    # What the server does.

    def _open(self, *, number: int, after: LogFile | None) -> None:
        content = after.content if after is not None else None
        gtid = self.branch.gtid
        self.branch.files.append(LogFile(next(self.unique), number, gtid, content, gtid=gtid))

    def _close(self, end: str) -> LogFile:
        last = dataclasses.replace(self.branch.files[-1], end=end)
        self.branch.files[-1] = last
        return last

    def _next_file(self, end: str) -> None:
        last = self._close(end)
        self._open(number=last.number + 1, after=last)

    def _write(self, count: int) -> None:
        for _sale in range(count):
            self.branch.counter += 1
            if self.branch.gtids:
                self.branch.gtid = f"0-{self.branch.server_id}-{self.branch.counter}"
            transaction = next(self.unique)
            self.branch.data += (transaction,)
            last = self.branch.files[-1]
            self.branch.files[-1] = dataclasses.replace(
                last, transactions=(*last.transactions, transaction), gtid=self.branch.gtid
            )

    def _restart(self, count: int) -> None:
        self._stop_dump()
        for _time in range(count):
            self._next_file("stop")

    def _crash(self, _count: int) -> None:
        self._stop_dump()
        self._next_file("crash")

    def _stop_dump(self) -> None:
        """A dump does not outlive its server."""
        self.branch.dumping.clear()

    def _purge(self, count: int) -> None:
        del self.branch.files[: min(count, len(self.branch.files) - 1)]

    def _reset(self, _count: int) -> None:
        """RESET MASTER: the data stays, names and GTIDs begin again."""
        self._begin_again()
        self._unless_sneaky()

    def _rebuild(self, count: int) -> None:
        """A new server, empty or with some of the data; an even *count* keeps the server_id."""
        self.branch.data = self.branch.data[: count * 3]
        self.branch.server_id += count % 2
        self._stop_dump()
        self._begin_again()
        self._unless_sneaky()

    def _begin_again(self) -> None:
        self.branch.files.clear()
        self.branch.counter, self.branch.gtid = 0, ""
        self._open(number=1, after=None)

    def _save(self, _count: int) -> None:
        self.saved = copy.deepcopy(self.branch)

    def _roll_back_server(self, _count: int) -> None:
        """The data directory alone is put back to what it was."""
        if self.saved is None:
            return
        # With a server that goes back, what was forgotten will be sealed a second time, with other contents.
        self.went_back |= self.forgot
        saved = copy.deepcopy(self.saved)
        for field in ("server_id", "counter", "gtid", "data", "files"):
            setattr(self.branch, field, getattr(saved, field))
        self._crash(1)
        self._unless_sneaky()

    def _roll_back_host(self, _count: int) -> None:
        """The whole machine is put back, with what it remembers of its backups."""
        if self.saved is None:
            return
        self.branch = copy.deepcopy(self.saved)
        self.went_back = True
        self._crash(1)

    def _jump(self, count: int) -> None:
        if not self.sneaky:
            self.jumped = True
            self.clock += (600, -400, 90, -50)[count % 4]

    # What is backed up.

    def _unless_sneaky(self) -> None:
        """Where the clock jumps, a sealing comes before the next full: a full alone would not notice."""
        if not self.sneaky:
            self._seal(1)

    def _full(self, _count: int) -> None:
        self._slow_full(0)

    def _slow_full(self, count: int) -> None:
        """Its snapshot is taken now, its manifest written *count* steps later; one at a time."""
        if self.branch.dumping:
            return
        self.branch.dumping.append((FullTruth(self.branch.data, self.branch.files[-1]), self.clock, count))
        self._publish(minimum=0)

    def _failed_full(self, _count: int) -> None:
        """Nothing is published."""

    def _publish(self, *, minimum: int) -> None:
        waiting = [(truth, at, left - minimum) for truth, at, left in self.branch.dumping]
        self.branch.dumping = [each for each in waiting if each[2] > 0]
        for truth, at, _left in (each for each in waiting if each[2] <= 0):
            self._publish_full(truth, at)

    def _publish_full(self, truth: FullTruth, at: float) -> None:
        branch = self.branch
        previous = self.place[branch.fulls[-1]] if branch.fulls else None
        position = HEADER + EVENT * len(truth.file.transactions)
        reason = branch.demanded
        if previous is None:
            reason = "first full"
        elif previous.document["server_id"] != branch.server_id:
            reason = "another server"
        elif (truth.file.name, position) < (previous.position["file"], previous.position["position"]):
            reason = "the binary log went back"
        elif not self._sealed(previous.epoch) and self._unsealed_since(previous.artifact) is None:
            # Two fulls with nothing sealed between them: no manifest tells, but the server does.
            reason = "the binary log was reset"
        branch.demanded = None
        stands = {"file": truth.file.name, "position": position, "gtid": truth.file.gtid, "time": "-"}
        name = self._name(".sql.gz")
        epoch = previous.epoch if previous is not None and reason is None else str(uuid.UUID(int=next(self.unique)))
        self._put(name, "db_full", at, epoch, {"start": stands, "end": stands, "epoch_reason": reason})
        branch.fulls.append(name)
        self.fulls[name] = truth

    def _seal(self, count: int) -> None:
        """Seal up to *count* closed files into one increment; or demand a full and a new epoch, as the design says."""
        branch = self.branch
        if branch.demanded is not None or not branch.fulls:
            self._full(1)
            return
        if branch.files[-1].transactions:
            self._next_file("rotate")
        base = self.place[branch.fulls[-1]]
        own = self._sealed(base.epoch)
        found = self._unsealed(own[-1]) if own else self._unsealed_since(base.artifact)
        if found is None or not self._stands(base.artifact):
            branch.demanded = "a gap"
            return
        closed = tuple(each for each in found if each.end)[:count]
        if closed:
            self._publish_increment(closed, base, previous=own[-1] if own else base.artifact)

    def _sealed(self, epoch: str) -> list[str]:
        return [name for name in self.branch.increments if self.place[name].epoch == epoch]

    def _unsealed(self, last: str) -> list[LogFile] | None:
        """What comes after the increment *last*; None when the server's files do not go on from there."""
        sealed = self.increments[last][-1]
        for index, each in enumerate(self.branch.files):
            if each == sealed:
                return self.branch.files[index + 1 :]
            if each.after == sealed.content and index == 0:
                return self.branch.files
        return None

    def _stands(self, full: str) -> bool:
        """Whether the server wrote the file in which *full* stands in this life."""
        stood = self.fulls[full].file.uid
        sealed = (each for name in self.branch.increments for each in self.increments[name])
        return any(each.uid == stood for each in (*sealed, *self.branch.files))

    def _unsealed_since(self, full: str) -> list[LogFile] | None:
        stood = self.fulls[full].file
        for index, each in enumerate(self.branch.files):
            if each.uid == stood.uid and each.transactions[: len(stood.transactions)] == stood.transactions:
                return self.branch.files[index:]
        return None

    def _publish_increment(self, files: tuple[LogFile, ...], base: Manifest, *, previous: str) -> None:
        name = self._name(".binlog.zst")
        described = [
            {
                "name": each.name,
                "size": each.size,
                "sha256": each.sha256,
                "identity": f"{each.uid:064x}",
                "end": each.end,
            }
            for each in files
        ]
        document = {
            "base": base.artifact,
            "previous": previous,
            "start": {"file": files[0].name, "position": 4, "gtid": files[0].before, "time": "-"},
            "end": {"file": files[-1].name, "position": files[-1].size, "gtid": files[-1].gtid, "time": "-"},
            "files": described,
        }
        self._put(name, "db_increment", self.clock, base.epoch, document)
        self.branch.increments.append(name)
        self.increments[name] = files

    def _name(self, ending: str) -> str:
        """Names tell no order of time here: the clock may jump."""
        return f"db-{BEGIN + dt.timedelta(minutes=next(self.unique)):%Y%m%d-%H%M}{ending}"

    def _put(self, name: str, kind: str, at: float, epoch: str, document: dict[str, Any]) -> None:
        self.branch.given[kind] += 1
        self.place[name] = Manifest(
            document={
                "engine": "mariadb",
                "server_id": self.branch.server_id,
                "base": None,
                "previous": None,
                **document,
            },
            artifact=name,
            branch="branch-001",
            kind=kind,
            sequence=self.branch.given[kind],
            epoch=epoch,
            created_at=BEGIN + dt.timedelta(minutes=at),
            run_id=str(uuid.UUID(int=1)),
            size=1,
            sha256="0" * 64,
            plain_size=1,
            plain_sha256="0" * 64,
            compression="zstd",
            encrypted=False,
            set_number=1,
            adopted_moment=None,
        )

    def _sell(self, count: int) -> None:
        """What an ordinary quarter of an hour looks like."""
        self._write(count)
        self._seal(4)

    def _forget(self, count: int) -> None:
        """The branch loses its newest increments, and seals again what the server still has."""
        if self.saved is None:
            self.forgot = True
            del self.branch.increments[-count:]

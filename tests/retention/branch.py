# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch's place with real files, manifests and signatures, filled by runs at times of the test's choosing."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _clock, _names, _prune, _sequence, _verify
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import (
    BRANCH,
    EPOCH,
    Place,
    log_files,
)

BEGIN = dt.datetime(2026, 3, 2, 23, 15, tzinfo=dt.UTC)
ENDINGS = {
    "db_full": ("db", ".sql.gz"),
    "db_increment": ("db", ".binlog.zst.age"),
    "files_full": ("public-uploads", ".tar.zst"),
    "files_increment": ("public-uploads", ".incr.tar.zst"),
    "config": ("config", ".tar.zst"),
}
RUNS = {
    "full": ("db_full", "files_full", "config"),
    "increment": ("db_full", "files_increment"),
    "log": ("db_increment", "files_increment"),
    "seal": ("db_increment",),
}
PARTS = ("", ".manifest.json", ".manifest.json.sig", ".index.zst", ".verified.json")


class Branch:
    """``now`` is what the clock of the branch shows."""

    def __init__(self, root: Path, keys: Path, *, code: str = BRANCH, directory: Path | None = None) -> None:
        self.code = code
        self.place = Place(directory or root / "local", keys)
        self.encrypted = False
        self.state = root / "state"
        self.now = BEGIN
        self.set = 0
        self.sequences: dict[str, int] = {}
        self.chain: list[str] = []
        # The binary log file that is written to, and what was sealed, after the full that it began with.
        self.log = 1
        self.stream: list[str] = []
        self.base = ""

    def copy(self, root: Path) -> Branch:
        shutil.copytree(self.directory, root / "local")
        shutil.copytree(self.state, root / "state")
        other = copy.copy(self)
        other.place = Place(root / "local", self.place.keys)
        other.state = root / "state"
        other.sequences, other.chain, other.stream = dict(self.sequences), list(self.chain), list(self.stream)
        return other

    @property
    def directory(self) -> Path:
        return self.place.directory

    def pass_hours(self, hours: float) -> None:
        self.now += dt.timedelta(hours=hours)

    def run(
        self,
        kind: str = "full",
        *,
        entries: int = 100,
        rows: int = 1000,
        epoch: str = EPOCH,
        checksums: bool = True,
        **extra: Any,
    ) -> int:
        """One run's artifacts; return the number of its set."""
        self.set += 1
        for each in RUNS[kind]:
            self._put(each, epoch=epoch, entries=entries, rows=rows, extra=extra)
        if checksums:
            self.write_checksums()
        return self.set

    def full_beside_a_log_run(self, *, late: bool) -> int:
        """A full, and a log run that works meanwhile: it has an older number than the full, or, when *late*, a newer
        one, although it sealed what came before the full's moment.
        """
        at = self.log
        if late:
            self.log += 1
            number = self.run()
            self._seal_again(at)
        else:
            self.set += 1
            number = self.set + 1
            self._put("db_increment", epoch=EPOCH, entries=0, rows=0, extra={})
            self.run(**self._stands(at))
        self.write_checksums()
        return number

    def _seal_again(self, file: int) -> None:
        self.set += 1
        log, self.log = self.log, file
        self._put("db_increment", epoch=EPOCH, entries=0, rows=0, extra={})
        self.log = log

    def _stands(self, file: int) -> dict[str, Any]:
        """Where a full stands that is taken now."""
        time = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        name = f"mysql-bin.{file:06d}"
        where = {"file": name, "position": 100, "gtid": f"1-1-{file - 1}" if file > 1 else "", "time": time}
        return {"start": where, "end": where}

    def days(self, number: int, **run: Any) -> list[int]:
        """A full a day; a day has passed after the last one."""
        numbers = []
        for _day in range(number):
            numbers.append(self.run(**run))
            self.pass_hours(24)
        return numbers

    def write_checksums(self) -> None:
        _catalog.write_checksums(_catalog.read_catalogue(str(self.directory)))

    def _put(self, kind: str, *, epoch: str, entries: int, rows: int, extra: dict[str, Any]) -> None:
        prefix, ending = ENDINGS[kind]
        name = f"{prefix}-{self.now:%Y%m%d-%H%M}{ending.removesuffix('.age')}"
        name += ".age" if self.encrypted or ending.endswith(".age") else ""
        number = self.sequences[kind] = self.sequences.get(kind, 0) + 1
        fields: dict[str, Any] = {"set": self.set, "epoch": epoch, "run_id": str(uuid.UUID(int=self.set)), **extra}
        if kind == "db_full":
            fields = {**self._stands(self.log), "plain_size": rows, **fields}
            self.base = name
            self.stream = self.stream or [name]
        elif kind == "db_increment":
            sealed = log_files(self.log, self.log, before=self.log - 1, after=self.log)
            fields |= {**sealed, "base": self.base, "previous": self.stream[-1]}
            self.stream.append(name)
            self.log += 1
        else:
            index = f"index of {name}".encode()
            digest = hashlib.sha256(index).hexdigest()
            fields["companion"] = {"size": len(index), "sha256": digest, "plain_size": 1, "plain_sha256": "1" * 64}
            fields["tree"] = {"entries": entries, "bytes": 1000 * entries}
            (self.directory / _names.companion_name(name)).write_bytes(index)
        if kind == "files_increment":
            fields |= {"base": self.chain[0], "previous": self.chain[-1]}
            self.chain.append(name)
        elif kind == "files_full":
            self.chain = [name]
        stored = f"stored {name} ".encode() * 100
        self.place.put(name, sequence=number, stored=stored, signer=self.code, branch=self.code, **fields)
        _sequence.remember(str(self.state), branch=self.code, kind=kind, number=number)

    def request(self, **changes: Any) -> _prune.PruneRequest:
        options = {
            "branch": self.code,
            "directory": str(self.directory),
            "allowed_signers": self.place.allowed_signers,
            "state_path": str(self.state),
            "run_id": str(uuid.uuid4()),
            **changes,
        }
        return _prune.PruneRequest(**options)

    def prune(self, *, check_mode: bool = False, **changes: Any) -> _prune.PruneOutcome:
        known = _clock.now
        _clock.now = lambda: self.now
        try:
            return _prune.prune_place(self.request(**changes), check_mode=check_mode)
        finally:
            _clock.now = known

    def verify(self) -> list[str]:
        """What verification finds wrong."""
        return [f"{each.artifact}: {each.reason}" for each in self.outcome().failures if each.level == "intact"]

    def outcome(self) -> _verify.VerifyOutcome:
        return _verify.verify_place(
            _verify.VerifyRequest(
                branch=self.code,
                directory=str(self.directory),
                allowed_signers=self.place.allowed_signers,
                state_path=str(self.state),
                run_id=str(uuid.uuid4()),
            ),
            check_mode=True,
        )

    def sets(self) -> list[int]:
        """The numbers of the sets of which something is there."""
        entries = _catalog.read_catalogue(str(self.directory)).entries
        return sorted({entry.manifest.set_number for entry in entries if entry.manifest.branch == self.code})

    def names(self, number: int) -> list[str]:
        entries = _catalog.read_catalogue(str(self.directory)).entries
        return [entry.name for entry in entries if entry.manifest.set_number == number]

    def name(self, number: int, kind: str) -> str:
        (found,) = [name for name in self.names(number) if _names.parse_name(name).kind == kind]  # type: ignore[union-attr]
        return found

    def damage(self, number: int, kind: str = "db_full") -> None:
        """Flip one byte."""
        path = self.directory / self.name(number, kind)
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)

    def open(self, *numbers: int) -> None:
        """What a verification with the restorer's identity leaves."""
        for entry in _catalog.read_catalogue(str(self.directory)).entries:
            if entry.manifest.set_number in numbers:
                document = {"sha256": entry.manifest.sha256, "levels": {"opened": {"status": "OK"}}}
                Path(f"{entry.path}.verified.json").write_text(json.dumps(document))

    def ledger(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.directory / "retention.json").read_text())
        return document

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything below the branch's directories: mode, time of change, content."""
        found = {}
        for top in (self.directory, self.state):
            for path in sorted(top.rglob("*")):
                status = os.lstat(path)
                found[str(path)] = (status.st_mode, status.st_mtime_ns, b"" if path.is_dir() else path.read_bytes())
        return found


def deleted(outcome: _prune.PruneOutcome) -> dict[int, int]:
    """By set that went, the set that replaces it."""
    return {each["set"]: each["replaced_by"] for each in outcome.facts()["deleted"]}


def kept(outcome: _prune.PruneOutcome) -> dict[int, str]:
    """By set that stays over age, the code of the reason."""
    return {each["set"]: each["code"] for each in outcome.facts()["kept_over_age"]}


def reason(outcome: _prune.PruneOutcome) -> str | None:
    return None if outcome.failure is None else outcome.failure.reason

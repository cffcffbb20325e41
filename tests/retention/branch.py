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
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, EPOCH, Place

BEGIN = dt.datetime(2026, 3, 2, 23, 15, tzinfo=dt.UTC)
ENDINGS = {
    "db_full": ("db", ".sql.gz"),
    "files_full": ("public-uploads", ".tar.zst"),
    "files_increment": ("public-uploads", ".incr.tar.zst"),
    "config": ("config", ".tar.zst"),
}
RUNS = {
    "full": ("db_full", "files_full", "config"),
    "increment": ("db_full", "files_increment"),
    "log": ("files_increment",),
}
PARTS = ("", ".manifest.json", ".manifest.json.sig", ".index.zst", ".verified.json")


class Branch:
    """``now`` is what the clock of the branch shows."""

    def __init__(self, root: Path, keys: Path) -> None:
        self.place = Place(root / "local", keys)
        self.state = root / "state"
        self.now = BEGIN
        self.set = 0
        self.sequences: dict[str, int] = {}
        self.chain: list[str] = []

    def copy(self, root: Path) -> Branch:
        shutil.copytree(self.directory, root / "local")
        shutil.copytree(self.state, root / "state")
        other = copy.copy(self)
        other.place = Place(root / "local", self.place.keys)
        other.state = root / "state"
        other.sequences, other.chain = dict(self.sequences), list(self.chain)
        return other

    @property
    def directory(self) -> Path:
        return self.place.directory

    def pass_hours(self, hours: float) -> None:
        self.now += dt.timedelta(hours=hours)

    def run(self, kind: str = "full", *, entries: int = 100, rows: int = 1000, epoch: str = EPOCH, **extra: Any) -> int:
        """One run's artifacts; return the number of its set."""
        self.set += 1
        for each in RUNS[kind]:
            self._put(each, epoch=epoch, entries=entries, rows=rows, extra=extra)
        self.write_checksums()
        return self.set

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
        name = f"{prefix}-{self.now:%Y%m%d-%H%M}{ending}"
        number = self.sequences[kind] = self.sequences.get(kind, 0) + 1
        fields: dict[str, Any] = {"set": self.set, "epoch": epoch, "run_id": str(uuid.UUID(int=self.set)), **extra}
        if kind == "db_full":
            fields["plain_size"] = rows
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
        self.place.put(name, sequence=number, stored=f"stored {name} ".encode() * 100, **fields)
        _sequence.remember(str(self.state), branch=BRANCH, kind=kind, number=number)

    def request(self, **changes: Any) -> _prune.PruneRequest:
        options = {
            "branch": BRANCH,
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
        outcome = _verify.verify_place(
            _verify.VerifyRequest(
                branch=BRANCH,
                directory=str(self.directory),
                allowed_signers=self.place.allowed_signers,
                state_path=str(self.state),
                run_id=str(uuid.uuid4()),
            ),
            check_mode=True,
        )
        return [f"{each.artifact}: {each.reason}" for each in outcome.failures if each.level == "intact"]

    def sets(self) -> list[int]:
        """The numbers of the sets of which something is there."""
        entries = _catalog.read_catalogue(str(self.directory)).entries
        return sorted({entry.manifest.set_number for entry in entries if entry.manifest.branch == BRANCH})

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

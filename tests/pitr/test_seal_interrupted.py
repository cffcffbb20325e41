# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealing that is killed, and one whose disk is full: nothing half-made is left, and the next run seals all of it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.estate import sql
from tests.pitr.seal_once import COMMITTED, FETCHED, FLUSHED, PACKING, PLACED, POINTS
from tests.pitr.sealing import SealingBranch, lines, picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer
    from tests.database.estate import Keys

PAGE = 4096
READERS = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'larapee-binlog'"


@pytest.fixture
def branch(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=source, target=target, keys=keys, root=tmp_path)


def kill_at(branch: SealingBranch, point: str) -> None:
    settings = branch.root / "request.json"
    settings.write_text(json.dumps(dataclasses.asdict(branch.request())), encoding="utf-8")
    argv = [sys.executable, "-m", "tests.pitr.seal_once", point, str(settings)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", POINTS)
def test_killed(branch: SealingBranch, point: str) -> None:
    full = branch.full()
    branch.sell()
    first = branch.increment()
    # Of no increment itself, so that they do not look the same.
    sql(branch.source, "FLUSH BINARY LOGS; INSERT INTO larapos.orders (slip) VALUES (REPEAT('x', 400000))")
    before = branch.files_but_notes()
    kill_at(branch, point)
    left = branch.files_but_notes() - before
    manifests = [name for name in left if name.endswith(".manifest.json") and not name.startswith(".")]
    assert len(manifests) == (point == COMMITTED)
    assert bool(left) == (point in (PACKING, PLACED, COMMITTED))
    # What the sealing left in clear lies where only its account looks, until the next run.
    assert any("mysql-bin" in name for name in branch.left_over()) == (point != FLUSHED)
    assert oct(os.stat(branch.state / "spool" / "branch-001").st_mode)[-3:] == "700"
    branch.sell()
    outcome = branch.seal()
    made = outcome.manifest
    assert made is not None
    told = [each for each in outcome.warnings if "Removed what an interrupted run left" in each]
    assert bool(told) == (point in (PACKING, PLACED))
    assert branch.left_over() == []
    assert not any(name.startswith(".") for name in branch.files())
    assert int(lines(branch.source, READERS)[0]) == 0
    outcome_of_all = branch.verify(identity=branch.keys.identity)
    assert outcome_of_all.failures == []
    chain = [entry.manifest for entry in outcome_of_all.verified if entry.manifest.kind == "db_increment"]
    chain.sort(key=lambda each: each.sequence)
    assert len(chain) == (3 if point == COMMITTED else 2)
    assert [each.document["previous"] for each in chain] == [full.artifact, *(each.artifact for each in chain[:-1])]
    assert (chain[0].artifact, chain[-1].artifact) == (first.artifact, made.artifact)
    branch.replay(branch.target, full, chain)
    assert picture(branch.target) == picture(branch.source)
    assert branch.seal().unchanged


def test_an_interruption_removes_the_spool_at_once(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _seal_pack

    branch.full()
    branch.sell()
    seen: list[str] = []

    def interrupted(*_any: object) -> None:
        seen.extend(branch.left_over())
        raise BackupError("Failed to finish: interrupted (signal 15).", reason="interrupted")

    monkeypatch.setattr(_seal_pack, "_pass", interrupted)
    before = branch.files()
    with pytest.raises(BackupError, match="interrupted"):
        branch.seal()
    assert seen
    assert branch.left_over() == []
    assert branch.files() == before


@pytest.fixture
def small_place(branch: SealingBranch) -> Iterator[SealingBranch]:
    branch.local.mkdir()
    with small_disk(branch.local):
        yield branch


class small_disk:  # noqa: N801 - used like the function that it would be
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        argv = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", str(self._path)]
        subprocess.run(argv, check=True)

    def __exit__(self, *_error: object) -> None:
        subprocess.run(["umount", str(self._path)], check=True)


def free_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def test_room_for_all_files_is_needed_before_any_is_read(small_place: SealingBranch) -> None:
    branch = small_place
    branch.full(reserve_bytes=0)
    sql(branch.source, "INSERT INTO larapos.orders (slip) VALUES (REPEAT('x', 600000))")
    before = branch.files()
    with pytest.raises(BackupError, match=r"Failed to seal \d+ bytes of binary log: \d+ bytes are free") as caught:
        branch.seal(reserve_bytes=0)
    assert caught.value.reason == "disk_full"
    assert (branch.files(), branch.left_over()) == (before, [])
    # The same place on a disk with room.
    larger = branch.root / "larger"
    subprocess.run(["cp", "--archive", str(branch.local), str(larger)], check=True)
    assert branch.increment(local_path=str(larger)).document["largest_event"] > 600_000


def test_at_every_amount_of_free_space_all_is_sealed_or_nothing(
    small_place: SealingBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._quota import Allowance

    branch = small_place
    branch.full(reserve_bytes=0)
    branch.sell()
    # Else the disk would never be as full as that: what is to come is known.
    monkeypatch.setattr(Allowance, "require", lambda _self, _expected, *, what: 1 << 40 if what else 0)
    filler = branch.local / "filler"
    outcomes, reasons = [], set()
    for pages in range(12):
        filler.unlink(missing_ok=True)
        filler.write_bytes(b"x" * (free_bytes(branch.local) - pages * PAGE))
        before = branch.files_but_notes()
        try:
            made = branch.seal(reserve_bytes=0).manifest
        except BackupError as exc:
            reasons.add(exc.reason)
            assert branch.files_but_notes() == before
            outcomes.append("nothing")
        else:
            assert made is not None
            branch.sell()
            outcomes.append("all")
        assert branch.left_over() == []
    filler.unlink()
    assert reasons <= {"disk_full", "publish_failed"}
    assert outcomes[0] == "nothing"
    assert outcomes[-1] == "all"
    branch.increment(reserve_bytes=0)
    assert branch.verify(identity=branch.keys.identity).failures == []


def test_the_disk_of_the_state_fills_while_logs_are_read(
    branch: SealingBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._quota import Allowance

    branch.full()
    sql(branch.source, "INSERT INTO larapos.orders (slip) VALUES (REPEAT('x', 900000))")
    spool = branch.state / "spool"
    spool.mkdir(mode=0o700)
    before = branch.files()
    with small_disk(spool):
        with pytest.raises(BackupError, match=r"Failed to seal \d+ bytes of binary log: \d+ bytes are free") as caught:
            branch.seal()
        assert caught.value.reason == "disk_full"
        with monkeypatch.context() as patch:
            patch.setattr(Allowance, "require", lambda _self, _expected, *, what: 1 << 40 if what else 0)
            with pytest.raises(BackupError, match=r"Failed to read the binary logs: .* bytes are free below") as caught:
                branch.seal()
        assert caught.value.reason == "disk_full"
        assert (branch.files(), branch.left_over()) == (before, [])
    assert branch.increment().document["largest_event"] > 900_000


def test_at_the_quota_the_backup_fails_and_not_the_shop(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    before = branch.files()
    with pytest.raises(BackupError, match="and its quota is") as caught:
        branch.seal(quota_bytes=1)
    assert caught.value.reason == "quota_reached"
    assert branch.files() == before
    branch.sell()


def test_the_points_are_in_the_order_of_a_sealing() -> None:
    assert POINTS == (FLUSHED, FETCHED, PACKING, PLACED, COMMITTED)

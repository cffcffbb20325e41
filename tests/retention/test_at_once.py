# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention that is killed half-way, and retention while somebody reads, verifies or makes a backup."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _ledger, _signature
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program
from tests.retention.branch import PARTS, Branch, deleted, kept

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
READ = """
from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _lease
entries = [each for each in _catalog.read_catalogue(sys.argv[1]).entries if each.name in sys.argv[2:]]
with _lease.hold(entries):
    say(str(len(entries)))
    wait()
    say(str(sum(len(open(each.path, "rb").read()) for each in entries)))
"""

READ_LATER = "wait()" + READ


def contents(branch: Branch) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in branch.directory.iterdir() if not path.name.startswith(".")}
    ledger = json.loads(found.pop("retention.json", b"{}"))
    return {**found, "pruned": json.dumps([ledger.get("pruned"), ledger.get("going")]).encode()}


def at(branch: Branch, directory: Path) -> Branch:
    other = Branch(directory, branch.place.keys)
    other.now = branch.now
    return other


@pytest.mark.timeout(300)
def test_killed_at_any_step_the_place_is_whole_and_the_next_run_goes_on(
    branch: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.run()
    branch.pass_hours(6)
    branch.run("seal")
    branch.pass_hours(6)
    branch.run("increment")
    branch.pass_hours(12)
    branch.run("seal")
    branch.pass_hours(12)
    branch.full_beside_a_log_run(late=False)
    branch.pass_hours(26)
    branch.full_beside_a_log_run(late=True)
    for path in branch.directory.glob("*.manifest.json"):
        path.with_name(path.name.replace(".manifest.json", ".verified.json")).write_text("{}")
    branch.copy(tmp_path / "root/whole")
    request = dataclasses.asdict(branch.request(keep_days=1))
    names = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/retention/killed.py"),
            str(tmp_path / "root"),
            str(branch.now),
            json.dumps(request),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collection")])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    *killed, last = [at(branch, tmp_path / "root" / name) for name in names]
    expected = contents(last)
    # Eleven artifacts, each with three files at least, beside the ledger.
    assert len(killed) > 11 * 3
    # Hundreds of them would take most of the time, and no crash changes a manifest.
    monkeypatch.setattr(_signature, "verify", lambda *_signed, **_by: None)
    for number, each in enumerate(killed, start=1):
        assert each.verify() == [], f"killed at {number}"
        each.prune(keep_days=1)
        assert contents(each) == expected, f"killed at {number}"


def test_what_an_interrupted_run_left_is_no_fault_and_stays_while_the_branch_is_on_hold(shop: Branch) -> None:
    name = shop.name(1, "db_full")
    ledger = _ledger.Ledger(branch="branch-001", going={name: _ledger.Going("db_full", 1, 1, 10)})
    _ledger.write_ledger(str(shop.directory), ledger)
    (shop.directory / f"{name}.manifest.json").unlink()
    shop.write_checksums()
    assert shop.verify() == []
    shop.prune(hold="somebody looks into it")
    assert (shop.directory / name).exists()
    assert shop.verify() == []
    shop.prune(release=True)
    assert not any((shop.directory / (name + part)).exists() for part in PARTS)
    assert shop.ledger()["pruned"]["db_full"] == [[1, 3]]


def test_an_artifact_that_is_just_being_made_under_an_old_name_is_left_alone(shop: Branch) -> None:
    name = "db-20260101-0000.sql.gz"
    ledger = _ledger.Ledger(branch="branch-001", going={name: _ledger.Going("db_full", 77, 1, 10)})
    _ledger.write_ledger(str(shop.directory), ledger)
    (shop.directory / name).write_bytes(b"a clock was set back")
    (shop.directory / f".{name}.intent").write_bytes(b"{}")
    shop.prune()
    assert (shop.directory / name).exists()


def test_what_is_being_read_stays_with_all_that_it_stands_on(branch: Branch) -> None:
    branch.run()
    branch.pass_hours(6)
    branch.run("increment")
    branch.pass_hours(18)
    branch.days(9)
    increment = branch.name(2, "files_increment")
    with Program(READ, str(branch.directory), increment) as reader:
        assert reader.hear() == "1"
        outcome = branch.prune()
        assert kept(outcome) == {1: "leased", 2: "leased"}
        assert deleted(outcome) == {3: 11, 4: 11}
        assert (branch.directory / branch.name(1, "files_full")).exists()
        reader.go_on()
        assert int(reader.hear()) == (branch.directory / increment).stat().st_size
    assert deleted(branch.prune()) == {1: 11, 2: 11}
    assert branch.verify() == []


@pytest.mark.parametrize("moment", ["decided", "removing"])
def test_who_begins_to_read_after_the_decision_keeps_it_all_the_same(
    branch: Branch, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    branch.run()
    branch.pass_hours(6)
    branch.run("increment")
    branch.pass_hours(18)
    branch.days(9)
    full = branch.name(1, "files_full")
    dumps = [branch.name(number, "db_full") for number in (1, 2)]
    reading: list[bool] = []
    with Program(READ_LATER, str(branch.directory), full) as reader:

        def read_now(*_any: object) -> None:
            if not reading:
                reading.append(True)
                reader.go_on()
                assert reader.hear() == "1"

        call = _ledger.write_ledger if moment == "decided" else os.unlink

        def hooked(*arguments: Any) -> None:
            call(*arguments)
            read_now()

        target = "write_ledger" if moment == "decided" else "unlink"
        monkeypatch.setattr(_ledger if moment == "decided" else os, target, hooked)
        outcome = branch.prune()
    assert reading
    assert kept(outcome)[1] == "leased"
    assert (branch.directory / full).exists()
    assert branch.verify() == []
    if moment == "decided":
        assert kept(outcome) == {1: "leased", 2: "leased"}
        assert deleted(outcome) == {3: 11, 4: 11}
        assert all((branch.directory / name).exists() for name in dumps)
    monkeypatch.undo()
    branch.prune()
    assert branch.sets() == list(range(5, 12))
    assert branch.verify() == []


def test_what_a_backup_adds_meanwhile_stays_and_keeps_its_base(shop: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    write = _ledger.write_ledger

    def after_a_backup(directory: str, ledger: Ledger) -> None:
        write(directory, ledger)
        if ledger.going:
            shop.run("increment")

    monkeypatch.setattr(_ledger, "write_ledger", after_a_backup)
    assert deleted(shop.prune()) == {1: 10, 2: 10, 3: 10}
    assert shop.sets() == list(range(4, 12))
    assert shop.verify() == []
    sums = (shop.directory / "SHA256SUMS").read_text()
    assert shop.name(11, "files_increment") in sums
    assert "20260302" not in sums


def test_a_catalogue_read_while_retention_removes_has_no_false_problem(
    shop: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink
    problems = []

    def looked_at(path: str) -> None:
        unlink(path)
        problems.append(dict(_catalog.read_catalogue(str(shop.directory)).problems))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", looked_at)
        shop.prune()
    assert len(problems) > 30
    assert problems == [{}] * len(problems)


def test_a_verification_that_meets_retention_reports_nothing_lost(
    shop: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _catalog.read_catalogue
    pruned = []

    def then_pruned(directory: str) -> _catalog.Catalogue:
        found = read(directory)
        if not pruned:
            pruned.append(True)
            shop.prune()
        return found

    monkeypatch.setattr(_catalog, "read_catalogue", then_pruned)
    assert shop.verify() == []
    assert shop.sets() == list(range(4, 11))

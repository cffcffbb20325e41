# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    Journal,
    Recorder,
    RunRecord,
    Settings,
    StoreError,
    _recorder,
    open_store,
)
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._owner import Owner
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import make_record

RUN_ID = "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"


class Place:
    """A state directory and a table that can be out of reach."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.table = directory / "table"
        url = f"sqlite:///{self.table}/runs.sqlite"
        self.settings = Settings(runs_url=url, state_path=self.state, config_path=directory / "config.yml")

    def recorder(self, witness: str = "callback") -> Recorder:
        return Recorder(self.settings, witness=witness)

    def rows(self) -> list[RunRecord]:
        store = open_store(self.settings.runs_url)
        try:
            return store.query()
        finally:
            store.close()

    def break_table(self) -> None:
        if self.table.is_dir():
            self.table.rename(self.table.with_name("away"))
        self.table.touch()

    def mend_table(self) -> None:
        self.table.unlink()
        away = self.table.with_name("away")
        if away.exists():
            away.rename(self.table)

    def journal_files(self) -> list[str]:
        return sorted(str(path.relative_to(self.state)) for path in self.state.glob("journal*/*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def make_dead(place: Place, records: list[RunRecord], *, witness: str = "callback") -> None:
    """Write as a process does that then dies: the lock goes with it, the entry stays."""
    with place.recorder(witness).hold(records[0].run_id):
        place.recorder(witness).record(records)


def test_pending_stays_in_the_journal_and_the_end_leaves_it(place: Place) -> None:
    recorder = place.recorder()
    pending = make_record(run_id=RUN_ID)
    outcome = recorder.record([pending])
    assert (outcome.journal, outcome.table, outcome.errors) == (True, True, [])
    assert place.journal_files() == [f"journal/{RUN_ID}.json"]
    recorder.record([pending.ended("success")])
    assert place.journal_files() == []
    assert [row.status for row in place.rows()] == ["success"]


def test_end_waits_in_the_journal_until_the_table_is_back(place: Place) -> None:
    place.break_table()
    outcome = place.recorder().record([make_record(run_id=RUN_ID).ended("success")])
    assert (outcome.journal, outcome.table) == (True, False)
    assert "Failed to open the runs table" in outcome.errors[0]
    result = place.recorder().flush()
    assert (result.flushed, result.remaining) == (0, 1)
    place.mend_table()
    assert place.recorder("wrapper").flush() == _recorder.FlushResult(flushed=1, remaining=0)
    assert [row.status for row in place.rows()] == ["success"]
    assert place.journal_files() == []


def test_flush_leaves_pending_entries_alone(place: Place) -> None:
    place.recorder().record([make_record(run_id=RUN_ID)])
    assert place.recorder().flush() == _recorder.FlushResult(flushed=0, remaining=0)
    assert place.journal_files() == [f"journal/{RUN_ID}.json"]


def test_entry_that_the_table_refuses_never_blocks_the_others(place: Place) -> None:
    place.break_table()
    refused = make_record(bytes=2**70).ended("success")
    place.recorder().record([refused])
    place.recorder().record([make_record(run_id=RUN_ID).ended("success")])
    place.mend_table()
    result = place.recorder().flush()
    assert (result.flushed, result.remaining, len(result.errors)) == (1, 1, 1)
    assert [row.run_id for row in place.rows()] == [RUN_ID]
    assert place.journal_files() == [f"journal/{refused.run_id}.json"]


def test_driver_that_fails_in_its_own_way_costs_no_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_url: str) -> None:
        raise TypeError("a defect of the driver")

    monkeypatch.setattr(_recorder, "open_store", broken)
    outcome = place.recorder().record([make_record(run_id=RUN_ID)])
    assert (outcome.journal, outcome.table) == (True, False)
    assert "TypeError: a defect of the driver" in outcome.errors[0]


def test_silent_table_is_waited_for_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def silent(url: str) -> None:
        asked.append(url)
        time.sleep(0.05)
        raise StoreError("Failed to reach the runs table: timed out.")

    monkeypatch.setattr(_recorder, "open_store", silent)
    monkeypatch.setattr(_recorder, "_SLOW_S", 0.01)
    recorder = place.recorder()
    for _time in range(3):
        assert recorder.record([make_record(run_id=RUN_ID)]).errors == ["Failed to reach the runs table: timed out."]
    assert len(asked) == 1


def test_dead_owner_makes_a_lost_row(place: Place) -> None:
    make_dead(place, [make_record(run_id=RUN_ID, branch="branch-001", kind="full")])
    (lost,) = place.recorder("wrapper").reconcile()
    (row,) = place.rows()
    assert row == lost
    assert (row.status, row.evidence, row.kind, row.duration_s) == ("failed", Evidence.INFERRED, "full", None)
    assert str(row.error).startswith(f"lost: the process of the run (pid {os.getpid()})")
    assert place.journal_files() == []


def test_lost_run_waits_in_the_journal_when_the_table_is_away(place: Place) -> None:
    make_dead(place, [make_record(run_id=RUN_ID)])
    place.break_table()
    assert len(place.recorder().reconcile()) == 1
    place.mend_table()
    assert [row.status for row in place.rows()] == ["pending"]
    assert place.recorder().flush().flushed == 1
    assert [row.evidence for row in place.rows()] == [Evidence.INFERRED]


@pytest.mark.parametrize("living", ["callback", "wrapper"])
def test_run_lives_as_long_as_one_witness_does(place: Place, living: str) -> None:
    for witness in ("callback", "wrapper"):
        make_dead(place, [make_record(run_id=RUN_ID)], witness=witness)
    with place.recorder(living).hold(RUN_ID):
        assert place.recorder().reconcile() == []
        assert [row.status for row in place.rows()] == ["pending"]
    assert len(place.recorder().reconcile()) == 1


def test_both_witnesses_of_a_lost_run_make_one_row(place: Place) -> None:
    make_dead(place, [make_record(run_id=RUN_ID)], witness="wrapper")
    make_dead(place, [make_record(run_id=RUN_ID, branch="branch-001")])
    assert [lost.branch for lost in place.recorder().reconcile()] == ["branch-001"]
    assert [row.branch for row in place.rows()] == ["branch-001"]
    assert place.journal_files() == []


def test_pending_row_without_a_journal_entry(place: Place) -> None:
    make_dead(place, [make_record(run_id=RUN_ID, host=os.uname().nodename)])
    Journal(place.state).remove(RUN_ID)
    assert len(place.recorder().reconcile()) == 1
    assert [row.evidence for row in place.rows()] == [Evidence.INFERRED]


def foreign_rows() -> list[RunRecord]:
    """Pending rows about which this machine may not judge, or that live."""
    here = os.uname().nodename
    own = Owner.of_this_process(None)
    elsewhere = dataclasses.replace(own, machine="another", pid=dead_pid())
    return [
        make_record(host="another-host", details={"owner": dataclasses.replace(own, pid=dead_pid()).to_json()}),
        make_record(host=here, details={"owner": elsewhere.to_json()}),
        make_record(host=here, details={"owner": "damaged"}),
        make_record(host=here, details={}),
        make_record(host=here, details={"owner": own.to_json()}),
    ]


def test_rows_of_others_are_left_alone(place: Place) -> None:
    store = open_store(place.settings.runs_url)
    store.upsert(foreign_rows())
    store.close()
    assert place.recorder().reconcile() == []
    assert {row.status for row in place.rows()} == {"pending"}


def test_row_of_a_dead_process_that_had_no_lock(place: Place) -> None:
    owner = dataclasses.replace(Owner.of_this_process(None), pid=dead_pid())
    store = open_store(place.settings.runs_url)
    store.upsert([make_record(host=os.uname().nodename, details={"owner": owner.to_json()})])
    store.close()
    assert len(place.recorder().reconcile()) == 1


@pytest.mark.parametrize("settle", ["flush", "reconcile"])
def test_damaged_entry_is_set_aside_and_its_run_still_gets_a_row(place: Place, settle: str) -> None:
    place.break_table()
    place.recorder().record([make_record().ended("success")])
    place.mend_table()
    damaged = place.state / "journal" / f"{RUN_ID}.json"
    damaged.write_text('{"half', encoding="utf-8")
    getattr(place.recorder(), settle)()
    place.recorder().flush()
    kept = damaged.with_name(f"{RUN_ID}.json.damaged")
    assert kept.read_text(encoding="utf-8") == '{"half'
    assert place.journal_files() == [f"journal/{kept.name}"]
    rows = {row.run_id: row for row in place.rows()}
    assert len(rows) == 2
    assert (rows[RUN_ID].status, rows[RUN_ID].evidence) == ("failed", Evidence.INFERRED)
    assert str(kept) in str(rows[RUN_ID].error)


def test_flush_tells_what_it_set_aside(place: Place) -> None:
    journal = place.state / "journal"
    journal.mkdir(parents=True)
    (journal / "nonsense.json").write_text("nonsense", encoding="utf-8")
    result = place.recorder().flush()
    assert [path.name for path in result.set_aside] == ["nonsense.json.damaged"]
    assert "it is damaged" in result.errors[0]
    assert place.rows() == []


def test_damaged_entry_of_a_pending_row_keeps_what_the_row_knows(place: Place) -> None:
    make_dead(place, [make_record(run_id=RUN_ID)])
    (place.state / "journal" / f"{RUN_ID}.json").write_bytes(b"")
    place.recorder().reconcile()
    place.recorder().flush()
    (row,) = place.rows()
    assert (row.playbook, row.evidence) == ("larapee.backup.branch_backup", Evidence.INFERRED)


def test_damaged_entry_of_a_living_run_is_its_owners(place: Place) -> None:
    recorder = place.recorder()
    with recorder.hold(RUN_ID):
        recorder.record([make_record(run_id=RUN_ID)])
        (place.state / "journal" / f"{RUN_ID}.json").write_bytes(b"")
        assert place.recorder("wrapper").flush().set_aside == []
        recorder.record([make_record(run_id=RUN_ID).ended("success")])
    assert [row.status for row in place.rows()] == ["success"]
    assert place.journal_files() == []


def test_conclude_ends_what_nobody_saw_the_end_of(place: Place) -> None:
    wrapper, callback = place.recorder("wrapper"), place.recorder()
    pending = make_record(run_id=RUN_ID)
    wrapper.record([pending])
    done = dataclasses.replace(pending, branch="branch-001").ended("success")
    callback.record([done, dataclasses.replace(pending, branch="branch-002", kind="full")])
    wrapper.conclude(pending.ended("failed", error="Timed out.", details={"ansible_rc": None}))
    rows = {row.branch: row for row in place.rows()}
    assert sorted(map(str, rows)) == ["branch-001", "branch-002"]
    assert rows["branch-001"] == done
    assert (rows["branch-002"].error, rows["branch-002"].kind) == ("Timed out.", "full")
    assert (rows["branch-002"].details, rows["branch-002"].evidence) == ({"ansible_rc": None}, Evidence.OBSERVED)
    assert place.journal_files() == []


def test_conclude_without_a_branch_and_without_a_table(place: Place) -> None:
    place.break_table()
    wrapper = place.recorder("wrapper")
    pending = make_record(run_id=RUN_ID)
    wrapper.record([pending])
    outcome = wrapper.conclude(pending.ended("failed", error="Failed to read playbook: it is no YAML."))
    assert (outcome.journal, outcome.table) == (True, False)
    assert [row.error for row in wrapper.rows(RUN_ID)] == ["Failed to read playbook: it is no YAML."]
    place.mend_table()
    assert wrapper.flush().flushed == 1
    assert [row.branch for row in place.rows()] == [None]


def test_conclude_keeps_an_observed_end(place: Place) -> None:
    pending = make_record(run_id=RUN_ID)
    place.recorder("wrapper").record([pending])
    end = pending.ended("failed", error="No hosts matched.")
    place.recorder().record([end])
    place.recorder("wrapper").conclude(pending.ended("failed", error="Something else."))
    assert place.rows() == [end]
    assert place.journal_files() == []


def test_lock_files_of_killed_owners_go(place: Place) -> None:
    locks = place.state / "locks"
    locks.mkdir(parents=True)
    old, young = (locks / f"run-{number}.callback.lock" for number in "12")
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    with place.recorder().hold(RUN_ID) as held:
        os.utime(held.path, (0, 0))
        place.recorder().reconcile()
        assert sorted(locks.iterdir()) == sorted([young, held.path])


def test_unreadable_journal_is_told_and_the_table_still_takes_the_row(place: Place) -> None:
    place.state.mkdir()
    (place.state / "journal").write_text("in the way", encoding="utf-8")
    outcome = place.recorder().record([make_record(run_id=RUN_ID).ended("success")])
    assert (outcome.journal, outcome.table) == (False, True)
    assert "Failed to write" in outcome.errors[0]
    assert place.recorder().flush().errors == []

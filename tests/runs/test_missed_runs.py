# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of runs that did not come: one a branch, kind and day, and what becomes of them when word comes."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils import _absence, _missed_runs
from ansible_collections.larapee.backup.plugins.plugin_utils._missed_runs import Absence
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, RunRecord
from larapee_runner.demo.server import ThrowawayServer
from tests.runs.central import OTHER, Central
from tests.runs.machines import BRANCH, Machine, machine, make_row, now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = datetime.fromisoformat("2026-11-20T00:00:00+00:00")
LOG = {"log": {"every": 300, "grace": 600}}
DAILY = {"full": {"at": "03:00", "grace": 3600}}
HOUR = timedelta(hours=1)


@dataclasses.dataclass
class Watch:
    """Central that looks from time to time; ``at`` is its clock."""

    machine: Machine
    wanted: dict[str, Any]
    at_central: dict[str, Any] = dataclasses.field(default_factory=dict)
    branches: tuple[str, ...] = (BRANCH,)
    at: datetime = BEGIN

    def look(self, at: datetime, *, check_mode: bool = False) -> Absence:
        self.at = at
        expected = []
        for branch in self.branches:
            expected += _absence.expectations(self.wanted, branch=branch, zone="UTC")
            expected += _absence.expectations(self.at_central, branch=branch, zone="UTC", at_central=True)
        return _missed_runs.look(self.machine.settings, expected, now=at, check_mode=check_mode)

    def runs(self, start: datetime, end: datetime, *, every: timedelta, **changes: Any) -> None:
        """Rows as they are imported."""
        count = int((end - start) / every)
        self.machine.put(*[came(start + every * number, **changes) for number in range(count)])

    def missed(self, branch: str = BRANCH) -> list[RunRecord]:
        return [row for row in self.machine.rows(branch=branch) if "missed" in row.details]


def came(start: datetime, **changes: Any) -> RunRecord:
    values = {"started_at": start, "finished_at": start + timedelta(seconds=9), "details": {"imported": {"at": "x"}}}
    return make_row(**{**values, **changes})


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    watch = Watch(machine(tmp_path / "central"), LOG)
    watch.look(BEGIN)
    return watch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("missed-table")) as running:
        yield running


def test_a_silent_branch_leaves_one_row_a_day_whatever_the_interval(watch: Watch) -> None:
    for hour in range(1, 60):
        watch.look(BEGIN + hour * HOUR)
    rows = watch.missed()
    assert [f"{row.started_at:%d %H:%M}" for row in rows] == ["22 00:00", "21 00:00", "20 00:15"]
    assert {(row.status, row.evidence, row.kind) for row in rows} == {("failed", Evidence.INFERRED, "log")}
    assert str(rows[-1].error).startswith("missed: no log of branch-001 began by 2026-11-20T01:00:00Z, expected every")
    assert watch.look(BEGIN + 60 * HOUR) == Absence(open={BRANCH: ["log"]})


def test_a_branch_that_runs_leaves_none(watch: Watch) -> None:
    watch.runs(BEGIN, BEGIN + 30 * HOUR, every=timedelta(minutes=5))
    for hour in range(1, 31):
        assert watch.look(BEGIN + hour * HOUR) == Absence()
    assert watch.missed() == []


def test_late_word_settles_what_it_accounts_for_and_nothing_else(watch: Watch) -> None:
    for hour in range(1, 49):
        watch.look(BEGIN + hour * HOUR)
    assert len(watch.missed()) == 2
    # The first day comes whole, of the second only the morning.
    watch.runs(BEGIN, BEGIN + 36 * HOUR, every=timedelta(minutes=5))
    absence = watch.look(BEGIN + 49 * HOUR)
    assert ([row.started_at.day for row in absence.settled], absence.open) == (
        [20],
        {
            BRANCH: [
                "log",
            ]
        },
    )
    second, first = (row for row in watch.missed() if row.started_at.day < 22)
    assert (second.status, second.evidence) == ("failed", Evidence.INFERRED)
    assert (first.status, first.evidence, first.error, first.duration_s) == ("success", Evidence.OBSERVED, None, None)
    assert first.details["inference"]["error"].startswith("missed: no log")
    settler = watch.machine.rows(run_id=first.details["missed"]["settled_by"])[0]
    assert settler.started_at.day == 20
    assert watch.look(BEGIN + 49 * HOUR).settled == []


def test_late_word_of_a_failure_settles_it_as_failed(tmp_path: Path) -> None:
    watch = Watch(machine(tmp_path / "central"), DAILY)
    watch.look(BEGIN)
    watch.look(BEGIN + 6 * HOUR)
    assert len(watch.missed()) == 1
    late = came(BEGIN + 5 * HOUR, kind="full", status="failed", error="Failed to dump: disk full.")
    pending = dataclasses.replace(late, status="pending", evidence=Evidence.PENDING, finished_at=None, error=None)
    watch.machine.put(pending)
    assert watch.look(BEGIN + 6 * HOUR).settled == []
    watch.machine.put(late)
    watch.look(BEGIN + 7 * HOUR)
    (row,) = watch.missed()
    assert (row.status, row.evidence) == ("failed", Evidence.OBSERVED)
    assert row.error == f"The run that was missed had failed: run {late.run_id} has its error."


def test_a_grace_that_ends_on_the_next_day_is_waited_for(tmp_path: Path) -> None:
    watch = Watch(machine(tmp_path / "central"), {"full": "23:15"})
    for hour in range(30):
        watch.look(BEGIN + hour * HOUR)
    assert [f"{row.started_at:%d %H:%M}" for row in watch.missed()] == ["20 23:15"]


def test_a_run_that_failed_or_still_runs_is_not_missed(tmp_path: Path) -> None:
    watch = Watch(machine(tmp_path / "central"), DAILY)
    watch.look(BEGIN)
    watch.machine.put(came(BEGIN + 3 * HOUR, kind="full", status="failed", error="Failed."))
    pending = {"status": "pending", "evidence": Evidence.PENDING, "finished_at": None}
    watch.machine.put(came(BEGIN + 27 * HOUR, kind="full", **pending))
    watch.machine.put(came(BEGIN + 51 * HOUR, kind="full", check_mode=True))
    for hour in range(1, 60):
        watch.look(BEGIN + hour * HOUR)
    assert [f"{row.started_at:%d}" for row in watch.missed()] == ["22"]


def test_a_new_branch_is_not_expected_before_it_was_known(watch: Watch) -> None:
    watch.runs(BEGIN, BEGIN + 30 * HOUR, every=timedelta(minutes=5))
    watch.branches = (BRANCH, OTHER)
    for minutes in range(0, 16, 5):
        assert watch.look(BEGIN + 29 * HOUR + timedelta(minutes=minutes)) == Absence()
    watch.look(BEGIN + 29 * HOUR + timedelta(minutes=16))
    assert [f"{row.started_at:%d %H:%M}" for row in watch.missed(OTHER)] == ["21 05:15"]


def test_central_that_was_down_looks_at_the_days_between_and_no_further_than_a_week(watch: Watch) -> None:
    watch.look(BEGIN + timedelta(days=3))
    assert [f"{row.started_at:%d}" for row in watch.missed()] == ["22", "21", "20"]
    watch.look(BEGIN + timedelta(days=30))
    assert len(watch.missed()) == 3 + 7


def test_a_check_of_central_is_no_check_of_the_branch(tmp_path: Path) -> None:
    verify = {"verify": {"at": "02:30", "grace": 3600}}
    watch = Watch(machine(tmp_path / "central"), verify, at_central=verify)
    watch.look(BEGIN)
    at = BEGIN + 2.5 * HOUR
    watch.machine.put(came(at, kind="verify"))
    watch.look(BEGIN + 5 * HOUR)
    assert [row.details["missed"]["of"] for row in watch.missed()] == ["central"]
    said = {"place": "central", "text": '"imported": {"at": "x"}'}
    watch.machine.put(came(at + 24 * HOUR, kind="verify", details=said))
    watch.look(BEGIN + 29 * HOUR)
    assert [row.details["missed"]["of"] for row in watch.missed()] == [BRANCH, "central"]


JOBS: dict[str, tuple[str, dict[str, str]]] = {
    "pull-log": ("sync", {"place": "central", "scope": "log"}),
    "pull": ("sync", {"place": "central", "scope": "all"}),
    "snapshot": ("snapshot", {"place": "central"}),
    "verify": ("verify", {"place": "central"}),
    "verify-hot": ("verify", {"place": "hot"}),
    "verify-cold": ("verify", {"place": "cold"}),
    "retention": ("retention", {"place": "central"}),
    "retention-hot": ("retention", {"place": "hot"}),
    "offsite-hot": ("offsite", {"place": "hot"}),
    "offsite-cold": ("offsite", {"place": "cold"}),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_excused_by_no_other_of_its_kind(tmp_path: Path, name: str) -> None:
    """Neither by those of central, nor by what a branch says of itself."""
    wanted = dict.fromkeys(JOBS, {"at": "02:30", "grace": 3600})
    watch = Watch(machine(tmp_path / "central"), {}, at_central=wanted)
    watch.look(BEGIN)
    at = BEGIN + 2.6 * HOUR
    ran = {job: make_row(kind=kind, started_at=at, details=details) for job, (kind, details) in JOBS.items()}
    watch.machine.put(*[row for job, row in ran.items() if job != name])
    watch.machine.put(came(at, kind=JOBS[name][0], details={**JOBS[name][1], "imported": {"at": "x"}}))
    assert watch.look(BEGIN + 4 * HOUR).open == {BRANCH: [name]}
    (row,) = watch.missed()
    assert (row.status, row.kind, row.evidence) == ("failed", JOBS[name][0], Evidence.INFERRED)
    assert str(row.error).startswith(f"missed: no {name} of branch-001 began by")
    assert row.details["missed"]["job"] == name
    watch.machine.put(ran[name])
    assert watch.look(BEGIN + 5 * HOUR).open == {}
    assert [each.status for each in watch.missed()] == ["success"]


def test_nothing_is_missed_while_central_is_at_work_on_it(tmp_path: Path) -> None:
    """The first copy takes hours, and the timer starts no other beside it."""
    watch = Watch(machine(tmp_path / "central"), LOG, at_central={"offsite-hot": 3600})
    watch.look(BEGIN)
    first = make_row(kind="offsite", started_at=BEGIN + HOUR, details={"place": "hot"})
    pending = dataclasses.replace(first, status="pending", evidence=Evidence.PENDING, finished_at=None)
    watch.machine.put(pending)
    assert watch.look(BEGIN + 7 * HOUR).open == {BRANCH: ["log"]}
    watch.machine.put(dataclasses.replace(first, finished_at=BEGIN + 7 * HOUR))
    # What a branch says of its end excuses nothing.
    watch.machine.put(came(BEGIN, kind="log", finished_at=BEGIN + 9 * HOUR))
    assert watch.look(BEGIN + 8 * HOUR).open == {BRANCH: ["log"]}
    assert watch.look(BEGIN + 9.1 * HOUR).open == {BRANCH: ["log", "offsite-hot"]}


def test_the_end_of_a_lost_run_is_believed_by_nobody(tmp_path: Path) -> None:
    watch = Watch(machine(tmp_path / "central"), {}, at_central={"offsite-hot": 3600})
    watch.look(BEGIN)
    lost = {"status": "failed", "evidence": Evidence.INFERRED, "finished_at": BEGIN + 7 * HOUR}
    watch.machine.put(make_row(kind="offsite", started_at=BEGIN + HOUR, details={"place": "hot"}, **lost))
    assert watch.look(BEGIN + 7 * HOUR).open == {BRANCH: ["offsite-hot"]}


def test_a_preview_and_a_lost_note_write_nothing(watch: Watch) -> None:
    assert len(watch.look(BEGIN + 2 * HOUR, check_mode=True).missed) == 1
    assert watch.missed() == []
    (watch.machine.state / "missed.json").write_text("{", encoding="utf-8")
    assert watch.look(BEGIN + 2 * HOUR) == Absence()


def test_a_look_that_died_before_its_note_is_repeated_and_finds_the_same(watch: Watch) -> None:
    note = watch.machine.state / "missed.json"
    kept = note.read_bytes()
    watch.look(BEGIN + 2 * HOUR)
    rows = watch.missed()
    note.write_bytes(kept)
    watch.look(BEGIN + 3 * HOUR)
    assert watch.missed() == rows


def test_the_table_of_a_server_tells_and_settles_as_well(watch: Watch, server: ThrowawayServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE runs")
    option_file = server.write_option_file(watch.machine.top / "runs.cnf", user="root", password="")
    url = f"mysql+pymysql://localhost/runs?read_default_file={option_file}"
    watch.machine = dataclasses.replace(watch.machine, url=url)
    for hour in range(1, 26):
        watch.look(BEGIN + hour * HOUR)
    assert [row.evidence for row in watch.missed()] == [Evidence.INFERRED] * 2
    watch.runs(BEGIN, BEGIN + 26 * HOUR, every=timedelta(minutes=5))
    watch.machine.put(make_row(kind="verify", started_at=BEGIN + HOUR))
    assert len(watch.look(BEGIN + 26 * HOUR).settled) == 2
    assert [row.status for row in watch.missed()] == ["success", "success"]


def test_the_role_tells_the_recorder_what_each_branch_misses(central: Central) -> None:
    """With what is expected of each branch, and its time zone, as variables of its host."""
    playbook = central.playbook("missed_runs")
    local = {"larapee_backup_time_zone": "Europe/Berlin", "larapee_backup_expected": {"log": 60}}
    groups = {
        "central": {"central": {}},
        "branches": {"shop-1": {"larapee_backup_branch": BRANCH, **local}, "shop-2": {"larapee_backup_branch": OTHER}},
    }
    options = {"larapee_backup_kind": "sync", "larapee_backup_branches": [BRANCH, OTHER]}
    code, output = central.machine.play(playbook, groups=groups, **options)
    assert code == 0, output
    note = central.machine.state / "missed.json"
    document = json.loads(note.read_text(encoding="utf-8"))
    assert {key for key in document["since"] if key.startswith(BRANCH)} == {f"{BRANCH}/branch/log"}
    assert f"{OTHER}/branch/full" in document["since"]
    ago = (now() - 5 * HOUR).isoformat()
    document["since"] = dict.fromkeys(document["since"], ago)
    note.write_text(json.dumps(document), encoding="utf-8")
    code, output = central.machine.play(playbook, groups=groups, **options)
    assert code == 0, output
    row, _earlier = central.machine.rows(branch=BRANCH, kind="sync")
    assert (row.status, row.details["missed_runs"]) == ("success", ["log"])
    # One for each day, and these hours may be of two.
    assert {each.status for each in central.machine.rows(branch=BRANCH, kind="log")} == {"failed"}
    wrong = {**options, "larapee_backup_expected_at_central": {"verify": "at night"}}
    code, output = central.machine.play(playbook, groups=groups, **wrong)
    assert code == 0, output
    row = central.machine.rows(branch=BRANCH, kind="sync")[0]
    assert "Failed to read larapee_backup_expected: verify" in row.details["missed_runs_error"]

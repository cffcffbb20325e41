# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reading commands: one document on standard output, and codes that a script can rely on."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from larapee_runner import cli
from larapee_runner.recorder import Evidence, Recorder, RunRecord, Settings, open_store, utc_now

from .conftest import ROOT, Project


def check_shape(document: object, name: str) -> None:
    jsonschema.validate(document, json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text(encoding="utf-8")))


def settings_of(project: Project) -> Settings:
    project.state.mkdir(mode=0o700, exist_ok=True)
    return Settings(
        runs_url=f"sqlite:///{project.state}/runs.sqlite", state_path=project.state, config_path=Path("/nonexistent")
    )


def run_of(kind: str, *, branch: str = "branch-001", minutes: float = 1, status: str = "success") -> RunRecord:
    end = utc_now() - timedelta(minutes=minutes)
    return RunRecord(
        run_id=str(uuid.uuid4()),
        branch=branch,
        kind=kind,
        status=status,
        started_at=end - timedelta(seconds=5),
        finished_at=end,
        duration_s=5.0,
        host="h",
        launcher="timer",
        playbook="p",
        artifacts=[{"name": "db-20261122-0412.sql.gz.age", "size": 10, "sha256": "0" * 64}] if kind == "full" else [],
        bytes=10 if kind == "full" else None,
        recovery_point=end.strftime("%Y-%m-%dT%H:%M:%SZ") if kind == "full" else None,
        error="Failed to verify: a byte is wrong. Take a full." if status == "failed" else None,
        evidence=Evidence.OBSERVED,
    )


def store(project: Project, *records: RunRecord) -> None:
    with contextlib.closing(open_store(settings_of(project).runs_url)) as table:
        table.upsert(records)


def test_status_of_a_branch_that_stands_well(project: Project) -> None:
    store(project, run_of("full"), run_of("verify"), run_of("restore"))
    code, report = project.json("status")
    check_shape(report, "status")
    assert (code, report["ok"]) == (0, True), report
    assert report["branches"][0]["branch"] == "branch-001"
    plain = project.command("status")
    assert "branch-001  recovery point age" in plain.stdout
    assert "NOT RUN" in plain.stdout
    assert "\x1b" not in plain.stdout


def test_status_tells_from_when_until_when_and_the_gaps(project: Project) -> None:
    gap = {"after": "2026-11-21T10:00:00Z", "before": None, "why": "a gap: db-1 ends, \x1b[2Jdb-2 is missing"}
    told = {
        "from": "2026-11-20T03:00:00Z",
        "until": "2026-11-21T10:00:00Z",
        "chain_length": 137,
        "gaps": [gap],
        "gap_count": 1,
    }
    record = dataclasses.replace(run_of("log"), details={"recoverable": told})
    store(project, record, run_of("verify"))
    _code, report = project.json("status")
    check_shape(report, "status")
    assert report["branches"][0]["recoverable"]["gaps"] == [gap]
    plain = project.command("status").stdout
    columns, values = next(
        (head, line)
        for head, line in itertools.pairwise(plain.splitlines())
        if head.startswith("branch  ") and "recoverable from" in head
    )
    assert columns.split("  ")[0] == "branch"
    for text in ("2026-11-20T03:00:00Z", "2026-11-21T10:00:00Z", "137", "never"):
        assert text in values
    assert "gap: branch-001: nothing after 2026-11-21T10:00:00Z and nothing later: a gap: db-1 ends" in plain
    assert "\x1b" not in plain


def test_status_with_a_broken_objective(project: Project) -> None:
    store(project, run_of("full", minutes=40), run_of("verify", status="failed"))
    code, report = project.json("status", "--branch", "branch-001")
    check_shape(report, "status")
    assert (code, report["ok"]) == (1, False)
    plain = project.command("status")
    assert plain.code == 1
    assert "BROKEN" in plain.stdout
    assert "last failure: branch-001: verify at" in plain.stdout


def test_status_of_nothing_is_no_success(project: Project) -> None:
    outcome = project.command("status", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.stdout)["ok"] is False
    assert "nothing to be judged" in outcome.stderr


def test_status_and_runs_without_their_table_use_the_journal_and_say_so(project: Project) -> None:
    record = run_of("full")
    recorder = Recorder(settings_of(project), witness="callback")
    recorder.record([record], table=False)
    (project.state / "runs.sqlite").write_bytes(b"no database" * 100)
    outcome = project.command("status", "--json")
    report = json.loads(outcome.stdout)
    check_shape(report, "status")
    assert outcome.code == 1
    assert report["table"]["reachable"] is False
    assert report["journal"]["unflushed_records"] == 1
    assert report["branches"][0]["last_success"]["full"]["run_id"] == record.run_id
    assert "Error: " in outcome.stderr
    runs = project.command("runs", "--json")
    assert runs.code == 1
    assert [row["run_id"] for row in json.loads(runs.stdout)["runs"]] == [record.run_id]
    assert "Error: " in runs.stderr


def test_runs(project: Project) -> None:
    records = [
        run_of("full", minutes=3),
        run_of("verify", minutes=2, status="failed"),
        run_of("full", minutes=1, branch="b2"),
    ]
    store(project, *records)
    code, document = project.json("runs")
    check_shape(document, "runs")
    assert code == 0
    assert [row["branch"] for row in document["runs"]] == ["b2", "branch-001", "branch-001"]
    for args, count in (
        (("--branch", "b2"), 1),
        (("--kind", "full"), 2),
        (("--status", "failed"), 1),
        (("-n", "1"), 1),
        (("--since", "150s"), None),
        (("--since", "2m"), 1),
        (("--since", "2020-01-01"), 3),
        (("--run-id", records[0].run_id), 1),
    ):
        outcome = project.command("runs", "--json", *args)
        if count is None:
            assert outcome.code == 2
        else:
            assert len(json.loads(outcome.stdout)["runs"]) == count, args
    plain = project.command("runs")
    assert "Failed to verify: a byte is wrong." in plain.stdout


def test_runs_of_nothing(project: Project) -> None:
    outcome = project.command("runs", "--json")
    assert (outcome.code, json.loads(outcome.stdout)["runs"]) == (0, [])
    assert project.command("runs").stdout == ""


def test_journal_flush(project: Project) -> None:
    Recorder(settings_of(project), witness="callback").record([run_of("full")], table=False)
    code, shown = project.json("journal", "show")
    assert (code, [entry["finished"] for entry in shown["entries"]]) == (0, [True])
    assert "branch-001 full success" in project.command("journal", "show").stdout
    assert project.json("journal", "flush")[1]["flushed"] == 1
    assert project.json("journal", "show")[1]["entries"] == []
    assert len(project.rows()) == 1
    assert project.command("journal", "flush").stdout == "0 flushed, 0 waiting\n"


def test_journal_flush_without_a_table_fails_and_loses_nothing(project: Project) -> None:
    Recorder(settings_of(project), witness="callback").record([run_of("full")], table=False)
    (project.state / "runs.sqlite").write_bytes(b"no database" * 100)
    outcome = project.command("journal", "flush", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.stdout)["remaining"] == 1
    assert "Error: " in outcome.stderr
    assert len(project.journal_files()) == 1


def test_journal_reconcile_ends_what_died_and_leaves_what_lives(project: Project) -> None:
    recorder = Recorder(settings_of(project), witness="wrapper")
    dead, alive = (RunRecord.pending(run_id=str(uuid.uuid4()), playbook="p", launcher="cli") for _ in range(2))
    with recorder.hold(dead.run_id):
        recorder.record([dead])
    with recorder.hold(alive.run_id):
        recorder.record([alive])
        shown = project.json("journal", "show")[1]["entries"]
        assert {entry["run_id"]: entry["owner_alive"] for entry in shown} == {dead.run_id: False, alive.run_id: True}
        lost = project.json("journal", "reconcile")[1]["lost"]
        assert [row["run_id"] for row in lost] == [dead.run_id]
        assert {row.run_id: row.status for row in project.rows()} == {dead.run_id: "failed", alive.run_id: "pending"}


def test_a_damaged_journal_file_is_shown(project: Project) -> None:
    settings_of(project)
    directory = project.state / "journal"
    directory.mkdir(mode=0o700)
    (directory / f"{uuid.uuid4()}.json").write_text("{")
    outcome = project.command("journal", "show", "--json")
    assert outcome.code == 1
    assert "damaged" in json.loads(outcome.stdout)["entries"][0]["error"]


@pytest.mark.parametrize(
    "command", [["status"], ["runs"], ["journal", "show"], ["journal", "flush"], ["journal", "reconcile"]]
)
def test_a_configuration_that_cannot_be_used_is_said_in_one_line(command: list[str], project: Project) -> None:
    outcome = project.command(*command, environ=project.environ(LARAPEE_BACKUP_STATE_DIR="relative"))
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("Error: Failed to use state_path")


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["run", "x.yml", "--timeout", "0"],
        ["run", "x.yml", "--timeout", "soon"],
        ["run", "x.yml", "--nonsense"],
        ["runs", "--kind", "nonsense"],
        ["runs", "--since", "nonsense"],
        ["runs", "--since", "99999999999d"],
        ["nonsense"],
        ["-q", "-v", "runs"],
    ],
)
def test_wrong_usage_is_code_2(args: list[str]) -> None:
    assert CliRunner().invoke(cli.cli, args).exit_code == 2


def test_help_names_every_command_and_code() -> None:
    text = CliRunner().invoke(cli.cli, ["--help"]).output
    for word in ("run", "status", "runs", "metrics", "journal", "doctor", "124", "143", "8 it ran"):
        assert word in text


def test_a_run_imports_nothing_that_only_other_commands_need() -> None:
    program = (
        "import sys; sys.argv = ['larapee-backup', 'run', '--help']\n"
        "from larapee_runner.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'rich', 'ansible_runner', 'pymysql', 'ansible'} & set(sys.modules)), file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'runner/src'}:{ROOT / 'collection'}"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=True)
    assert done.stderr.strip() == "[]"

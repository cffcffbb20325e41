# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real command, the real ansible-playbook, the real callback: what each end leaves behind."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from larapee_runner.recorder import Evidence

from .conftest import COLLECTIONS, Bench, Outcome, Project

pytestmark = pytest.mark.xdist_group("runner")

OK_TASKS = """
- ansible.builtin.assert: {that: "lookup('ansible.builtin.config', 'HOST_KEY_CHECKING')"}
- ansible.builtin.debug: {msg: said by ansible}
"""
SECRET = "hunter2-never-stored"
PRESET = "5b0c7d9e-3c39-4a7c-9a55-0d2f4f6f7a11"


def ok(project: Project) -> Outcome:
    return project.command("run", project.playbook(OK_TASKS))


def verbose(project: Project) -> Outcome:
    return project.command("run", "-v", project.playbook(OK_TASKS))


def quiet(project: Project) -> Outcome:
    return project.command("-q", "run", project.playbook(OK_TASKS))


def check_mode(project: Project) -> Outcome:
    return project.command("run", "--check", project.playbook(OK_TASKS))


def task_failed(project: Project) -> Outcome:
    return project.command(
        "run", project.playbook("- ansible.builtin.fail: {msg: Failed to find the till. Look below.}")
    )


def unreachable(project: Project) -> Outcome:
    return project.command("run", project.playbook("- ansible.builtin.ping:", hosts="away"))


def syntax_error(project: Project) -> Outcome:
    (project.path / "broken.yml").write_text("- hosts: here\n  tasks:\n   - debug: {msg\n")
    return project.command("run", "broken.yml")


def unknown_module(project: Project) -> Outcome:
    return project.command("run", project.playbook("- larapee.backup.no_such_module:"))


def missing_playbook(project: Project) -> Outcome:
    return project.command("run", "nowhere.yml")


def no_hosts(project: Project) -> Outcome:
    return project.command("run", project.playbook(OK_TASKS, hosts="nobody"))


def lock_held(project: Project) -> Outcome:
    return project.command("run", project.playbook("- refuse:"))


def unrecordable(project: Project) -> Outcome:
    blocked = project.path / "file"
    blocked.touch()
    environ = project.environ(LARAPEE_BACKUP_STATE_DIR=str(blocked), TMPDIR=str(project.path))
    # A backup goes on where nothing can be recorded; it must still not look like a success.
    return project.command("run", project.playbook(OK_TASKS, kind="full"), environ=environ)


def timed_out(project: Project) -> Outcome:
    return project.command("run", project.sleeping(), "--timeout", "12")


def signalled(number: signal.Signals, *, stubborn: bool = False) -> Callable[[Project], Outcome]:
    def scenario(project: Project) -> Outcome:
        process = project.start("run", project.sleeping(stubborn=stubborn))
        project.until_asleep()
        began = time.monotonic()
        process.send_signal(number)
        return project.wait(process, since=began)

    return scenario


def ansible_killed(project: Project) -> Outcome:
    process = project.start("run", project.sleeping())
    project.until_asleep()
    os.kill(project.ansible(), signal.SIGKILL)
    return project.wait(process)


def launcher_killed(project: Project) -> Outcome:
    process = project.start("run", project.sleeping())
    project.until_asleep()
    process.kill()
    outcome = project.wait(process)
    project.until(lambda: not project.processes(), what="ansible-playbook and the module are gone", timeout_s=15)
    reconciled = project.command("journal", "reconcile")
    outcome.notes = {"reconcile": reconciled, "rows": project.rows()}
    return outcome


def launcher_killed_early(project: Project) -> Outcome:
    process = project.start("run", project.sleeping())
    project.until(project.processes, what="ansible-playbook is there, and has not loaded its callback yet")
    process.kill()
    outcome = project.wait(process)
    project.until(lambda: not project.processes(), what="nothing of the run is left", timeout_s=60)
    reconciled = project.command("journal", "reconcile")
    outcome.notes = {"reconcile": reconciled, "rows": project.rows()}
    return outcome


def secrets(project: Project) -> Outcome:
    (project.path / "vars.yml").write_text(f"file_secret: {SECRET}\n")
    wanted = "lookup('ansible.builtin.env', 'WANTED') == file_secret"
    held_back = "lookup('ansible.builtin.env', 'AWS_SECRET_ACCESS_KEY') == ''"
    tasks = f'- ansible.builtin.assert: {{that: [file_secret == inline_secret, "{wanted}", "{held_back}"]}}'
    environ = project.environ(AWS_SECRET_ACCESS_KEY=SECRET, WANTED=SECRET, HTTPS_PROXY=f"http://u:{SECRET}@127.0.0.1")
    args = ("-e", "@vars.yml", "-e", f"inline_secret={SECRET}", "--pass-env", "WANTED")
    return project.command("run", project.playbook(tasks), *args, environ=environ)


def relative_paths(project: Project) -> Outcome:
    below = project.path / "below"
    below.mkdir(mode=0o755)
    (below / "vars.yml").write_text("wanted: 42\n")
    project.playbook("- ansible.builtin.assert: {that: wanted == 42 and other == 7}")
    environ = project.environ(ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS))
    args = ("-i", "../hosts", "-e", "@vars.yml", "-e", '{"other": 7}', "-l", "here")
    return project.command("run", "../play.yml", *args, cwd=below, environ=environ)


def by_name(project: Project) -> Outcome:
    playbooks = project.path / "installed/ansible_collections/shop/probe/playbooks"
    playbooks.mkdir(parents=True)
    (playbooks / "ok.yml").write_text((project.path / project.playbook(OK_TASKS)).read_text())
    (playbooks.parent / "galaxy.yml").write_text("namespace: shop\nname: probe\nversion: 1.0.0\n")
    elsewhere = project.path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    environ = project.environ(ANSIBLE_COLLECTIONS_PATH=f"{project.path / 'installed'}:{COLLECTIONS}")
    return project.command("run", "shop.probe.ok", "-i", "../hosts", cwd=elsewhere, environ=environ)


def left_on_purpose(project: Project) -> Outcome:
    daemon = f"setsid sh -c 'sleep 20; : {project.mark}' >/dev/null 2>&1 &"
    outcome = project.command("run", project.playbook(f'- ansible.builtin.shell: {{cmd: "{daemon}"}}'))
    project.kill_leftovers()
    return outcome


def preset_id(project: Project) -> Outcome:
    environ = project.environ(LARAPEE_BACKUP_RUN_ID=PRESET, LARAPEE_BACKUP_RECORDER=PRESET, INVOCATION_ID="x")
    first = project.command("run", project.playbook(OK_TASKS), environ=environ)
    second = project.command("run", "play.yml", environ=environ)
    second.notes = {"first": first}
    return second


def forged_recorder(project: Project) -> Outcome:
    """The callback cannot be loaded here, so the guard must refuse although the caller says that it was."""
    environ = project.environ(
        LARAPEE_BACKUP_RUN_ID=PRESET,
        LARAPEE_BACKUP_RECORDER=PRESET,
        LARAPEE_BACKUP_CONFIG=str(project.path / "none.yml"),
    )
    return project.command("run", project.playbook(OK_TASKS), environ=environ)


SCENARIOS: dict[str, Callable[[Project], Outcome]] = {
    "stubborn": signalled(signal.SIGTERM, stubborn=True),
    "launcher_killed": launcher_killed,
    "launcher_killed_early": launcher_killed_early,
    "timed_out": timed_out,
    "sigterm": signalled(signal.SIGTERM),
    "sigint": signalled(signal.SIGINT),
    "sighup": signalled(signal.SIGHUP),
    "ansible_killed": ansible_killed,
    "unreachable": unreachable,
    **{
        function.__name__: function
        for function in (
            ok,
            verbose,
            quiet,
            check_mode,
            task_failed,
            syntax_error,
            unknown_module,
            missing_playbook,
            no_hosts,
            lock_held,
            unrecordable,
            secrets,
            relative_paths,
            by_name,
            left_on_purpose,
            preset_id,
            forged_recorder,
        )
    },
}


@pytest.fixture
def outcome(bench: Bench) -> Callable[[str], Outcome]:
    bench.start(SCENARIOS)
    return bench.outcome


@pytest.mark.parametrize(
    ("name", "code", "branch", "status"),
    [
        ("ok", 0, "branch-001", "success"),
        ("verbose", 0, "branch-001", "success"),
        ("quiet", 0, "branch-001", "success"),
        ("check_mode", 0, "branch-001", "success"),
        ("relative_paths", 0, "branch-001", "success"),
        ("by_name", 0, "branch-001", "success"),
        ("secrets", 0, "branch-001", "success"),
        ("left_on_purpose", 0, "branch-001", "success"),
        ("task_failed", 1, "branch-001", "failed"),
        ("no_hosts", 1, None, "failed"),
        ("ansible_killed", 1, "branch-001", "failed"),
        ("lock_held", 3, "branch-001", "failed"),
        ("unreachable", 4, "branch-001", "failed"),
        ("syntax_error", 5, None, "failed"),
        ("unknown_module", 5, None, "failed"),
        ("missing_playbook", 5, None, "failed"),
        ("timed_out", 124, "branch-001", "failed"),
        ("sigint", 130, "branch-001", "failed"),
        ("sigterm", 143, "branch-001", "failed"),
        ("sighup", 143, "branch-001", "failed"),
        ("stubborn", 143, "branch-001", "failed"),
    ],
)
def test_each_end_has_its_code_and_one_observed_row(
    name: str, code: int, branch: str | None, status: str, outcome: Callable[[str], Outcome], bench: Bench
) -> None:
    ended = outcome(name)
    assert ended.code == code, ended.stderr
    assert [(row.branch, row.status, row.evidence) for row in ended.rows] == [(branch, status, Evidence.OBSERVED)]
    assert ended.rows[0].launcher == "cli"
    assert bool(ended.rows[0].error) == (status == "failed")
    assert list(bench.project_path(name).glob("state/journal*/*.json")) == []
    assert list(bench.project_path(name).glob("state/locks/run-*.wrapper.lock")) == []


@pytest.mark.parametrize("name", ["timed_out", "sigterm", "sigint", "sighup", "stubborn", "ansible_killed"])
def test_nothing_is_left_running_when_the_command_returns(name: str, outcome: Callable[[str], Outcome]) -> None:
    assert outcome(name).left == []


@pytest.mark.parametrize("name", ["sigterm", "sigint", "sighup"])
def test_a_signal_ends_the_run_in_good_order_and_soon(name: str, outcome: Callable[[str], Outcome]) -> None:
    ended = outcome(name)
    assert ended.seconds < 12
    # The callback's own words: ansible-playbook was asked first, and had the time to record its end.
    assert "signal" in (ended.rows[0].error or "")


def test_a_timeout_is_called_one(outcome: Callable[[str], Outcome]) -> None:
    assert "timed out after 12 s" in outcome("timed_out").stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timed_out", "timed out after 12 s"),
        ("sigint", "interrupted by SIGINT"),
        ("sigterm", "interrupted by SIGTERM"),
        ("sighup", "interrupted by SIGHUP"),
    ],
)
def test_the_row_says_why_the_launcher_ended_the_run(name: str, words: str, outcome: Callable[[str], Outcome]) -> None:
    assert words in (outcome(name).rows[0].error or "")


def test_what_a_task_left_on_purpose_outlives_an_orderly_run(outcome: Callable[[str], Outcome]) -> None:
    assert outcome("left_on_purpose").left


@pytest.mark.parametrize("name", ["launcher_killed", "launcher_killed_early"])
def test_a_killed_launcher_takes_the_run_along_and_leaves_a_failed_row(
    name: str, outcome: Callable[[str], Outcome]
) -> None:
    ended = outcome(name)
    assert ended.code == -signal.SIGKILL
    assert ended.notes["reconcile"].code == 0
    assert [row.status for row in ended.notes["rows"]] == ["failed"]


def test_unrecordable(outcome: Callable[[str], Outcome], bench: Bench) -> None:
    ended = outcome("unrecordable")
    assert ended.code == 8, ended.stderr
    assert "could be recorded nowhere" in ended.stderr
    assert "neither in the journal nor in the table" in ended.stderr
    assert list(bench.project_path("unrecordable").glob("larapee-backup-*/artifacts/*/stdout"))


def test_check_mode_is_recorded_as_such(outcome: Callable[[str], Outcome]) -> None:
    assert outcome("check_mode").rows[0].check_mode
    assert not outcome("ok").rows[0].check_mode


def test_a_failure_says_what_failed_and_where_the_output_lies(outcome: Callable[[str], Outcome]) -> None:
    ended = outcome("task_failed")
    assert "failed: here: ansible.builtin.fail: Failed to find the till. Look below." in ended.stderr
    output = re.search(r"^full output: (/.+)$", ended.stderr, re.MULTILINE)
    assert output is not None
    assert "Failed to find the till" in Path(output[1]).read_text()


def test_an_unparsable_playbook_is_shown_with_ansibles_words(outcome: Callable[[str], Outcome]) -> None:
    ended = outcome("syntax_error")
    assert "YAML parsing failed" in ended.stderr
    assert "YAML parsing failed" in (ended.rows[0].error or "")
    assert "nowhere.yml could not be found" in outcome("missing_playbook").stderr


def test_how_much_is_said(outcome: Callable[[str], Outcome]) -> None:
    assert "said by ansible" not in outcome("ok").stdout
    assert "play: Probe" in outcome("ok").stdout
    assert "success" in outcome("ok").stdout
    assert "said by ansible" in outcome("verbose").stdout
    assert (outcome("quiet").stdout, outcome("quiet").stderr) == ("", "")


def test_the_reason_of_a_lock_is_told(outcome: Callable[[str], Outcome]) -> None:
    assert "another run holds the lock" in outcome("lock_held").stderr
    assert outcome("lock_held").rows[0].details["reason"] == "lock_held"


def test_no_secret_in_what_the_launcher_keeps(outcome: Callable[[str], Outcome], bench: Bench) -> None:
    assert outcome("secrets").code == 0
    kept = [path for path in (bench.project_path("secrets") / "state").rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"command", "stdout", "runs.sqlite"}
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_what_the_launcher_keeps_is_closed_to_others(outcome: Callable[[str], Outcome], bench: Bench) -> None:
    row = outcome("ok").rows[0]
    directory = bench.project_path("ok") / "state" / "runner" / row.run_id
    assert directory.stat().st_mode & 0o777 == 0o700
    assert not (directory / "env").exists()
    assert list((directory / "artifacts" / row.run_id / "job_events").iterdir()) == []


def test_a_preset_run_id_is_used_once(outcome: Callable[[str], Outcome]) -> None:
    second = outcome("preset_id")
    assert second.notes["first"].code == second.code == 0
    assert "belongs to another run" in second.stderr
    assert len(second.rows) == 2
    assert PRESET in {row.run_id for row in second.rows}
    assert {row.launcher for row in second.rows} == {"timer"}


def test_a_configuration_that_cannot_be_read_starts_nothing(outcome: Callable[[str], Outcome]) -> None:
    ended = outcome("forged_recorder")
    assert ended.code == 3
    assert "none.yml" in ended.stderr
    assert ended.rows == []


def test_run_ids_are_uuids(outcome: Callable[[str], Outcome]) -> None:
    row = outcome("ok").rows[0]
    assert uuid.UUID(row.run_id).version == 4
    assert row.launcher_ref == row.run_id

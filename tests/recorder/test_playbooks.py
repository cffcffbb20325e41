# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One right row for each way in which a playbook can end by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .conftest import BRANCH, CALLBACK, CLOSE, DUMP, GUARD

if TYPE_CHECKING:
    from .conftest import Stage

FAIL = """
- name: Break
  ansible.builtin.fail:
    msg: |
      Failed to dump database larapos: the disk is full. Free some space.
      A second line that stays out of the row.
"""
SECRET = "S3cret-of-the-shop"  # noqa: S105 - searched for, never used


def test_ok(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + DUMP + CLOSE))
    assert code == 0, output
    row = stage.row()
    assert (row.status, row.branch, row.kind, row.error) == ("success", BRANCH, "full", None)
    assert (row.launcher, row.launcher_ref, row.playbook) == ("ansible-playbook", None, "playbook.yml")
    assert [artifact["name"] for artifact in row.artifacts] == ["db-20261122-0300.sql.gz.age"]
    assert (row.bytes, row.recovery_point, row.details) == (4096, "2026-11-22T03:00:07Z", {"engine": "mariadb"})
    assert row.evidence is Evidence.OBSERVED
    assert row.finished_at is not None
    assert row.duration_s == pytest.approx((row.finished_at - row.started_at).total_seconds())
    assert stage.journal() == []
    assert list((stage.settings.state_path / "locks").iterdir()) == []


def test_check_mode_needs_no_artifact_and_says_so(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + CLOSE), "--check")
    assert code == 0, output
    row = stage.row()
    assert (row.status, row.check_mode) == ("success", True)


def test_no_artifact_is_no_backup(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + CLOSE))
    assert code == 0, output
    row = stage.row()
    assert row.status == "failed"
    assert "without an artifact" in str(row.error)


def test_task_failed(stage: Stage) -> None:
    code, _output = stage.play(stage.playbook(GUARD + FAIL + CLOSE))
    assert code == 2
    row = stage.row()
    assert (row.status, row.branch, row.kind) == ("failed", BRANCH, "full")
    assert row.error == (
        "Failed to dump database larapos: the disk is full. Free some space. (task 'Break' on localhost)"
    )


def test_reason_of_a_module_reaches_the_details(stage: Stage) -> None:
    library = stage.directory / "library"
    library.mkdir()
    (library / "held.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "AnsibleModule({}).fail_json(msg='Failed to lock: it is held.', reason='lock_held', holder='pid 17')\n",
        encoding="utf-8",
    )
    stage.play(stage.playbook(GUARD + "\n- name: Dump\n  held:\n" + CLOSE))
    row = stage.row()
    assert (row.details["reason"], row.details["holder"]) == ("lock_held", "pid 17")


def test_rescued(stage: Stage) -> None:
    tasks = "\n- name: Try\n  block:" + _indent(FAIL) + "\n  rescue:" + _indent(DUMP)
    code, output = stage.play(stage.playbook(GUARD + tasks + CLOSE))
    assert code == 0, output
    assert stage.row().status == "success"


def test_failure_in_rescue(stage: Stage) -> None:
    tasks = "\n- name: Try\n  block:" + _indent(FAIL) + "\n  rescue:" + _indent(FAIL.replace("Break", "Break again"))
    code, _output = stage.play(stage.playbook(GUARD + tasks + CLOSE))
    assert code == 2
    assert "task 'Break again'" in str(stage.row().error)


def test_failure_in_always_does_not_hide_the_first(stage: Stage) -> None:
    """A play that goes on to save what it can failed for what came first."""
    again = FAIL.replace("Break", "Break again")
    tasks = "\n- name: Try\n  block:" + _indent(FAIL) + "\n  always:" + _indent(DUMP) + _indent(again)
    code, _output = stage.play(stage.playbook(GUARD + tasks + CLOSE))
    assert code == 2
    row = stage.row()
    assert "task 'Break'" in str(row.error)
    assert [failure["task"] for failure in row.details["failures"]] == ["Break", "Break again"]
    assert [artifact["name"] for artifact in row.artifacts] == ["db-20261122-0300.sql.gz.age"]


def test_undefined_variable(stage: Stage) -> None:
    undefined = "\n- name: Show\n  ansible.builtin.debug:\n    msg: '{{ nobody_set_this }}'\n"
    code, _output = stage.play(stage.playbook(GUARD + undefined + CLOSE))
    assert code == 2
    assert "nobody_set_this" in str(stage.row().error)


def test_failed_items_of_a_loop_give_their_own_message(stage: Stage) -> None:
    loop = "\n- name: Loop\n  ansible.builtin.fail:\n    msg: 'Failed to copy {{ item }}'\n  loop: [a, b]\n"
    stage.play(stage.playbook(GUARD + loop + CLOSE))
    assert str(stage.row().error).startswith("Failed to copy a ")


def test_ignored_failure(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + FAIL + "  ignore_errors: true\n" + DUMP + CLOSE))
    assert code == 0, output
    assert stage.row().status == "success"


def test_unreachable(stage: Stage) -> None:
    inventory = stage.directory / "hosts.ini"
    inventory.write_text("shop ansible_host=127.0.0.1 ansible_port=1 ansible_connection=ssh\n", encoding="utf-8")
    ping = "\n- name: Reach\n  ansible.builtin.ping:\n"
    code, output = stage.play(stage.playbook(GUARD + ping + DUMP + CLOSE), inventory=str(inventory))
    assert code == 4, output
    row = stage.row()
    assert (row.status, row.branch, row.kind) == ("failed", BRANCH, "full")
    assert str(row.error).startswith("Unreachable: shop did not answer")


def test_unreachable_before_the_guard_takes_the_branch_from_the_inventory(stage: Stage) -> None:
    inventory = stage.directory / "hosts.ini"
    inventory.write_text(
        "shop-a larapee_backup_branch=branch-007 ansible_connection=local\n"
        "shop-b larapee_backup_branch=branch-008 ansible_host=127.0.0.1 ansible_port=1 ansible_connection=ssh\n",
        encoding="utf-8",
    )
    playbook = stage.playbook(
        "\n- name: Reach\n  ansible.builtin.ping:\n" + GUARD + DUMP.replace(BRANCH, "branch-007") + CLOSE
    )
    text = playbook.read_text(encoding="utf-8").replace(f'    larapee_backup_branch: "{BRANCH}"\n', "")
    playbook.write_text(text, encoding="utf-8")
    code, output = stage.play(playbook, inventory=str(inventory))
    assert code == 4, output
    rows = {row.branch: row for row in stage.rows()}
    assert {branch: row.status for branch, row in rows.items()} == {"branch-007": "success", "branch-008": "failed"}
    assert str(rows["branch-008"].error).startswith("Unreachable: shop-b")


def test_no_hosts_matched(stage: Stage) -> None:
    code, _output = stage.play(stage.playbook(GUARD + DUMP + CLOSE, hosts="no_such_group"))
    assert code == 0, "this is what ansible says, and why the row must not believe it"
    row = stage.row()
    assert (row.status, row.branch) == ("failed", None)
    assert str(row.error).startswith("No hosts matched in playbook.yml")


def test_host_pattern_mismatch_as_an_error(stage: Stage) -> None:
    code, _output = stage.play(
        stage.playbook(GUARD + DUMP + CLOSE, hosts="no_such_group"),
        environ={"ANSIBLE_HOST_PATTERN_MISMATCH": "error"},
    )
    assert code == 1
    row = stage.row()
    assert row.status == "failed"
    assert str(row.error).startswith("Aborted before the first task: no host matched")


def test_run_that_never_reached_its_close_is_no_success(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + DUMP + "  tags: [dump]\n" + CLOSE), "--tags", "dump")
    assert code == 0, output
    row = stage.row()
    assert (row.status, row.branch, row.kind) == ("failed", BRANCH, "full")
    assert "never reached its close" in str(row.error)
    assert row.bytes == 4096


def test_playbook_without_the_guard_is_no_success(stage: Stage) -> None:
    code, output = stage.play(stage.playbook("\n- name: Show\n  ansible.builtin.debug:\n"))
    assert code == 0, output
    row = stage.row()
    assert row.status == "failed"
    assert "larapee.backup.guard" in str(row.error)


def test_results_and_hidden_messages_are_stored_nowhere(stage: Stage) -> None:
    inventory = "shop-a,shop-b,"
    show = f"\n- name: Show\n  ansible.builtin.debug:\n    msg: {SECRET}\n"
    hidden = f"\n- name: Hide\n  ansible.builtin.fail:\n    msg: {SECRET}\n  no_log: true\n"
    code, output = stage.play(stage.playbook(GUARD + show + hidden + CLOSE), inventory=inventory)
    assert code == 2
    assert "fatal: [shop-a]: FAILED" in output
    assert "hidden (no_log)" in str(stage.row().error)
    for path in stage.directory.rglob("*"):
        if path.is_file() and path.name != "playbook.yml":
            assert SECRET.encode() not in path.read_bytes(), path


def test_callback_off_is_refused_with_the_way_out(stage: Stage) -> None:
    playbook = stage.playbook(GUARD + _touch(stage) + CLOSE)
    del stage.environ["ANSIBLE_CALLBACKS_ENABLED"]
    # What a launcher sets before the run must not satisfy the guard.
    code, output = stage.play(playbook, environ={"LARAPEE_BACKUP_RUN_ID": "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"})
    assert code == 2
    assert f"callbacks_enabled = {CALLBACK}" in output
    assert f"ANSIBLE_CALLBACKS_ENABLED={CALLBACK}" in output
    assert not stage.marker.exists()


@pytest.mark.parametrize("word", ["table", "unrecorded", "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"])
def test_word_that_stood_in_the_environment_is_none(stage: Stage, word: str) -> None:
    playbook = stage.playbook(GUARD + _touch(stage) + CLOSE)
    del stage.environ["ANSIBLE_CALLBACKS_ENABLED"]
    given = {"LARAPEE_BACKUP_RECORDER": word, "LARAPEE_BACKUP_RUN_ID": word}
    code, output = stage.play(playbook, environ=given)
    assert code == 2, output
    assert "callbacks_enabled" in output
    assert not stage.marker.exists()


def test_playbook_that_a_task_starts_without_the_callback_is_refused(stage: Stage) -> None:
    inner = stage.playbook(GUARD + _touch(stage) + CLOSE).rename(stage.directory / "inner.yml")
    program = Path(sys.prefix) / "bin" / "ansible-playbook"
    # Everything is inherited but what enables the callback, as under an ansible.cfg without it.
    argv = f"[env, -u, ANSIBLE_CALLBACKS_ENABLED, {program}, -i, 'localhost,', -c, local, {inner}]"
    nested = f"\n- name: Start another\n  ansible.builtin.command:\n    argv: {argv}\n"
    code, output = stage.play(stage.playbook(GUARD + nested + DUMP + CLOSE))
    assert code == 2, output
    assert f"callbacks_enabled = {CALLBACK}" in output
    assert not stage.marker.exists()


def test_role_that_did_something_else_than_the_run_was_started_for(stage: Stage) -> None:
    verified = DUMP.replace("          artifacts", "          kind: verify\n          artifacts")
    code, output = stage.play(stage.playbook(GUARD + verified + CLOSE, kind="full"))
    assert code == 0, output
    row = stage.row()
    assert (row.status, row.kind) == ("failed", "full")
    assert "started as full, but a role did verify" in str(row.error)


@pytest.mark.parametrize("role", ["verify", "restore_database"])
def test_role_refuses_a_run_of_another_kind(stage: Stage, role: str) -> None:
    wrong = f"\n- name: Other\n  ansible.builtin.import_role:\n    name: larapee.backup.{role}\n"
    code, output = stage.play(stage.playbook(GUARD + wrong + CLOSE, kind="full"))
    assert code == 2, output
    row = stage.row()
    assert (row.status, row.kind, row.branch) == ("failed", "full", BRANCH)
    assert "larapee_backup_kind" in output


def test_verification_that_slipped_through_as_a_full_says_what_it_was(stage: Stage) -> None:
    (stage.directory / "place").mkdir()
    (stage.directory / "signers").touch()
    wrong = (
        "\n- name: Other\n  ansible.builtin.include_role:\n    name: larapee.backup.verify\n"
        "    rolespec_validate: false\n"
        f"  vars:\n    larapee_backup_local_path: {stage.directory}/place\n"
        f"    larapee_backup_allowed_signers: {stage.directory}/signers\n"
        f"    larapee_backup_state_path: {stage.directory}/state\n"
    )
    survived = "\n- name: Try\n  block:" + _indent(wrong) + "\n  rescue:" + _indent(DUMP)
    code, output = stage.play(stage.playbook(GUARD + survived + CLOSE, kind="full"))
    assert code == 0, output
    row = stage.row()
    assert (row.status, row.kind) == ("failed", "full")
    assert "a role did verify" in str(row.error)


def test_branch_that_yaml_reads_as_a_number(stage: Stage) -> None:
    playbook = stage.playbook(GUARD + DUMP.replace(f"{BRANCH}:", '"7":') + CLOSE)
    text = playbook.read_text(encoding="utf-8")
    playbook.write_text(
        text.replace(f'larapee_backup_branch: "{BRANCH}"', "larapee_backup_branch: 7"), encoding="utf-8"
    )
    code, output = stage.play(playbook)
    assert code == 0, output
    assert (stage.row().branch, stage.row().status) == ("7", "success")


def test_run_id_of_the_launcher_is_used_once(stage: Stage) -> None:
    playbook = stage.playbook(GUARD + DUMP + CLOSE)
    given = "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a002"
    environ = {"LARAPEE_BACKUP_RUN_ID": given, "LARAPEE_BACKUP_LAUNCHER": "timer"}
    assert stage.play(playbook, environ=environ)[0] == 0
    code, output = stage.play(playbook, environ=environ)
    assert code == 0, output
    assert "a run of this id has ended already" in " ".join(output.split())
    rows = stage.rows()
    assert len({row.run_id for row in rows}) == len(rows) == 2
    assert rows[-1].run_id == given
    assert {row.status for row in rows} == {"success"}
    assert {row.launcher for row in rows} == {"timer"}


def test_awx_job_is_named(stage: Stage) -> None:
    assert stage.play(stage.playbook(GUARD + DUMP + CLOSE), environ={"JOB_ID": "4711"})[0] == 0
    row = stage.row()
    assert (row.launcher, row.launcher_ref) == ("awx", "4711")


def test_two_playbooks_in_one_command_leave_a_row_each(stage: Stage) -> None:
    playbook = stage.playbook(GUARD + DUMP + CLOSE)
    code, output = stage.play(playbook, "playbook.yml")
    assert code == 0, output
    rows = stage.rows()
    assert len({row.run_id for row in rows}) == len(rows) == 2
    assert {row.status for row in rows} == {"success"}


def _touch(stage: Stage) -> str:
    return f"\n- name: Work\n  ansible.builtin.file:\n    path: {stage.marker}\n    state: touch\n    mode: '0600'\n"


def _indent(tasks: str) -> str:
    return tasks.replace("\n", "\n    ")


MANY = """
- name: Set the branches
  ansible.builtin.set_fact:
    larapee_backup_branches: [branch-001, branch-002, 7]
"""
REPORT = """
- name: Report
  ansible.builtin.import_role:
    name: larapee.backup.guard
    tasks_from: report
  vars:
    larapee_backup_reports:
      branch-001: {artifacts: [], details: {adopted: 3}, recovery_point: "2026-11-22T03:00:07Z"}
      branch-002: {details: {}, error: "Failed to pull branch-002: it refused."}
      "7": {details: {}}
"""


def test_a_play_for_many_branches_has_a_row_for_each(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(MANY + GUARD + REPORT + CLOSE, kind="sync"))
    assert code == 2
    assert "Failed to finish 1 of 3 branches: branch-002" in output
    rows = {row.branch: row for row in stage.rows()}
    assert {(branch, row.kind, row.status, row.error) for branch, row in rows.items()} == {
        ("branch-001", "sync", "success", None),
        ("branch-002", "sync", "failed", "Failed to pull branch-002: it refused."),
        ("7", "sync", "success", None),
    }
    assert rows["branch-001"].details == {"adopted": 3}


def test_a_play_for_no_branch_is_refused(stage: Stage) -> None:
    code, output = stage.play(stage.playbook(GUARD + CLOSE, kind="sync", branch=""))
    assert code == 2
    assert "it is for no branch" in output
    assert stage.row().status == "failed"


def test_a_branch_that_nothing_was_done_for_is_a_failed_row(stage: Stage) -> None:
    """As when a name is mistyped, or its host is not in the group: silence is no success."""
    four = MANY.replace("7]", "7, branch-009]")
    code, output = stage.play(stage.playbook(four + GUARD + REPORT + CLOSE, kind="sync"))
    assert code == 2
    assert "Failed to finish 2 of 4 branches: branch-002; branch-009" in output
    rows = {row.branch: row for row in stage.rows()}
    assert rows["branch-001"].status == "success"
    assert rows["branch-009"].status == "failed"
    assert "Failed to do anything for this branch" in str(rows["branch-009"].error)

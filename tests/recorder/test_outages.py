# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One right row, sooner or later, when the place for it cannot be written."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, Journal

from .conftest import BRANCH, CLOSE, DUMP, GUARD, wait_for
from .test_killed import end_worker

if TYPE_CHECKING:
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer

    from .conftest import Stage

# A module that needs no fork of a worker's shell: it only changes what the recorder finds.
REPAIR = """
- name: Repair
  ansible.builtin.file:
    path: {path}
    state: absent
"""


def work(stage: Stage) -> str:
    return f"\n- name: Work\n  ansible.builtin.file:\n    path: {stage.marker}\n    state: touch\n    mode: '0600'\n"


def spoil(path: Path) -> None:
    """Root may write everywhere, but not below a regular file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way", encoding="utf-8")


def test_table_down_at_start(stage: Stage) -> None:
    spoil(stage.table.parent)
    code, output = stage.play(stage.playbook(GUARD + REPAIR.format(path=stage.table.parent) + DUMP + CLOSE))
    assert code == 0, output
    assert "Failed to open the runs table" in " ".join(output.split())
    assert stage.row().status == "success"
    assert stage.journal() == []


def test_table_down_at_the_end_waits_in_the_journal_for_the_next_run(stage: Stage) -> None:
    break_it = "\n- name: Break\n  ansible.builtin.command:\n    argv: [/bin/sh, -c, {script}]\n  changed_when: false\n"
    script = f"mv {stage.table.parent} {stage.directory}/away && touch {stage.table.parent}"
    code, output = stage.play(stage.playbook(GUARD + break_it.format(script=f'"{script}"') + DUMP + CLOSE))
    assert code == 0, output
    assert "waits in the journal" in " ".join(output.split())
    assert len(stage.journal()) == 1
    assert [row.status for row in stage.recorder.rows(Journal(stage.settings.state_path).pending_files()[0].stem)] == [
        "success"
    ]

    stage.table.parent.unlink()
    (stage.directory / "away").rename(stage.table.parent)
    assert stage.row().status == "pending"
    assert stage.play(stage.playbook(GUARD + DUMP + CLOSE))[0] == 0
    assert [row.status for row in stage.rows()] == ["success", "success"]
    assert stage.journal() == []


def test_silent_server_delays_a_run_but_never_stops_it(stage: Stage) -> None:
    option_file = stage.directory / "runs.cnf"
    option_file.touch(mode=0o600)
    option_file.write_text("[client]\nuser=runs\npassword=unheard\n", encoding="utf-8")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        host = f"127.0.0.1:{mute.getsockname()[1]}"
        url = f"mysql+pymysql://{host}/runs?read_default_file={option_file}"
        began = time.monotonic()
        code, output = stage.play(stage.playbook(GUARD + DUMP + CLOSE), environ={"LARAPEE_BACKUP_RUNS_URL": url})
        took = time.monotonic() - began
    assert code == 0, output
    assert "unheard" not in output
    assert took < 20
    assert len(stage.journal()) == 1
    assert stage.recorder.flush().flushed == 1
    assert stage.row().status == "success"


def test_server_killed_during_the_run(stage: Stage, server: ThrowawayServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE killed")
    option_file = server.write_option_file(stage.directory / "runs.cnf", user="root", password="")
    url = f"mysql+pymysql://localhost/killed?read_default_file={option_file}"
    stage.environ["LARAPEE_BACKUP_RUNS_URL"] = url
    with stage.start(stage.playbook(GUARD + stage.hold.replace("sleep 90", "sleep 1") + DUMP + CLOSE)) as process:
        wait_for(stage.marker.exists, what="the task in the middle of the run")
        assert (stage.row().status, stage.row().branch) == ("pending", BRANCH)
        server.kill()
        try:
            output, _nothing = process.communicate(timeout=30)
            assert process.returncode == 0, output
            assert len(stage.journal()) == 1
            result = stage.recorder.flush()
            assert (result.flushed, result.remaining) == (0, 1)
            assert "Failed to reach the runs table killed" in result.errors[0]
        finally:
            server.start()
    assert stage.recorder.flush().flushed == 1
    row = stage.row()
    assert (row.status, row.branch, row.evidence) == ("success", BRANCH, Evidence.OBSERVED)
    assert stage.journal() == []


def test_journal_unwritable_lets_a_backup_go_on(stage: Stage) -> None:
    spoil(stage.settings.state_path / "journal")
    code, output = stage.play(stage.playbook(GUARD + work(stage) + DUMP + CLOSE))
    assert code == 0, output
    assert "Failed to write" in output
    assert stage.marker.exists()
    assert stage.row().status == "success"


@pytest.mark.parametrize("kind", ["restore", "retention", "rotate", "verify", "drill"])
def test_journal_unwritable_refuses_what_is_no_backup(stage: Stage, kind: str) -> None:
    spoil(stage.settings.state_path / "journal")
    code, output = stage.play(stage.playbook(GUARD + work(stage) + CLOSE, kind=kind))
    assert code == 2
    assert "Failed to start the run: its start could not be written to the journal" in " ".join(output.split())
    assert not stage.marker.exists()
    assert (stage.row().status, stage.row().kind) == ("failed", kind)


def test_recorded_nowhere_a_backup_works_and_fails_at_its_close(stage: Stage) -> None:
    spoil(stage.settings.state_path)
    spoil(stage.table.parent)
    code, output = stage.play(stage.playbook(GUARD + work(stage) + DUMP + CLOSE))
    assert code == 2
    assert stage.marker.exists()
    words = " ".join(output.split())
    assert "Failed to record this run: neither the journal nor the runs table could be written" in words
    assert "What it did is recorded nowhere" in words


def test_both_back_before_the_close_make_it_a_success(stage: Stage) -> None:
    spoil(stage.settings.state_path)
    repair = REPAIR.format(path=stage.settings.state_path)
    code, output = stage.play(stage.playbook(GUARD + repair + DUMP + CLOSE))
    assert code == 0, output
    assert stage.row().status == "success"


def test_broken_settings_are_told_and_refuse(stage: Stage) -> None:
    config = stage.directory / "config.yml"
    config.write_text("runs_url: [S3cret\n", encoding="utf-8")
    code, output = stage.play(
        stage.playbook(GUARD + work(stage) + CLOSE, kind="restore"), environ={"LARAPEE_BACKUP_CONFIG": str(config)}
    )
    assert code == 2
    assert "it is not YAML" in output
    assert "S3cret" not in output
    assert not stage.marker.exists()


def test_killed_run_of_an_unwritable_journal_is_found_in_the_table(stage: Stage) -> None:
    spoil(stage.settings.state_path / "journal")
    process = stage.start(stage.playbook(GUARD + stage.hold + DUMP + CLOSE))
    try:
        wait_for(stage.marker.exists, what="the task in the middle of the run")
        assert stage.recorder.reconcile() == []
        process.kill()
        process.communicate()
        assert [lost.branch for lost in stage.recorder.reconcile()] == [BRANCH]
        assert stage.row().status == "failed"
    finally:
        process.kill()
        end_worker(stage)

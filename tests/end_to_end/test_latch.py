# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is being restored holds its tongue: timers fire, and nothing is made or removed until it is open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _latch, _lock

from .branch import BRANCH, FULL, RESTORE

if TYPE_CHECKING:
    from pathlib import Path

    from .branch import Branch, Started

OPEN, RETENTION = "larapee.backup.open", "larapee.backup.retention"


def log_files(branch: Branch) -> int:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        return int(cursor.execute("SHOW BINARY LOGS"))


@pytest.mark.parametrize("kind", ["full", "increment", "log", "retention"])
def test_no_run_does_anything_while_the_latch_is_set(branch: Branch, kind: str) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    _latch.set_latch(str(branch.state), branch=BRANCH, because="restore to latest", run_id="r")
    before, logs = branch.place() - {"runs"}, log_files(branch)
    arguments = [] if kind == "retention" else ["-e", f"larapee_backup_kind={kind}"]
    code, started = branch.playbook(RETENTION if kind == "retention" else FULL, *arguments)
    assert code != 0
    row = branch.rows()[0]
    assert (row.status, row.kind, row.details["reason"]) == ("failed", kind, "latched")
    assert "larapee.backup.open" in str(row.error)
    assert branch.place() - {"runs"} == before
    assert log_files(branch) == logs


def test_nobody_opens_a_shop_while_a_restore_is_at_work(branch: Branch) -> None:
    _latch.set_latch(str(branch.state), branch=BRANCH, because="restore to latest", run_id="r")
    with _lock.hold(str(branch.state), f"restore-{BRANCH}", run_id="other"):
        code, _started = branch.playbook(OPEN)
    assert code != 0
    assert branch.rows()[0].details["reason"] == "lock_held"
    assert _latch.read_latch(str(branch.state), branch=BRANCH) is not None


def test_opened_the_next_run_takes_a_full_of_a_new_epoch(branch: Branch) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    old = branch.rows()[0].details["epoch"]
    _latch.set_latch(str(branch.state), branch=BRANCH, because="restore to latest", run_id="r")
    code, started = branch.playbook(OPEN)
    assert code == 0, started.output
    row = branch.rows()[0]
    assert row.details["job"] == "open"
    assert row.details["opened"]["because"] == "restore to latest"
    assert row.details["opened"]["since"].endswith("Z")
    code, started = branch.playbook(FULL, "-e", "larapee_backup_kind=log")
    assert code == 0, started.output
    row = branch.rows()[0]
    assert [each["name"][:3] for each in row.artifacts if each["name"].startswith("db-")] == ["db-"]
    assert row.details["epoch"] != old


def test_a_damaged_latch_is_told_and_lets_nothing_pass(branch: Branch) -> None:
    damaged = branch.state / "latch" / f"{BRANCH}.json"
    (damaged / "something").mkdir(parents=True)
    code, started = branch.playbook(OPEN)
    assert code != 0
    row = branch.rows()[0]
    assert row.details["reason"] == "bad_latch"
    assert "Failed to release the latch" in str(row.error)
    assert "Traceback" not in started.output
    code, _started = branch.playbook(FULL)
    assert code != 0
    assert branch.rows()[0].details["reason"] == "latched"
    damaged.rename(branch.state / "aside")
    code, started = branch.playbook(OPEN)
    assert code == 0, started.output
    code, started = branch.playbook(FULL)
    assert code == 0, started.output


def latched(branch: Branch) -> bool:
    return _latch.read_latch(str(branch.state), branch=BRANCH) is not None


def restore(branch: Branch, *arguments: str, **options: object) -> Started:
    given = {"larapee_backup_restore_confirm": BRANCH, **options}
    code, started = branch.playbook(RESTORE, "-e", json.dumps(given), *arguments)
    assert code == 0, started.output
    return started


def test_a_restore_into_what_this_host_backs_up_holds_its_backups_until_it_is_open(branch: Branch) -> None:
    assert branch.playbook(FULL)[0] == 0
    restore(branch)
    assert not latched(branch), "another database is nobody's shop"
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {branch.restored}")
    # As a person may write it: the same server by another way.
    live = {
        "larapee_backup_restore_db_name": branch.database,
        "larapee_backup_restore_db_option_file": str(as_root(branch)),
    }
    assert '"holds_backups": true' in restore(branch, "--check", **live).words
    assert not latched(branch)
    told = restore(branch, **live)
    assert "until larapee.backup.open says that the shop sells" in told.words
    row = branch.rows()[0]
    assert any("larapee.backup.open" in warning for warning in row.details["warnings"])
    assert branch.playbook(FULL)[0] != 0
    assert branch.rows()[0].details["reason"] == "latched"
    assert branch.playbook(OPEN)[0] == 0
    assert branch.playbook(FULL)[0] == 0


def as_root(branch: Branch) -> Path:
    """An option file of an account that may do everything, by another name of the socket."""
    socket, path = branch.directory / "the.sock", branch.directory / "everything.cnf"
    socket.symlink_to(branch.server.socket)
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER everything@localhost IDENTIFIED BY 'PwOfATest'")
        cursor.execute("GRANT ALL ON *.* TO everything@localhost WITH GRANT OPTION")
    path.touch(mode=0o600)
    path.write_text(f'[client]\nuser = "everything"\npassword = "PwOfATest"\nsocket = "{socket}"\n')
    return path


def test_all_uploads_of_this_host_restored_hold_its_backups_and_one_file_does_not(branch: Branch) -> None:
    branch.write_inventory(larapee_backup_restore_uploads_path=str(branch.uploads))
    assert branch.playbook(FULL)[0] == 0
    parts = {"larapee_backup_restore_parts": ["uploads"]}
    restore(branch, **parts, larapee_backup_restore_paths=["receipts/2026/photo 1.jpg"])
    assert not latched(branch)
    restore(branch, **parts)
    assert latched(branch)
    assert branch.playbook(FULL)[0] != 0
    assert branch.rows()[0].details["reason"] == "latched"


@pytest.mark.parametrize("history", ["none", "backed up", "opened", "filled"])
def test_an_empty_host_is_held_when_it_is_prepared_and_never_again(branch: Branch, history: str) -> None:
    """What branch_prepare does between the accounts and the timers."""
    name = branch.database if history == "filled" else f"{branch.database}_to_be"
    if history == "backed up":
        assert branch.playbook(FULL)[0] == 0
    if history == "opened":
        _latch.set_latch(str(branch.state), branch=BRANCH, because="restore to latest", run_id="r")
        assert branch.playbook(OPEN)[0] == 0
    wanted = {"branch": BRANCH, "empty_only": True, "db_option_file": str(as_root(branch)), "db_name": name}
    words = json.dumps({**wanted, "state_path": str(branch.state)})
    changed = []
    for more in (["--check"], [], []):
        started = branch.start("ansible", "localhost", "-m", "larapee.backup.latch", "-a", words, *more)
        assert started.wait() == 0, started.output
        changed.append("CHANGED" in started.output)
    assert changed == ([True, True, False] if history == "none" else [False, False, False])
    assert latched(branch) == (history == "none")

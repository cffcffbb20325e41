# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is being restored holds its tongue: timers fire, and nothing is made or removed until it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _latch, _lock

from .branch import BRANCH, FULL

if TYPE_CHECKING:
    from .branch import Branch

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

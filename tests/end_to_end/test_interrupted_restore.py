# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that is killed half-way leaves the target as it was, or marked; and the next restore succeeds."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .branch import BRANCH, FULL, RESTORE
from .holds import LOADING, Hold
from .processes import below, wait_for

if TYPE_CHECKING:
    from .branch import Branch

GONE_WITHIN_S = 10.0


@pytest.fixture
def loading(branch: Branch) -> tuple[Hold, int]:
    """A restore by ansible-playbook, with half of the dump in the target; and its process."""
    code, full = branch.playbook(FULL)
    assert code == 0, full.output
    hold = Hold(branch, LOADING)
    started = branch.start_playbook(RESTORE)
    hold.wait(started)
    return hold, started.pid


def kill(branch: Branch, pids: list[int]) -> None:
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    branch.end()
    wait_for(lambda: not below(branch.directory), what="the end of the restore", patience_s=GONE_WITHIN_S)
    code, reconciled = branch.command("journal", "reconcile")
    assert code == 0, reconciled.output
    row = branch.rows()[0]
    assert (row.status, row.kind, row.branch, row.evidence) == ("failed", "restore", BRANCH, Evidence.INFERRED)
    assert str(row.error).startswith("lost: the process of the run (pid ")


def tables(branch: Branch) -> set[str]:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [branch.restored])
        return {str(name) for (name,) in cursor.fetchall()}


def test_killed_ansible_leaves_the_target_empty(branch: Branch, loading: tuple[Hold, int]) -> None:
    """The module notices that nobody waits for it, and puts the target back."""
    hold, ansible = loading
    assert "receipts" in tables(branch)
    kill(branch, [ansible])
    assert tables(branch) == set()
    hold.remove()
    code, restore = branch.run(RESTORE)
    assert code == 0, restore.output
    assert branch.receipts(branch.restored) == branch.receipts(branch.database)


def test_power_cut_leaves_the_target_marked_and_refused(branch: Branch, loading: tuple[Hold, int]) -> None:
    hold, _ansible = loading
    kill(branch, list(below(branch.directory)))
    hold.remove()
    assert {"larapee_backup_unfinished_restore", "receipts"} <= tables(branch)
    code, refused = branch.run(RESTORE)
    assert code == 1, refused.output
    assert "it is left unfinished by an earlier restore" in refused.words
    assert f"set larapee_backup_restore_confirm to {BRANCH}" in refused.words
    code, restore = branch.run(RESTORE, "-e", f"larapee_backup_restore_confirm={BRANCH}")
    assert code == 0, restore.output
    assert "larapee_backup_unfinished_restore" not in tables(branch)
    assert branch.receipts(branch.restored) == branch.receipts(branch.database)

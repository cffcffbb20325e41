# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second run beside the first: refused at once, by name of the first, and the first is not disturbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .branch import BRANCH, FULL, RESTORE
from .holds import ARCHIVING, DUMPING, Hold
from .processes import wait_for

if TYPE_CHECKING:
    from .branch import Branch


def test_second_full_says_who_holds_the_lock(branch: Branch) -> None:
    hold = Hold(branch, DUMPING)
    first = branch.start_run(FULL)
    hold.wait(first)
    first_id = branch.row().run_id
    before = branch.place()

    code, second = branch.run(FULL)
    assert code == 3, second.output
    assert branch.place() == before
    row = next(row for row in branch.rows() if row.run_id != first_id)
    assert (row.status, row.branch, row.kind, row.evidence) == ("failed", BRANCH, "full", Evidence.OBSERVED)
    assert (row.details["reason"], row.artifacts) == ("lock_held", [])
    assert f"of run {first_id} since " in str(row.error)
    assert str(row.error).startswith(f"Failed to take the lock full-{BRANCH}: process ")
    assert f"of run {first_id} since " in second.words
    assert f"run_id {first_id}" in row.details["holder"]

    hold.release()
    assert first.wait() == 0, first.output
    assert next(row for row in branch.rows() if row.run_id == first_id).status == "success"
    outcome = branch.verify()
    assert outcome.failures == []
    assert len(outcome.verified) == 3
    # What was refused is no lasting refusal.
    hold.remove()
    code, third = branch.run(FULL)
    assert code == 0, third.output


def test_restore_and_full_of_one_branch_exclude_each_other(branch: Branch) -> None:
    code, started = branch.run(FULL)
    assert code == 0, started.output
    hold = Hold(branch, DUMPING)
    first = branch.start_run(FULL)
    hold.wait(first)
    code, second = branch.run(RESTORE)
    assert code == 3, second.output
    row = branch.rows()[0]
    assert (row.status, row.kind, row.details["reason"]) == ("failed", "restore", "lock_held")
    with branch.server.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE %s", [branch.restored]) == 0
    hold.release()
    assert first.wait() == 0, first.output


def test_a_log_that_needs_a_full_waits_for_the_one_that_is_being_taken(branch: Branch) -> None:
    """As when the first runs of two timers meet: nothing can be sealed yet."""
    hold = Hold(branch, DUMPING)
    first = branch.start_run(FULL)
    hold.wait(first)
    log = ("-e", "larapee_backup_kind=log", "-e", "_dump_database_pause=1")
    code, second = branch.run(FULL, *log, "-e", "_dump_database_tries=2")
    assert code == 3, second.output
    waiting = branch.start_playbook(FULL, *log, "-e", "_dump_database_tries=60", environ={"PYTHONUNBUFFERED": "1"})
    wait_for(lambda: "FAILED - RETRYING" in waiting.output, what="its second try")
    hold.remove()
    hold.release()
    assert first.wait() == 0, first.output
    assert waiting.wait() == 0, waiting.output
    assert branch.verify().failures == []


def test_log_beside_a_full_waits_for_the_uploads_and_then_refuses(branch: Branch) -> None:
    code, started = branch.run(FULL)
    assert code == 0, started.output
    (branch.uploads / "new").write_bytes(b"new")
    hold = Hold(branch, ARCHIVING)
    first = branch.start_run(FULL)
    hold.wait(first)
    log = ("-e", "larapee_backup_kind=log", "-e", "_archive_files_pause=1")
    code, second = branch.run(FULL, *log, "-e", "_archive_files_tries=2")
    assert code == 3, second.output
    row = branch.rows()[0]
    assert (row.status, row.kind, row.details["reason"]) == ("failed", "log", "lock_held")
    assert str(row.error).startswith(f"Failed to take the lock files-{BRANCH}-uploads: process ")

    # Patient enough for a busy machine, and heard as soon as it says something.
    waiting = branch.start_playbook(FULL, *log, "-e", "_archive_files_tries=60", environ={"PYTHONUNBUFFERED": "1"})
    wait_for(lambda: "FAILED - RETRYING" in waiting.output, what="its second try")
    hold.release()
    assert first.wait() == 0, first.output
    assert waiting.wait() == 0, waiting.output
    assert sorted(row.status for row in branch.rows()) == ["failed", "success", "success", "success"]
    assert branch.verify().failures == []

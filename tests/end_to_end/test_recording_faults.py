# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real full and a real restore by the wrapper when the runs database or the journal cannot be written.

What the recorder alone does then, tests/recorder/test_outages.py tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.server import ThrowawayServer

from .branch import BRANCH, FULL, RESTORE
from .holds import DUMPING, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .branch import Branch


@pytest.fixture
def runs_server(branch: Branch) -> Iterator[ThrowawayServer]:
    """The table on a server of its own, which is never the one that a restore replaces."""
    with ThrowawayServer(branch.directory / "runs-server", server_id=9) as server:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE runs")
        option_file = server.write_option_file(branch.directory / "runs.cnf", user="root", password="")
        url = f"mysql+pymysql://localhost/runs?read_default_file={option_file}"
        branch.environ["LARAPEE_BACKUP_RUNS_URL"] = url
        yield server


def spoil(path: Path) -> None:
    """Root may write everywhere, but not below a regular file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way", encoding="utf-8")


def require_backup(branch: Branch) -> None:
    outcome = branch.verify()
    assert outcome.failures == []
    assert sorted(entry.manifest.kind for entry in outcome.verified) == ["config", "db_full", "files_full"]


def require_nothing_restored(branch: Branch) -> None:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE %s", [branch.restored]) == 0


def test_runs_database_down_from_start_to_end(branch: Branch, runs_server: ThrowawayServer) -> None:
    runs_server.kill()
    code, started = branch.run(FULL)
    assert code == 0, started.output
    require_backup(branch)
    # What the callback saw, and what the wrapper saw.
    assert len(branch.journal()) == 2
    assert "Failed to reach the runs table" in started.words

    runs_server.start()
    code, flushed = branch.command("journal", "flush")
    assert code == 0, flushed.output
    row = branch.row()
    assert (row.status, row.branch, row.kind, row.launcher) == ("success", BRANCH, "full", "cli")
    assert row.artifacts
    assert branch.journal() == []


def test_runs_database_down_at_the_end(branch: Branch, runs_server: ThrowawayServer) -> None:
    hold = Hold(branch, DUMPING)
    first = branch.start_run(FULL)
    hold.wait(first)
    assert (branch.row().status, branch.row().branch) == ("pending", BRANCH)
    runs_server.kill()
    hold.release()
    assert first.wait() == 0, first.output
    hold.remove()
    require_backup(branch)

    runs_server.start()
    assert branch.row().status == "pending"
    # Nobody has to think of it: the next run brings the table up to date.
    code, second = branch.run(FULL)
    assert code == 0, second.output
    assert [row.status for row in branch.rows()] == ["success", "success"]
    assert branch.journal() == []


def test_journal_unwritable(branch: Branch) -> None:
    for name in ("journal", "journal-wrapper"):
        spoil(branch.state / name)
    code, full = branch.run(FULL)
    assert code == 0, full.output
    require_backup(branch)
    assert branch.row().status == "success"

    code, restore = branch.run(RESTORE)
    assert code == 1, restore.output
    assert "its start could not be written to the journal" in restore.words
    require_nothing_restored(branch)
    row = branch.rows()[0]
    assert (row.status, row.branch, row.kind) == ("failed", BRANCH, "restore")
    assert "its start could not be written to the journal" in str(row.error)


def test_neither_journal_nor_table(branch: Branch) -> None:
    for name in ("journal", "journal-wrapper"):
        spoil(branch.state / name)
    spoil(branch.table)
    code, full = branch.run(FULL)
    assert code == 8, full.output
    require_backup(branch)
    assert "recorded neither in the journal nor in the table" in full.words

    code, restore = branch.run(RESTORE)
    assert code == 8, restore.output
    assert "its start could not be written to the journal" in restore.words
    require_nothing_restored(branch)


def test_plain_ansible_that_could_record_nowhere_says_so_and_fails(branch: Branch) -> None:
    for path in (branch.state / "journal", branch.table):
        spoil(path)
    code, started = branch.playbook(FULL)
    assert code == 2, started.output
    require_backup(branch)
    assert "neither the journal nor the runs table could be written" in started.words

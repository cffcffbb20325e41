# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the kinds log and increment on a server of their own: a gap is told, and the next run heals it by itself."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from larapee_runner.demo.server import ThrowawayServer

from .branch import BRANCH
from .test_backup_set import back_up, begin, failed_tasks, manifests, sell, tip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .branch import Branch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    """Not the one that other tests use too: binary logs are removed here."""
    with ThrowawayServer(tmp_path_factory.mktemp("own")) as running:
        yield running


def lose(branch: Branch) -> str:
    """A sale whose binary log is removed before it is sealed; returns the file's name."""
    sell(branch)
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MASTER STATUS")
        (name, *_rest) = cursor.fetchone() or ("",)
        cursor.execute("FLUSH BINARY LOGS")
        deadline = time.monotonic() + 20
        while True:
            # The server keeps for a moment what its own recovery would need.
            cursor.execute("SHOW BINARY LOGS")
            logs = [str(row[0]) for row in cursor.fetchall()]
            if len(logs) == 1:
                return str(name)
            assert time.monotonic() < deadline, logs
            cursor.execute(f"PURGE BINARY LOGS TO '{logs[-1]}'")
            time.sleep(0.1)


def fail_by_a_gap(branch: Branch, kind: str, lost: str, *, wrapped: bool = False) -> dict[str, Any]:
    code, started = begin(branch, kind, wrapped=wrapped)
    assert code == (1 if wrapped else 2), started.output
    row = branch.rows()[0]
    assert (row.status, row.kind, row.details["reason"]) == ("failed", kind, "gap")
    assert lost in str(row.error)
    assert str(row.error).endswith(f"(task 'larapee.backup.seal_binlogs : Seal the binary logs' on {BRANCH})")
    made = manifests(branch, row)
    assert "db_full" not in made
    return made


def test_a_gap_is_told_and_the_next_run_takes_a_full_by_itself(branch: Branch) -> None:
    first = manifests(branch, back_up(branch, "full"))["db_full"]
    lost = lose(branch)
    (branch.uploads / "new.txt").write_text("uploaded", encoding="ascii")
    before = tip(branch)["parts"]
    made = fail_by_a_gap(branch, "log", lost, wrapped=True)
    # What keeps the database from being backed up keeps nothing else.
    assert list(made) == ["files_increment"]
    after = tip(branch)["parts"]
    assert after["database"] == before["database"]
    assert after["uploads"]["current_at"] > before["uploads"]["current_at"]

    sell(branch)
    row = back_up(branch, "log", wrapped=True)
    made = manifests(branch, row)
    # Files of another epoch are no set with it.
    assert list(made) == ["db_full", "files_full", "config"]
    forced = made["db_full"]
    assert forced["epoch"] != first["epoch"]
    assert lost in forced["epoch_reason"]
    assert lost in row.details["increment"]["needs_full"]
    assert tip(branch)["parts"]["database"]["artifact"] == forced["artifact"]
    (gap,) = row.details["recoverable"]["gaps"]
    assert lost in gap["why"]

    sell(branch)
    healed = manifests(branch, back_up(branch, "increment"))
    assert list(healed) == ["db_increment", "files_increment", "config"]
    assert healed["db_increment"]["epoch"] == forced["epoch"]

    # The cause lasts: within the hour there is no other full, and each run says why.
    again = lose(branch)
    for kind in ("log", "increment", "log"):
        fail_by_a_gap(branch, kind, again)
    assert "A full was taken for such a gap less than an hour ago" in str(branch.rows()[0].error)
    forced_at = branch.state / "epochs" / f"{BRANCH}.forced.json"
    noted = json.loads(forced_at.read_bytes())
    forced_at.write_text(json.dumps({**noted, "at": "2026-01-01T00:00:00Z"}), encoding="utf-8")
    second = manifests(branch, back_up(branch, "increment"))
    assert list(second) == ["db_full", "files_full", "config"]
    assert again in second["db_full"]["epoch_reason"]
    outcome = branch.verify()
    assert [failure for failure in outcome.failures if failure.level != "intact"] == []


def test_the_first_run_of_a_branch_takes_a_full_whatever_its_kind(branch: Branch) -> None:
    row = back_up(branch, "log")
    assert list(manifests(branch, row)) == ["db_full", "files_full", "config"]
    assert row.details["increment"]["needs_full"] == "there is no full yet"
    assert manifests(branch, back_up(branch, "log")) == {}


def test_check_mode_of_each_kind_writes_nothing(branch: Branch) -> None:
    back_up(branch, "full")
    sell(branch)
    place = branch.place()
    for kind in ("log", "increment"):
        code, started = begin(branch, kind, "--check")
        assert code == 0, started.output
    assert branch.place() == place
    lose(branch)
    code, started = begin(branch, "log", "--check")
    assert code == 2, started.output
    assert "was removed before it was sealed" in started.words
    # Nothing was demanded by a look.
    assert failed_tasks(branch.rows()[0]) == ["Seal the binary logs"]
    assert not (branch.state / "epochs" / f"{BRANCH}.json").exists()


def test_a_log_reader_that_may_not_read_does_not_stop_the_files(branch: Branch) -> None:
    back_up(branch, "full")
    sell(branch)
    (branch.uploads / "new.txt").write_text("uploaded", encoding="ascii")
    branch.write_inventory(larapee_backup_binlog_option_file=str(branch.operator_file))
    code, started = begin(branch, "increment")
    assert code == 2, started.output
    row = branch.rows()[0]
    assert (row.status, row.details["reason"]) == ("failed", "missing_privilege")
    assert "the account lacks REPLICATION SLAVE ON *.*, BINLOG MONITOR ON *.*. Grant it" in str(row.error)
    assert list(manifests(branch, row)) == ["files_increment", "config"]
    assert failed_tasks(row) == ["Seal the binary logs", "Write the tip"]

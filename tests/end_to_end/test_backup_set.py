# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database, uploads and config of one moment: what each kind of run takes, and what is kept when a part fails."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._tip import read_tip

from .branch import BRANCH, FULL

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord

    from .branch import Branch, Started

FAMILIES = {
    **dict.fromkeys(("db_full", "db_increment"), "database"),
    **dict.fromkeys(("files_full", "files_increment"), "uploads"),
    "config": "config",
}
# As root every file can be read: the system call itself is refused.
UNREADABLE = """\
import os
real_open = os.open
def refuse(path, flags, *more, **named):
    if os.fsdecode(path).endswith("photo 3.jpg"):
        raise PermissionError(13, "Permission denied", os.fsdecode(path))
    return real_open(path, flags, *more, **named)
os.open = refuse
"""


def begin(branch: Branch, kind: str, *arguments: str, wrapped: bool = False, **more: Any) -> tuple[int, Started]:
    start = branch.run if wrapped else branch.playbook
    return start(FULL, "-e", f"larapee_backup_kind={kind}", *arguments, **more)


def back_up(branch: Branch, kind: str, *, wrapped: bool = False) -> RunRecord:
    code, started = begin(branch, kind, wrapped=wrapped)
    assert code == 0, started.output
    row = branch.rows()[0]
    assert (row.status, row.kind, row.branch, row.error) == ("success", kind, BRANCH, None)
    assert row.bytes == sum(artifact["size"] for artifact in row.artifacts)
    return row


def manifests(branch: Branch, row: RunRecord) -> dict[str, dict[str, Any]]:
    """By kind, of what the row names beside the tip."""
    names = [artifact["name"] for artifact in row.artifacts]
    assert names[-1] == "tip.json"
    found = [json.loads((branch.local / f"{name}.manifest.json").read_bytes()) for name in names[:-1]]
    assert {each["run_id"] for each in found} <= {row.run_id}
    return {each["kind"]: each for each in found}


def failed_tasks(row: RunRecord) -> list[str]:
    return [failure["task"].partition(" : ")[2] for failure in row.details["failures"]]


def tip(branch: Branch) -> dict[str, Any]:
    return read_tip(str(branch.local), branch=BRANCH, allowed_signers=str(branch.keys.allowed_signers))


def require_least(branch: Branch, row: RunRecord) -> None:
    """The recovery point of a run is that of its tip: the least of the three."""
    current = [part["current_at"] for part in tip(branch)["parts"].values()]
    assert len(current) == 3
    assert row.recovery_point == min(current)


def test_each_kind_of_run_takes_its_parts_of_one_set(branch: Branch) -> None:
    full = back_up(branch, "full")
    made = manifests(branch, full)
    assert list(made) == ["db_full", "files_full", "config"]
    assert {each["set"] for each in made.values()} == {1}
    times = [each["created_at"] for each in made.values()]
    assert times == sorted(times), "what a row names has to be there when the files are read"
    assert full.recovery_point == times[0]
    require_least(branch, full)

    sell(branch)
    (branch.uploads / "new.txt").write_text("uploaded", encoding="ascii")
    (branch.uploads / "receipts" / "2026" / "photo 1.jpg").unlink()
    # What was written in the moment of the walk is taken again by the next run.
    time.sleep(2.5)
    increment = back_up(branch, "increment", wrapped=True)
    made = manifests(branch, increment)
    assert list(made) == ["db_increment", "files_increment", "config"], "a set has its own state of everything"
    assert {each["set"] for each in made.values()} == {2}
    assert made["db_increment"]["fingerprint"] is not None
    assert made["files_increment"]["deletions"] == 1
    require_least(branch, increment)

    before = tip(branch)
    idle = back_up(branch, "log")
    assert manifests(branch, idle) == {}
    after = tip(branch)
    assert after["run_id"] == idle.run_id
    for family in ("database", "uploads", "config"):
        assert after["parts"][family]["artifact"] == before["parts"][family]["artifact"]
        assert after["parts"][family]["current_at"] > before["parts"][family]["current_at"]
    require_least(branch, idle)
    assert str(idle.recovery_point) > str(increment.recovery_point)

    sell(branch)
    (branch.uploads / "empty" / "filled").write_bytes(b"1")
    branch.config[0].write_text("APP_KEY=changed\n", encoding="ascii")
    log = back_up(branch, "log", wrapped=True)
    made = manifests(branch, log)
    assert list(made) == ["db_increment", "files_increment", "config"]
    assert {each["set"] for each in made.values()} == {tip(branch)["set"]} == {3}
    assert made["db_increment"]["fingerprint"] is None
    require_least(branch, log)

    outcome = branch.verify()
    assert outcome.failures == []
    assert len(outcome.verified) == 9


def test_increment_of_an_idle_shop_is_complete_without_one_of_the_database(branch: Branch) -> None:
    full = manifests(branch, back_up(branch, "full"))
    before = tip(branch)["parts"]["database"]
    row = back_up(branch, "increment")
    assert list(manifests(branch, row)) == ["files_increment", "config"]
    after = tip(branch)["parts"]["database"]
    assert after["artifact"] == before["artifact"] == full["db_full"]["artifact"]
    assert after["current_at"] > before["current_at"]
    require_least(branch, row)


def sell(branch: Branch) -> None:
    with branch.server.connect(database=branch.database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO counters VALUES (1)")


def test_kind_that_is_no_backup_is_refused(branch: Branch) -> None:
    code, started = begin(branch, "verify")
    assert code == 2, started.output
    assert "value of larapee_backup_kind must be one of: full, increment, log, got: verify" in started.words
    assert not branch.local.exists()
    assert branch.row().status == "failed"


@pytest.mark.parametrize("wrapped", [False, True], ids=["ansible-playbook", "wrapper"])
def test_database_that_cannot_be_dumped_does_not_stop_the_files(branch: Branch, wrapped: bool) -> None:
    code, started = begin(branch, "full", "-e", "larapee_backup_db_name=nobody_made_it", wrapped=wrapped)
    assert code == (1 if wrapped else 2), started.output
    row = branch.row()
    assert (row.status, row.kind, row.recovery_point) == ("failed", "full", None)
    assert str(row.error).startswith("Failed to dump nobody_made_it: ")
    assert str(row.error).endswith("(task 'larapee.backup.dump_database : Dump the database' on branch-001)")
    assert failed_tasks(row) == ["Dump the database", "Write the tip"]
    assert list(manifests(branch, row)) == ["files_full", "config"]
    assert tip(branch)["parts"]["database"] is None
    assert branch.verify().failures == []


def test_tip_of_a_run_without_its_dump_states_the_older_one(branch: Branch) -> None:
    full = back_up(branch, "full")
    code, _started = begin(branch, "increment", "-e", "larapee_backup_db_name=nobody_made_it")
    assert code == 2
    row = branch.rows()[0]
    assert row.status == "failed"
    assert row.recovery_point == full.recovery_point == tip(branch)["parts"]["database"]["current_at"]
    assert tip(branch)["parts"]["uploads"]["current_at"] > str(full.recovery_point)


@pytest.mark.parametrize("wrapped", [False, True], ids=["ansible-playbook", "wrapper"])
def test_uploads_that_are_missing_do_not_stop_the_others(branch: Branch, wrapped: bool) -> None:
    before = back_up(branch, "full")
    branch.uploads.rename(branch.directory / "elsewhere")
    code, started = begin(branch, "full", wrapped=wrapped)
    assert code == (1 if wrapped else 2), started.output
    row = branch.rows()[0]
    assert row.status == "failed"
    assert str(branch.uploads) in str(row.error)
    assert str(row.error).endswith("(task 'larapee.backup.archive_files : Archive the uploads' on branch-001)")
    assert list(manifests(branch, row)) == ["db_full", "config"]
    # What was uploaded since then is nowhere: the newer database does not make the branch recoverable until now.
    parts = tip(branch)["parts"]
    assert parts["uploads"]["artifact"] == before.artifacts[1]["name"]
    assert row.recovery_point == parts["uploads"]["current_at"] < parts["database"]["current_at"]


def test_upload_that_cannot_be_read_is_told_and_the_others_are_kept(branch: Branch) -> None:
    before = back_up(branch, "full")
    program = branch.directory / "bin" / "sitecustomize.py"
    program.write_text(UNREADABLE, encoding="ascii")
    spoiled = {"PYTHONPATH": os.pathsep.join([str(program.parent), branch.environ["PYTHONPATH"]])}
    for kind in ("increment", "full"):
        sell(branch)
        (branch.uploads / "receipts" / "2026" / "photo 3.jpg").write_bytes(kind.encode())
        code, started = begin(branch, kind, environ=spoiled)
        assert code == 2, started.output
        row = branch.rows()[0]
        assert (row.status, row.details["reason"]) == ("failed", "unreadable_files")
        assert "receipts/2026/photo 3.jpg" in str(row.error)
        made = manifests(branch, row)
        assert {"increment": "db_increment", "full": "db_full"}[kind] in made
        (uploads,) = (each for each in made.values() if FAMILIES[each["kind"]] == "uploads")
        assert uploads["problems"]["unreadable"] == 1
        # It may lack what people look for first: the branch is as old as the last archive of everything.
        assert tip(branch)["parts"]["uploads"]["artifact"] == before.artifacts[1]["name"]
        assert row.recovery_point == tip(branch)["parts"]["uploads"]["current_at"]

    back_up(branch, "log")
    assert tip(branch)["parts"]["uploads"]["artifact"] != before.artifacts[1]["name"]
    assert branch.verify().failures == []


def test_both_fail_and_the_row_tells_the_first(branch: Branch) -> None:
    shutil.rmtree(branch.uploads)
    code, _started = begin(branch, "full", "-e", "larapee_backup_db_name=nobody_made_it")
    assert code == 2
    row = branch.row()
    assert str(row.error).startswith("Failed to dump nobody_made_it: ")
    assert failed_tasks(row) == ["Dump the database", "Archive the uploads", "Write the tip"]
    assert list(manifests(branch, row)) == ["config"]


def test_run_that_left_a_part_out_is_no_success(branch: Branch, tmp_path: Path) -> None:
    """A tip alone is an artifact, but no backup."""
    playbook = tmp_path / "tip-only.yml"
    roles = [{"role": f"larapee.backup.{name}"} for name in ("guard", "close_set")]
    closed = {"name": "Close", "ansible.builtin.import_role": {"name": "larapee.backup.guard", "tasks_from": "close"}}
    play = {"name": "Tip", "hosts": "branches", "gather_facts": False, "vars": {"larapee_backup_kind": "full"}}
    playbook.write_text(json.dumps([{**play, "roles": roles, "post_tasks": [closed]}]), encoding="utf-8")
    code, started = branch.playbook(str(playbook))
    assert code == 2, started.output
    row = branch.row()
    assert (row.status, row.details["reason"]) == ("failed", "incomplete_set")
    assert "database: there is no backup of it" in str(row.error)

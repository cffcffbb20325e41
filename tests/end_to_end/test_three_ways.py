# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""By name, by path and by the wrapper: the same kind of row; and check mode, which changes nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .branch import BRANCH, FULL, RESTORE, VERIFY

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord

    from .branch import Branch

NAMES = {FULL: "branch_backup", VERIFY: "verify", RESTORE: "restore"}
KINDS = {FULL: "full", VERIFY: "verify", RESTORE: "restore"}
# What is of one run, or of one moment, and not of the way in which the run was started.
OF_ONE_RUN = ("run_id", "started_at", "finished_at", "duration_s", "launcher", "launcher_ref", "playbook")
STAMP = re.compile(r"\d{8}-\d{4}(-\d{2})?|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z|[0-9a-f]{64}")
SIZES = ("size", "bytes", "seconds", "set", "gaps", "gap_count")


def likeness(value: Any, name: str = "") -> Any:
    """The value without the time, the hash, the size and the number that differ from run to run."""
    if name in SIZES:
        return type(value)
    if isinstance(value, dict):
        return {key: likeness(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [likeness(item) for item in value]
    return STAMP.sub("*", value) if isinstance(value, str) else value


def likeness_of(row: RunRecord) -> dict[str, Any]:
    columns = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: likeness(value, name) for name, value in columns.items() if name not in OF_ONE_RUN}


def start_three_ways(branch: Branch, playbook: str, *arguments: str) -> list[RunRecord]:
    """The rows of the playbook by name, by path and by the wrapper."""
    path = f"playbooks/{NAMES[playbook]}.yml"
    rows = []
    for begin, name in ((branch.playbook, playbook), (branch.playbook, path), (branch.run, playbook)):
        before = {row.id for row in branch.rows()}
        code, started = begin(name, *arguments)
        assert code == 0, started.output
        (row,) = (row for row in branch.rows() if row.id not in before)
        assert row.playbook == name
        rows.append(row)
    assert branch.journal() == []
    return rows


def forget_restored(branch: Branch) -> None:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {branch.restored}")


def test_each_way_leaves_the_same_kind_of_row(branch: Branch) -> None:
    # The first one of all follows nothing.
    code, first = branch.playbook(FULL)
    assert code == 0, first.output
    fulls = start_three_ways(branch, FULL)
    # Database, uploads and config of each, and the tip, which is rewritten.
    assert [len(row.artifacts) for row in fulls] == [4, 4, 4]
    assert len({artifact["name"] for row in fulls for artifact in row.artifacts}) == 10
    verifications = start_three_ways(branch, VERIFY)
    # The target is empty only once; a confirmed one is restored in the same way.
    code, first = branch.playbook(RESTORE)
    assert code == 0, first.output
    restores = start_three_ways(branch, RESTORE, "-e", f"larapee_backup_restore_confirm={BRANCH}")

    for playbook, rows in ((FULL, fulls), (VERIFY, verifications), (RESTORE, restores)):
        by_name, by_path, by_wrapper = rows
        assert likeness_of(by_name) == likeness_of(by_path) == likeness_of(by_wrapper)
        assert [row.launcher for row in rows] == ["ansible-playbook", "ansible-playbook", "cli"]
        assert [row.launcher_ref for row in rows] == [None, None, by_wrapper.run_id]
        for row in rows:
            assert (row.branch, row.kind, row.status) == (BRANCH, KINDS[playbook], "success")
            assert (row.error, row.check_mode, row.evidence) == (None, False, Evidence.OBSERVED)
            assert row.artifacts
            assert row.bytes == sum(artifact["size"] for artifact in row.artifacts)
            assert row.recovery_point
            assert row.finished_at is not None
            assert row.finished_at > row.started_at
    for row in fulls:
        for artifact in row.artifacts if row is fulls[-1] else row.artifacts[:-1]:
            content = (branch.local / artifact["name"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact["size"], artifact["sha256"])
    assert {row.artifacts[0]["name"] for row in restores} == {fulls[-1].artifacts[0]["name"]}
    assert len(verifications[0].artifacts) == 12


def contents(branch: Branch) -> dict[str, str]:
    """All below the test's directory, but for what recording and the launchers themselves write."""
    ours = [branch.table, branch.state / "runner", branch.directory / "home", branch.directory / "tmp"]
    found = {}
    for path in branch.directory.rglob("*"):
        if any(path.is_relative_to(each) for each in ours) or path.suffix == ".log":
            continue
        if path.is_file():
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = f"{status.st_mode:o} {status.st_mtime_ns} {digest}"
        elif not path.is_relative_to(branch.state):
            found[str(path)] = "directory"
    return found


def databases(branch: Branch) -> list[tuple[Any, ...]]:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MASTER STATUS")
        position = cursor.fetchall()
        cursor.execute("SHOW DATABASES")
        return [*position, *cursor.fetchall()]


@pytest.mark.parametrize("wrapped", [False, True], ids=["ansible-playbook", "wrapper"])
def test_check_mode_leaves_a_row_and_nothing_else(branch: Branch, wrapped: bool) -> None:
    begin = branch.run if wrapped else branch.playbook

    def check(playbook: str) -> tuple[RunRecord, str]:
        before = contents(branch), databases(branch)
        code, started = begin(playbook, "--check", *(("-v",) if wrapped else ()))
        assert code == 0, started.output
        assert (contents(branch), databases(branch)) == before
        row = branch.rows()[0]
        assert (row.status, row.kind, row.branch, row.check_mode) == ("success", KINDS[playbook], BRANCH, True)
        return row, started.words

    full, _words = check(FULL)
    assert not branch.local.exists()
    assert full.artifacts == []
    assert full.details["plan"]["objects"]["tables"] == 2

    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    artifact, *files, _tip = branch.rows()[0].artifacts
    again, _words = check(FULL)
    assert again.artifacts == []
    assert again.details["uploads"]["plan"]["kind"] == "files_full"
    verification, _words = check(VERIFY)
    assert sorted(each["name"] for each in verification.artifacts) == sorted(
        each["name"] for each in (artifact, *files)
    )
    restore, words = check(RESTORE)
    assert restore.artifacts == [artifact]
    assert f'"artifact": "{artifact["name"]}"' in words
    assert f'"recovery_point": "{restore.recovery_point}"' in words
    assert f'"database": "{branch.restored}"' in words
    assert "is not in this full." in words
    assert len(branch.rows()) == 5

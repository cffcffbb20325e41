# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill proves what is right, and names what is not; nothing of it is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.drill.staging import APP, BRANCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.drill.staging import Staging

ALL = ["source", "server", "database", "fingerprint", "newest", "uploads", "config", "references"]
PATIENCE_S = 180.0
SLOW = '{"larapee_backup_drill_reference_queries": ["SELECT SLEEP(200), NULL"]}'


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def sign(staging: Staging, path: Path, document: dict[str, Any]) -> None:
    """What the branch itself could have written."""
    path.write_text(json.dumps(document), encoding="utf-8")
    path.with_name(f"{path.name}.sig").unlink()
    key = staging.branch.keys.signing_key
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "larapee-backup", str(path)],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("wrapped", [False, True], ids=["ansible-playbook", "wrapper"])
def test_what_is_right_is_proven(staging: Staging, wrapped: bool) -> None:
    staging.back_up_all()
    code, started = staging.drill(wrapped=wrapped)
    assert code == 0, started.output
    row = staging.rows()[0]
    assert (row.status, row.kind, row.branch) == ("success", "drill", BRANCH), row
    assert staging.results() == dict.fromkeys(ALL, "OK")
    details = row.details
    assert details["green"]
    assert details["within_rto"]
    assert details["set"] == 2
    assert details["total_s"] == pytest.approx(sum(each["seconds"] for each in details["steps"]), abs=0.2)
    references = staging.step("references")
    assert (references["checked"], references["hashed"]) == (2, 2)
    # What write_files() left there, and no row names: photographs and an empty file.
    assert references["orphans"] == 10
    assert row.recovery_point == details["plan"]["recovery_point"]
    assert staging.left() == []
    assert staging.processes() == []


def test_no_row_names_a_file(staging: Staging) -> None:
    """What could not be checked is not proven."""
    staging.write_inventory(larapee_backup_drill_reference_queries=["SELECT path FROM slips WHERE path = 'none'"])
    staging.back_up_all()
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert (row.status, row.details["green"], row.details["reason"]) == ("failed", False, "not_run")
    assert staging.results() == {**dict.fromkeys(ALL, "OK"), "references": "NOT RUN"}
    assert "references NOT RUN: no row names a file" in str(row.error)
    # By decision it is another thing, which the row tells.
    staging.write_inventory(larapee_backup_drill_leave_out=[*APP, "references"])
    code, started = staging.drill()
    assert code == 0, started.output
    assert staging.results() == {**dict.fromkeys(ALL, "OK"), "references": "left out"}


def test_no_fingerprint_on_the_way(staging: Staging) -> None:
    """The full's own was taken after a sale that no increment holds."""
    staging.sell(1)
    staging.back_up("full")
    full = next(staging.branch.local.glob("db-*.sql.gz.age.manifest.json"))
    document = json.loads(full.read_text(encoding="utf-8"))
    assert document["fingerprint"]["position"] == document["end"]["position"]
    document["fingerprint"]["position"] += 1
    sign(staging, full, document)
    code, started = staging.drill()
    assert code == 2, started.output
    assert staging.results() == {**dict.fromkeys(ALL, "OK"), "fingerprint": "NOT RUN"}


def test_a_full_alone_is_compared_with_its_fingerprint(staging: Staging) -> None:
    staging.sell(1)
    staging.back_up("full")
    code, started = staging.drill()
    assert code == 0, started.output
    row = staging.rows()[0]
    assert row.details["plan"]["compared"] == row.details["plan"]["artifact"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("db-*.sql.gz.age", "not_intact"),
        ("db-*.binlog.zst.age", "not_intact"),
        ("public-uploads-*.incr.tar.zst.age", "not_intact"),
    ],
)
def test_a_flipped_byte(staging: Staging, name: str, reason: str) -> None:
    """An older full, or a shorter chain, would restore all the same: that is not what the branch believes to have."""
    staging.back_up_all()
    if name == "db-*.sql.gz.age":
        staging.sell(3)
        staging.back_up("full")
    path = max(staging.branch.local.glob(name), key=lambda each: each.stat().st_mtime_ns)
    flip(path)
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert row.details["reason"] == reason, row.details
    assert "FAILED" in staging.results().values()
    assert path.name in str(row.error)
    assert staging.left() == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("db-*.binlog.zst.age", "broken_chain"), ("public-uploads-*.incr.tar.zst.age", "not_intact")],
)
def test_an_increment_in_the_middle_is_missing(staging: Staging, name: str, reason: str) -> None:
    """What lies before the hole would restore: it is not what the branch believes to have."""
    staging.back_up_all()
    staging.sell(3)
    staging.back_up("increment")
    first, _last = sorted(staging.branch.local.glob(name), key=lambda each: each.stat().st_mtime_ns)
    for path in staging.branch.local.glob(f"{first.name}*"):
        path.unlink()
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert (row.status, row.details["reason"]) == ("failed", reason)
    assert first.name in str(row.error)
    assert staging.left() == []


@pytest.mark.parametrize("fault", ["missing", "other"])
def test_an_upload_that_a_row_names_is_not_in_the_backup(staging: Staging, fault: str) -> None:
    path = staging.sell(1)
    path.unlink() if fault == "missing" else path.write_bytes(b"another photograph")
    staging.back_up("full")
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert row.details["reason"] == "references_missing"
    assert f"{fault}: slips/1.jpg" in str(row.error)
    assert staging.step("references")["result"] == "FAILED"
    assert staging.left() == []


def test_a_set_in_whose_place_an_older_one_was_put(staging: Staging) -> None:
    """Each artifact of it is signed and intact; that it is not the newest shows by its number only."""
    staging.back_up_all()
    older = staging.directory / "older"
    shutil.copytree(staging.branch.local, older)
    staging.sell(3)
    staging.back_up("full")
    assert staging.drill()[0] == 0
    staging.write_inventory(larapee_backup_restore_source=str(older))
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert row.details["reason"] == "stale_set"
    assert "the newest set there is 2, and set 3 is known" in str(row.error)


def test_the_newest_artifacts_were_taken_away(staging: Staging) -> None:
    """On a staging that knows of no earlier drill: the branch's own signed word gives it away."""
    staging.back_up_all()
    for path in staging.branch.local.glob("db-*.binlog.zst.age*"):
        path.unlink()
    code, started = staging.drill()
    assert code == 2, started.output
    assert staging.rows()[0].details["reason"] == "stale_set"


def test_two_drills_at_once(staging: Staging) -> None:
    staging.back_up_all()
    first = staging.start("-e", SLOW)
    # Past the restore, which has a lock of its own.
    wait_until(lambda: any((path / "config").exists() for path in staging.path.glob("run-*")))
    code, second = staging.drill(wrapped=True)
    assert code == 3, second.output
    row = staging.rows()[0]
    assert (row.status, row.details["reason"]) == ("failed", "lock_held")
    assert "holds it. Nothing was done" in str(row.error)
    assert first.process.poll() is None
    assert len(staging.left()) == 1
    first.process.kill()
    first.wait()


def test_a_drill_killed_in_the_middle_is_cleared_by_the_next(staging: Staging) -> None:
    staging.back_up_all()
    started = staging.start("-e", SLOW)
    wait_until(lambda: any((path / "config").exists() for path in staging.path.glob("run-*")))
    started.process.kill()
    started.wait()
    assert staging.processes()
    assert len(staging.left()) == 1
    code, again = staging.drill()
    assert code == 0, again.output
    assert staging.left() == []
    assert staging.processes() == []
    lost = [row for row in staging.rows() if row.status == "failed"]
    assert len(lost) == 1


def test_what_is_no_drills_is_left_alone(staging: Staging) -> None:
    staging.back_up_all()
    staging.path.mkdir(mode=0o700)
    live = staging.path / "ibdata1"
    live.write_bytes(b"of a server")
    code, started = staging.drill()
    assert code == 2, started.output
    row = staging.rows()[0]
    assert row.details["reason"] == "not_empty"
    assert "holds ibdata1" in str(row.error)
    assert live.read_bytes() == b"of a server"


def test_another_target_on_the_command_line_is_refused(staging: Staging) -> None:
    staging.back_up_all()
    option_file = f"larapee_backup_restore_db_option_file={staging.branch.restorer_file}"
    code, started = staging.drill("-e", option_file, "-e", f"larapee_backup_restore_db_name={staging.branch.restored}")
    assert code == 2, started.output
    assert "A drill restores to its own server" in str(staging.rows()[0].error)
    with staging.branch.server.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE %s", [staging.branch.restored]) == 0


def test_a_preview_changes_nothing(staging: Staging) -> None:
    staging.back_up_all()
    code, started = staging.drill("--check")
    assert code == 0, started.output
    assert not staging.path.exists()
    assert staging.rows()[0].check_mode


def test_backups_are_taken_while_a_drill_runs(staging: Staging) -> None:
    """Neither waits for the other, and the drill proves one set as it was."""
    staging.back_up_all()
    started = staging.start()
    kinds = []
    while started.process.poll() is None:
        kinds.append("increment" if kinds[-1:] == ["full"] else "full")
        staging.sell(10 + len(kinds))
        staging.back_up(kinds[-1])
    assert started.wait() == 0, started.output
    assert {"full", "increment"} <= set(kinds)
    (drill,) = [row for row in staging.rows() if row.kind == "drill"]
    assert drill.status == "success"
    assert {each["result"] for each in drill.details["steps"] if each["name"] not in APP} == {"OK"}
    assert {row.status for row in staging.branch.rows()} == {"success"}

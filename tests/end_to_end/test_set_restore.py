# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of database, uploads and config of one moment, or of some of them; compared with stock tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .branch import BRANCH, FULL, RESTORE

if TYPE_CHECKING:
    from pathlib import Path

    from .branch import Branch

LISTING = ("find", ".", "-printf", r"%p %y %m %U %G %s %T@ %l\n")


def back_up(branch: Branch, kind: str) -> None:
    code, started = branch.playbook(FULL, "-e", f"larapee_backup_kind={kind}")
    assert code == 0, started.output


def targets(branch: Branch, **more: Any) -> tuple[str, ...]:
    paths = {f"larapee_backup_restore_{part}_path": str(branch.directory / f"restored-{part}") for part in PARTS}
    return ("-e", json.dumps({**paths, **more}))


PARTS = ("uploads", "config")


def copy(source: Path, target: Path) -> Path:
    """What the tree is now, by a stock tool."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def require_same_tree(left: Path, right: Path) -> None:
    subprocess.run(["diff", "-r", "--no-dereference", str(left), str(right)], check=True)
    listings = [
        sorted(subprocess.run(LISTING, cwd=each, check=True, capture_output=True).stdout.splitlines())
        for each in (left, right)
    ]
    # A directory's size is the filesystem's own.
    files = [[line for line in listing if b" d " not in line] for listing in listings]
    directories = [[line.split(b" ")[:5] for line in listing if b" d " in line] for listing in listings]
    assert files[0] == files[1]
    assert directories[0] == directories[1]
    assert files[0]


def require_same_config(branch: Branch, moment: Path) -> None:
    for path in branch.config:
        inside = str(path).lstrip("/")
        if path.is_dir():
            require_same_tree(moment / inside, branch.directory / "restored-config" / inside)
        else:
            argv = ["cmp", str(moment / inside), str(branch.directory / "restored-config" / inside)]
            subprocess.run(argv, check=True)


def select(branch: Branch, database: str) -> bytes:
    client = ["mariadb", "--no-defaults", "-u", "root", "-S", str(branch.server.socket), "-N", "-B", database]
    done = subprocess.run(
        [*client, "-e", "SELECT id, number, note, HEX(image) FROM receipts ORDER BY id"],
        check=True,
        capture_output=True,
    )
    return done.stdout


def sql(branch: Branch, statement: str) -> None:
    with branch.server.connect(database=branch.database) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def restored_databases(branch: Branch) -> int:
    with branch.server.connect() as connection, connection.cursor() as cursor:
        return int(cursor.execute("SHOW DATABASES LIKE %s", [branch.restored]))


@pytest.mark.parametrize("wrapped", [False, True], ids=["ansible-playbook", "wrapper"])
def test_database_uploads_and_config_of_one_moment(branch: Branch, wrapped: bool) -> None:
    back_up(branch, "full")
    sql(branch, "INSERT INTO receipts VALUES (3001, 'B01-20261122-3001', 'sold with a photo', X'01')")
    (branch.uploads / "receipts" / "3001.jpg").write_bytes(b"photo")
    (branch.uploads / "receipts" / "2026" / "photo 2.jpg").unlink()
    branch.config[0].write_text("APP_KEY=newer\n", encoding="ascii")
    back_up(branch, "increment")
    moment = branch.directory / "moment"
    uploads, receipts = copy(branch.uploads, moment / "uploads"), select(branch, branch.database)
    for path in branch.config:
        copy(path, moment / str(path).lstrip("/"))
    increment = branch.rows()[0]
    # What comes after the dump of the chosen set belongs to another moment.
    (branch.uploads / "receipts" / "later.jpg").write_bytes(b"later")
    branch.config[0].write_text("APP_KEY=latest\n", encoding="ascii")
    back_up(branch, "log")

    start = branch.run if wrapped else branch.playbook
    code, preview = start(RESTORE, "--check", *targets(branch))
    assert code == 0, preview.output
    assert not (branch.directory / "restored-uploads").exists()
    assert restored_databases(branch) == 0
    code, started = start(RESTORE, *targets(branch))
    assert code == 0, started.output

    require_same_tree(uploads, branch.directory / "restored-uploads")
    require_same_config(branch, moment)
    assert select(branch, branch.restored) == receipts
    row, checked = branch.rows()[:2]
    assert (row.status, row.kind, checked.check_mode) == ("success", "restore", True)
    names = [artifact["name"] for artifact in row.artifacts]
    assert [name.split("-20")[0] for name in names] == ["db", "db", "public-uploads", "public-uploads", "config"]
    assert names == [artifact["name"] for artifact in checked.artifacts]
    plans = [row.details["plan"], *(row.details[part]["plan"] for part in PARTS)]
    # The log run found the database as the increment has it: up to then it is known.
    assert increment.recovery_point is not None
    assert increment.recovery_point <= str(row.recovery_point)
    assert row.recovery_point == min(plan["recovery_point"] for plan in plans)
    assert {plan["set"] for plan in plans} == {2}


def test_uploads_alone_as_new_as_can_be(branch: Branch) -> None:
    """The restorer's account of the database is not even named."""
    back_up(branch, "full")
    (branch.uploads / "later.jpg").write_bytes(b"later")
    back_up(branch, "log")
    branch.restorer_file.unlink()
    branch.write_inventory(larapee_backup_restore_db_option_file=None)
    code, started = branch.playbook(RESTORE, *targets(branch), "-e", "larapee_backup_restore_parts=uploads")
    assert code == 0, started.output
    require_same_tree(branch.uploads, branch.directory / "restored-uploads")
    assert not (branch.directory / "restored-config").exists()
    row = branch.rows()[0]
    assert row.status == "success"
    assert row.recovery_point == row.details["uploads"]["plan"]["recovery_point"]
    assert len(row.artifacts) == 2


def test_database_alone_where_no_other_target_is_named(branch: Branch) -> None:
    back_up(branch, "full")
    shutil.rmtree(branch.uploads)
    code, started = branch.playbook(RESTORE)
    assert code == 0, started.output
    assert select(branch, branch.restored) == select(branch, branch.database)
    assert [artifact["name"][:3] for artifact in branch.rows()[0].artifacts] == ["db-"]


def test_one_file_back_beside_what_is_there(branch: Branch) -> None:
    back_up(branch, "full")
    target = branch.directory / "restored-uploads"
    target.mkdir()
    (target / "there").write_bytes(b"already")
    wanted = {
        "larapee_backup_restore_parts": ["uploads"],
        "larapee_backup_restore_paths": ["receipts/2026/photo 5.jpg"],
    }
    code, started = branch.playbook(RESTORE, *targets(branch, **wanted))
    assert code == 0, started.output
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == ["photo 5.jpg", "there"]
    kept = branch.uploads / "receipts" / "2026" / "photo 5.jpg"
    assert (target / "receipts" / "2026" / "photo 5.jpg").read_bytes() == kept.read_bytes()
    assert restored_databases(branch) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"larapee_backup_restore_parts": []}, "larapee_backup_restore_parts is empty"),
        (
            {"larapee_backup_restore_parts": "uploads,config", "larapee_backup_restore_config_path": ""},
            "have no target",
        ),
        ({"larapee_backup_restore_parts": ["photos"]}, "value of larapee_backup_restore_parts must be one"),
        ({"larapee_backup_restore_paths": ["receipts"]}, "must be uploads or config alone (now: database, uploads"),
    ],
    ids=["nothing", "no-target", "unknown", "files-and-database"],
)
def test_what_contradicts_itself_is_refused_before_anything_changes(
    branch: Branch, changes: dict[str, Any], words: str
) -> None:
    back_up(branch, "full")
    code, started = branch.playbook(RESTORE, *targets(branch, **changes))
    assert code == 2, started.output
    assert words in started.words
    assert restored_databases(branch) == 0
    assert not (branch.directory / "restored-uploads").exists()
    assert branch.rows()[0].status == "failed"


def test_target_that_refuses_the_uploads_keeps_the_database_from_being_filled(branch: Branch) -> None:
    """Not after an hour of loading."""
    back_up(branch, "full")
    target = branch.directory / "restored-uploads"
    target.mkdir()
    (target / "live").write_bytes(b"of the shop")
    code, started = branch.playbook(RESTORE, *targets(branch))
    assert code == 2, started.output
    assert restored_databases(branch) == 0
    row = branch.rows()[0]
    assert (row.status, row.artifacts) == ("failed", [])
    assert str(target) in str(row.error)
    assert [path.name for path in target.iterdir()] == ["live"]
    code, started = branch.playbook(RESTORE, *targets(branch, larapee_backup_restore_confirm=BRANCH))
    assert code == 0, started.output
    require_same_tree(branch.uploads, target)
    assert restored_databases(branch) == 1

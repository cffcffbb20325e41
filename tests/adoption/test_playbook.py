# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command adopts and leaves a row that says what was adopted, and what was not."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _signature
from tests.end_to_end.branch import BRANCH, RESTORE, Branch
from tests.end_to_end.conftest import branch, keys, make_branch, server

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("branch", "keys", "make_branch", "server")

ADOPT = "larapee.backup.adopt"
DUMP, BROKEN = "db-20261101-2315.sql.gz", "db-20261102-2315.sql.gz"


def put_dump(branch: Branch, name: str, *, size: int | None = None) -> Path:
    """A dump as an older cron line made it, cut to *size* bytes."""
    branch.local.mkdir(exist_ok=True)
    argv = ["/usr/bin/mariadb-dump", "--no-defaults", f"--socket={branch.server.socket}", "--user=root"]
    argv += ["--single-transaction", "--quick", "--lock-tables=false", branch.database]
    plain = subprocess.run(argv, check=True, capture_output=True).stdout
    path = branch.local / name
    path.write_bytes(subprocess.run(["gzip", "-c"], input=plain, check=True, capture_output=True).stdout[:size])
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    return path


def test_one_command_adopts_and_a_restore_uses_it(branch: Branch) -> None:
    put_dump(branch, DUMP)
    branch.write_inventory(larapee_backup_adopt_time_zone="Europe/Berlin")
    code, started = branch.run(ADOPT, "--check")
    assert code == 0, started.output
    assert branch.place() == {DUMP}
    code, started = branch.run(ADOPT)
    assert code == 0, started.output
    suffixes = ("", ".manifest.json", ".manifest.json.sig")
    assert branch.place() == {"SHA256SUMS", *(DUMP + suffix for suffix in suffixes)}
    row, checked = branch.rows()
    assert [(each.kind, each.status, each.check_mode) for each in (row, checked)] == [
        ("sync", "success", False),
        ("sync", "success", True),
    ]
    assert [artifact["name"] for artifact in row.artifacts] == [DUMP]
    (adopted,) = row.details["adopted"]
    assert adopted["recovery_point"] == "2026-11-01T22:15:00Z"
    assert (row.recovery_point, checked.artifacts) == (None, [])
    code, started = branch.playbook(RESTORE, "-e", "larapee_backup_restore_to=2026-11-01T22:15:00Z")
    assert code == 0, started.output
    assert branch.receipts(branch.restored) == branch.receipts(branch.database)
    assert "adopted from an older cron line: nobody has proven it" in started.words


def test_a_second_run_changes_nothing(branch: Branch) -> None:
    put_dump(branch, DUMP)
    assert branch.playbook(ADOPT)[0] == 0
    before = {path.name: path.read_bytes() for path in branch.local.iterdir()}
    code, started = branch.playbook(f"playbooks/{ADOPT.rpartition('.')[2]}.yml")
    assert code == 0, started.output
    assert "changed=0" in started.words
    assert {path.name: path.read_bytes() for path in branch.local.iterdir()} == before
    assert branch.rows()[0].details["adopted"] == []


def test_a_broken_dump_fails_the_run_by_name_and_the_whole_one_is_adopted(branch: Branch) -> None:
    put_dump(branch, DUMP)
    put_dump(branch, BROKEN, size=2000)
    code, started = branch.run(ADOPT)
    assert code == 1, started.output
    row = branch.row()
    assert (row.kind, row.status) == ("sync", "failed")
    assert row.error is not None
    assert f"Failed to adopt 1 of the files in {branch.local}: {BROKEN}: it does not open" in row.error
    assert [artifact["name"] for artifact in row.artifacts] == [DUMP]
    assert set(row.details["refused"]) == {BROKEN}
    manifest = (branch.local / f"{DUMP}.manifest.json").read_bytes()
    _signature.verify(
        manifest,
        (branch.local / f"{DUMP}.manifest.json.sig").read_bytes(),
        principal=BRANCH,
        allowed_signers=str(branch.keys.allowed_signers),
        at=row.started_at,
    )

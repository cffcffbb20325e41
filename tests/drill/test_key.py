# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restorer's key opens what a branch made last, and the row says so."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.drill.staging import BRANCH

if TYPE_CHECKING:
    from tests.drill.staging import Staging
    from tests.end_to_end.branch import Started

KEY_DRILL = "larapee.backup.key_drill"


def prove(staging: Staging, *arguments: str) -> tuple[int, Started]:
    argv = ("ansible-playbook", "-i", str(staging.inventory), *arguments, KEY_DRILL)
    started = staging.branch.start(*argv, environ=staging.environ)
    return started.wait(), started


def test_the_key_opens_the_newest_full(staging: Staging) -> None:
    staging.back_up("full")
    code, started = prove(staging)
    assert code == 0, started.output
    row = staging.rows()[0]
    assert (row.status, row.kind, row.branch, row.details["place"]) == ("success", "verify", BRANCH, "key")
    assert row.details["key_drill"]["artifact"].startswith("db-")
    assert row.details["key_drill"]["artifact"] == row.artifacts[0]["name"]


def test_another_key(staging: Staging) -> None:
    """The one that was kept is not the one that the branch encrypts to."""
    staging.back_up("full")
    other = staging.directory / "other"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)
    other.chmod(0o600)
    code, started = prove(staging, "-e", f"larapee_backup_restore_age_identity={other}")
    assert code == 2, started.output
    row = staging.rows()[0]
    assert (row.status, row.kind) == ("failed", "verify")
    assert "no identity matched" in str(row.error)


def test_no_key_proves_nothing(staging: Staging) -> None:
    staging.back_up("full")
    code, started = prove(staging, "-e", "larapee_backup_restore_age_identity=")
    assert code == 2, started.output
    assert staging.rows()[0].details["reason"] == "no_identity"

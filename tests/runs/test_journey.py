# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a branch's run to the status of central, by playbooks and the command alone; then the branch is gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.runs.central import OTHER, Central
from tests.runs.machines import BRANCH, ROOT, Machine

if TYPE_CHECKING:
    from pathlib import Path


def run_of_branch(branch: Machine, keys: Path) -> None:
    """A verification of an empty place, which is a failure like any other."""
    branch.play(
        "larapee.backup.verify",
        groups={"branches": {BRANCH: {"larapee_backup_branch": BRANCH}}},
        larapee_backup_local_path=str(branch.top / "local"),
        larapee_backup_state_path=str(branch.state),
        larapee_backup_allowed_signers=str(keys / "allowed_signers"),
        larapee_backup_signing_key=str(keys / BRANCH),
    )


def sweep(central: Central, branch: Machine) -> None:
    """What the pull brings, then what central makes of it."""
    shutil.copytree(branch.top / "local", central.incoming / BRANCH, dirs_exist_ok=True)
    code, output = central.machine.play(
        central.playbook("import_runs", "missed_runs"),
        groups={"central": {"central": {}}},
        larapee_backup_kind="sync",
        larapee_backup_branches=[BRANCH, OTHER],
        larapee_backup_allowed_signers=str(central.keys / "allowed_signers"),
        larapee_backup_central_path=str(central.machine.top / "central"),
        larapee_backup_state_path=str(central.machine.state),
    )
    assert code == 0, output


def status(central: Central) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "larapee_runner", "status", "--json"],
        cwd=ROOT,
        env={**central.machine.environment(), "PYTHONPATH": f"{ROOT / 'runner/src'}:{ROOT / 'collection'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return {branch["branch"]: branch for branch in json.loads(done.stdout)["branches"]}


def test_a_dead_branch_does_not_take_its_history_along(branch: Machine, central: Central) -> None:
    (branch.top / "local").mkdir()
    for _ in range(3):
        run_of_branch(branch, central.keys)
    of_branch = branch.rows(branch=BRANCH)
    assert len(of_branch) == 3
    sweep(central, branch)
    shutil.rmtree(branch.top)
    at_central = {row.run_id: row for row in central.machine.rows(branch=BRANCH, kind="verify")}
    # All but the last run, whose record leaves with the next.
    assert set(at_central) == {row.run_id for row in of_branch[1:]}
    for row in of_branch[1:]:
        came = at_central[row.run_id]
        assert came.details.pop("imported")["at"]
        assert came == row
    (pull,) = central.machine.rows(branch=BRANCH, kind="sync")
    assert pull.details["runs_import"] == {"imported": 2}
    known = status(central)
    assert set(known) == {BRANCH, OTHER}
    local = known[BRANCH]["places"][0]
    assert (local["place"], local["last_verification"]) == ("local", of_branch[1].status)
    assert known[BRANCH]["objectives"][0]["detail"] == "central holds no recovery point; the branch says nothing"

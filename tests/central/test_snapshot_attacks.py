# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every other account tries to change a snapshot, and the adopted files that it shares its bytes with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.central.central import CODES, defects, tree

if TYPE_CHECKING:
    from tests.central.central import Central

# Accounts as larapee-pull and the operator have them; the last may read everything, as the operator's units may.
ACCOUNTS = {
    "larapee-pull": ("--reuid=64001", "--regid=64001", "--clear-groups"),
    "larapee-backup": ("--reuid=64002", "--regid=64002", "--clear-groups"),
    "a reader of everything": (
        *("--reuid=64003", "--regid=64003", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    ),
}


def attack(account: str, scratch: Path, listed: Path, *directories: Path) -> tuple[int, list[str]]:
    """How often *account* was refused, and what it could do."""
    scratch.mkdir()
    os.chown(scratch, 64001 + list(ACCOUNTS).index(account), -1)
    program = scratch.parent / "attacker.py"
    program.write_bytes(Path(__file__).with_name("attacker.py").read_bytes())
    done = subprocess.run(
        ["setpriv", *ACCOUNTS[account], sys.executable, "-I", str(program), str(scratch), str(listed)]
        + [str(each) for each in directories],
        capture_output=True,
        text=True,
        check=True,
    )
    refused, *succeeded = done.stdout.splitlines()
    return int(refused), succeeded


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("method", ["link", "copy"])
def test_no_other_account_changes_a_snapshot_or_what_it_shares(reachable: Central, account: str, method: str) -> None:
    branch = reachable.branch()
    reachable.snapshot(method=method)
    made = reachable.newest()
    listed = reachable.path.parent / "names"
    listed.write_text("\n".join(path.name for path in made.iterdir()))
    # Nothing above may be what protects them.
    for parent in (reachable.path, *(reachable.path / name for name in ("branches", "snapshots")), made.parent):
        parent.chmod(0o755)
    before = tree(made), tree(branch.directory)
    refused, succeeded = attack(account, reachable.path.parent / "scratch", listed, made, branch.directory)
    assert succeeded == []
    assert refused == 2 * (12 * len(list(made.iterdir())) + 8)
    assert (tree(made), tree(branch.directory)) == before
    assert defects(made, reachable.keys, reachable.state, CODES[0]) == []


def test_the_attack_succeeds_where_nothing_protects(reachable: Central) -> None:
    """The attempts are real: with other modes most of them do what they are for."""
    reachable.branch()
    reachable.snapshot(method="copy")
    made = reachable.newest()
    listed = reachable.path.parent / "names"
    listed.write_text("\n".join(path.name for path in made.iterdir()))
    for parent in (reachable.path, reachable.path / "snapshots"):
        parent.chmod(0o755)
    for path in (made.parent, made, *made.iterdir()):
        path.chmod(0o777)
    _refused, succeeded = attack("larapee-pull", reachable.path.parent / "scratch", listed, made)
    found = {each.split(":")[0] for each in succeeded}
    assert found >= {"write", "append", "truncate", "delete", "rename", "add a file", "rename the directory"}

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook: what people type, and the row that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord, load_settings, open_store

if TYPE_CHECKING:
    from tests.retention.branch import Branch

ROOT = Path(__file__).resolve().parents[2]


def environment(shop: Branch) -> dict[str, str]:
    top = shop.directory.parent
    return {
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
        "HOME": str(top),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "LARAPEE_BACKUP_STATE_DIR": str(shop.state),
        "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{top / 'runs.sqlite'}",
    }


def play(shop: Branch, *arguments: str, playbook: str = "playbooks/retention.yml", **variables: Any) -> tuple[int, str]:
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "larapee_backup_branch": "branch-001",
        "larapee_backup_local_path": str(shop.directory),
        "larapee_backup_state_path": str(shop.state),
        "larapee_backup_allowed_signers": shop.place.allowed_signers,
        **variables,
    }
    inventory = shop.directory.parent / "hosts.json"
    inventory.write_text(json.dumps({"branches": {"hosts": {"branch-001": host}}}))
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *arguments, playbook],
        cwd=ROOT,
        env=environment(shop),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def rows(shop: Branch) -> list[RunRecord]:
    """The newest first."""
    store = open_store(load_settings(environment(shop)).runs_url)
    try:
        return store.query()
    finally:
        store.close()


def test_check_mode_shows_what_would_go_and_the_run_removes_it(shop: Branch) -> None:
    code, output = play(shop, "--check", "-v")
    assert code == 0, output
    assert '"replaced_by": 10' in output
    assert shop.sets() == list(range(1, 11))
    code, output = play(shop, playbook="larapee.backup.retention")
    assert code == 0, output
    assert shop.sets() == list(range(3, 11))
    row, preview = rows(shop)
    assert (row.kind, row.status, row.check_mode, preview.check_mode) == ("retention", "success", False, True)
    assert (row.artifacts, row.recovery_point) == ([], None)
    assert [(each["set"], each["replaced_by"]) for each in row.details["deleted"]] == [(1, 10), (2, 10)]
    assert "changed=0" in play(shop)[1]


def test_a_run_that_could_not_replace_a_set_is_failed_and_its_row_says_which(shop: Branch) -> None:
    for number in range(3, 11):
        shop.damage(number)
    code, output = play(shop, larapee_backup_retention_pin=[1], larapee_backup_retention_reason="before the move")
    assert code == 2, output
    row = rows(shop)[0]
    assert (row.kind, row.status) == ("retention", "failed")
    assert "no newer set is complete and intact" in str(row.error)
    kept = {each["set"]: each["code"] for each in row.details["kept_over_age"]}
    assert kept == {1: "pinned", 2: "no_replacement"}
    assert shop.ledger()["pinned"]["1"]["reason"] == "before the move"
    code, output = play(shop, larapee_backup_retention_hold="the tax office asks")
    assert code == 0, output
    assert {each["code"] for each in rows(shop)[0].details["kept_over_age"]} == {"held"}
    code, output = play(shop, larapee_backup_retention_days=0)
    assert code == 2
    assert "Keep one at least" in str(rows(shop)[0].error)

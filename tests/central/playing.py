# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type at central, and the rows that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord, load_settings, open_store

if TYPE_CHECKING:
    from tests.central.central import Central

ROOT = Path(__file__).resolve().parents[2]


def _environment(central: Central) -> dict[str, str]:
    top = central.path.parent
    return {
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
        "HOME": str(top),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "LARAPEE_BACKUP_STATE_DIR": str(central.state),
        "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{top / 'runs.sqlite'}",
    }


def play(central: Central, codes: list[str], *arguments: str, playbook: str, **variables: Any) -> tuple[int, str]:
    """Run *playbook* on central, with an inventory whose group ``branches`` has *codes*."""
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "larapee_backup_central_path": str(central.path),
        "larapee_backup_state_path": str(central.state),
        "larapee_backup_allowed_signers": str(central.keys / "allowed_signers"),
        **variables,
    }
    branches = {f"host-of-{code}": {"larapee_backup_branch": code} for code in codes}
    inventory = central.path.parent / "hosts.json"
    inventory.write_text(json.dumps({"central": {"hosts": {"central-1": host}}, "branches": {"hosts": branches}}))
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *arguments, playbook],
        cwd=ROOT,
        env=_environment(central),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def rows(central: Central) -> dict[str, RunRecord]:
    """Of each branch, the newest row."""
    store = open_store(load_settings(_environment(central)).runs_url)
    try:
        return {str(row.branch): row for row in reversed(store.query())}
    finally:
        store.close()

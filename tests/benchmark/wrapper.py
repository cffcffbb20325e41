# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `larapee-backup run` costs beside the bare ansible-playbook with the same playbook and the same recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .measure import Contestant, Stage, makes_nothing

if TYPE_CHECKING:
    from .estate import Estate

BARE = "ansible-playbook"
WRAPPED = "larapee-backup run"
# The difference is small beside what both take, so more rounds than elsewhere must tell it; one alone never can.
ROUNDS_FACTOR = 3

_PLAYBOOK = """- name: Probe
  hosts: here
  gather_facts: false
  vars: {larapee_backup_branch: branch-001, larapee_backup_kind: verify}
  tasks:
    - ansible.builtin.import_role: {name: larapee.backup.guard}
    - ansible.builtin.command: 'true'
    - ansible.builtin.import_role: {name: larapee.backup.guard, tasks_from: close}
"""


def stage(estate: Estate, *, collections: Path) -> Stage:
    project = estate.root / "project"
    project.mkdir()
    playbook = project / "play.yml"
    playbook.write_text(_PLAYBOOK)
    inventory = project / "hosts"
    inventory.write_text("here ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n")
    configuration = project / "ansible.cfg"
    configuration.write_text(f"[defaults]\ncollections_path = {collections}\ninventory = {inventory}\n")
    state = f"LARAPEE_BACKUP_STATE_DIR={project / 'state'}"
    # The directory of the configuration is the project; both are started in it, as people do.
    common = ["env", f"--chdir={project}", f"ANSIBLE_CONFIG={configuration}", state]
    bare = [*common, "ANSIBLE_CALLBACKS_ENABLED=larapee.backup.backup_runs"]
    bare += [str(Path(sys.executable).parent / "ansible-playbook"), playbook.name]
    wrapped = [*common, sys.executable, "-m", "larapee_runner", "run", playbook.name]
    return Stage(
        (
            Contestant(BARE, lambda _scratch: bare, size=makes_nothing),
            Contestant(WRAPPED, lambda _scratch: wrapped, size=makes_nothing),
        )
    )


__all__ = ("BARE", "ROUNDS_FACTOR", "WRAPPED", "stage")

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_server
short_description: Begin a drill with a throwaway database server of its own, or end it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes a directory for one drill below O(path), and starts a server in it - of the engine and version that made the
    branch's newest full, without network, on a socket that only this account can reach.
  - One drill at a time. What a killed drill left, processes and directory, goes before the next begins.
  - It touches nothing that no drill made, and refuses a directory that holds such a thing.
attributes:
  check_mode:
    support: full
    description: Nothing is started or removed.
  diff_mode:
    support: none
    description: The result tells it.
  idempotent:
    support: none
    description: A drill begins once; V(stopped) may be asked for again.
extends_documentation_fragment:
  - larapee.backup.run
options:
  state:
    description: V(started) begins the drill, V(stopped) kills what runs in it and removes its directory.
    type: str
    choices: [started, stopped]
    default: started
    version_added: 0.1.0
  path:
    description: The directory of the drills; made by the first of them, mode 0700.
    type: path
    required: true
    version_added: 0.1.0
  branch:
    description: The branch whose backups are proven; required when it is V(started).
    type: str
    version_added: 0.1.0
  source:
    description: The directory with the branch's backups; required when it is V(started).
    type: str
    version_added: 0.1.0
  allowed_signers:
    description: The C(allowed_signers) file of the restorer; required when it is V(started).
    type: path
    version_added: 0.1.0
  lifetime:
    description: The seconds after which the server ends by itself, whatever became of the drill.
    type: int
    default: 14400
    version_added: 0.1.0
  newer_server:
    description: Whether a server of a newer release than the branch's proves enough.
    type: bool
    default: false
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Begin the drill
  larapee.backup.drill_server:
    path: /var/lib/larapee-restore/drill
    branch: branch-001
    source: /srv/backups/larapee/branches/branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
    run_id: "{{ lookup('ansible.builtin.env', 'LARAPEE_BACKUP_RUN_ID') }}"

- name: End the drill
  larapee.backup.drill_server:
    state: stopped
    path: /var/lib/larapee-restore/drill
    run_id: "{{ lookup('ansible.builtin.env', 'LARAPEE_BACKUP_RUN_ID') }}"
"""

RETURN = r"""
drill:
  description:
    - Where the drill takes place - path, state_path, socket, db_option_file (of an account that may fill the one
      schema), admin_option_file, db_name (as the branch has it), engine, version, source_version (the branch's),
      cleared (what killed drills had left), tip_artifact (what the branch signed as its newest and that is not there).
  type: dict
  returned: when it was started
reason:
  description: Why it failed, as a stable word, such as V(lock_held).
  type: str
  returned: failure
"""

import os

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._drill_server import DrillServerRequest, start, stop
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import ENVIRONMENT_VARIABLE, interruptible


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "path": {"type": "path", "required": True},
            "branch": {"type": "str"},
            "source": {"type": "str"},
            "allowed_signers": {"type": "path"},
            "lifetime": {"type": "int", "default": 14400},
            "newer_server": {"type": "bool", "default": False},
        }
    )
    options = module.params
    needed = [name for name in ("branch", "source", "allowed_signers") if not options[name]]
    if options["state"] == "started" and needed:
        module.fail_json(msg=f"Failed to begin the drill: {', '.join(needed)} is missing. Give it.")
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        if options["state"] == "stopped":
            module.exit_json(changed=stop(options["path"], options["run_id"]))
        with interruptible():
            drill = start(
                DrillServerRequest(
                    branch=options["branch"],
                    source=options["source"],
                    allowed_signers=options["allowed_signers"],
                    path=options["path"],
                    run_id=options["run_id"],
                    owner_lock=os.environ.get(ENVIRONMENT_VARIABLE, ""),
                    lifetime=options["lifetime"],
                    newer_server=options["newer_server"],
                )
            )
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=True, drill=drill)


if __name__ == "__main__":
    main()

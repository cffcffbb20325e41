#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runs_import
short_description: Take the run records of branches into central's table
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Reads the records that branches laid beside their artifacts (C(incoming/<branch>/runs) below O(central_path)), and
    writes those that the branch signed into C(backup_runs) where the playbook was started. An action plugin does that.
  - A branch speaks for itself only. A record of another branch, of a kind that only central has, or of a run of which
    central has a row that came from no branch is refused, and so is what is not signed, malformed or too large. What is
    refused is counted and named in the report, and never stops the rest.
  - Certainty only rises, so that a record is harmless however often it comes. A file that did not change is not read
    again; what was refused is, when O(allowed_signers) changes.
attributes:
  check_mode:
    support: full
    description: Tells how many rows would be new, and writes nothing.
  diff_mode:
    support: none
    description: The rows are of other machines' runs.
  idempotent:
    support: full
    description: A record that is in the table is not written again.
options:
  branches:
    description: The codes of the branches whose records are read.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  central_path:
    description: The directory that holds C(incoming).
    type: path
    default: /srv/backups/larapee
    version_added: 0.1.0
  state_path:
    description: Where it is noted which files are done with.
    type: path
    default: /var/lib/larapee-backup
    version_added: 0.1.0
  allowed_signers:
    description: The C(allowed_signers) file (see ssh-keygen) of central.
    type: path
    required: true
    version_added: 0.1.0
  settled:
    description: Filled in by the action plugin; never written into a playbook.
    type: str
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Take in what the branches say of their runs
  larapee.backup.runs_import:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
"""

RETURN = r"""
reports:
  description: Of each branch what the recorder notes - C(details.runs_import) with counts and the first refusals.
  type: dict
  returned: success
"""

import dataclasses
import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._runs_import import ImportRequest, collect, settle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branches": {"type": "list", "elements": "str", "required": True},
            "central_path": {"type": "path", "default": "/srv/backups/larapee"},
            "state_path": {"type": "path", "default": "/var/lib/larapee-backup"},
            "allowed_signers": {"type": "path", "required": True},
            "settled": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    request = ImportRequest(
        branches=tuple(options["branches"]),
        central_path=options["central_path"],
        state_path=options["state_path"],
        allowed_signers=options["allowed_signers"],
    )
    try:
        with interruptible():
            if options["settled"]:
                settled = json.loads(options["settled"])
                settle(request, settled["stamps"], settled["refused"], settled["final"])
                module.exit_json(changed=True)
            parcels = collect(request)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, parcels={branch: dataclasses.asdict(each) for branch, each in parcels.items()})


if __name__ == "__main__":
    main()

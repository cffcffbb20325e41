#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runs_export
short_description: Lay a branch's run records beside its artifacts, signed
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Writes each finished row of C(backup_runs) of the branch as C(runs/<run id>.json) with its signature into the place,
    so that central, which pulls the place, has the history of a branch that dies.
  - The rows are read by an action plugin where the playbook was started, which is the branch itself when its timers
    start it. A row that is surer than what was written before is written again.
  - Rows that began more than O(keep_days) ago are not written, and what was written a day earlier than that is removed.
attributes:
  check_mode:
    support: full
    description: Tells how many records would be written, and writes nothing.
  diff_mode:
    support: none
    description: The records are of the runs before.
  idempotent:
    support: full
    description: What lies there already is not written again.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
options:
  signing_key:
    description: The branch's SSH private key, without passphrase, mode 0600, that signs the records.
    type: path
    required: true
    version_added: 0.1.0
  keep_days:
    description: How many days of runs are kept in the place.
    type: int
    default: 7
    version_added: 0.1.0
  records:
    description: Filled in by the action plugin; never written into a playbook.
    type: str
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Lay the run records beside the artifacts
  larapee.backup.runs_export:
    branch: branch-001
    local_path: /var/backups/larapee/local
    signing_key: /etc/larapee-backup/signing_key
"""

RETURN = r"""
written:
  description: How many records were new, or surer than before. In check mode, how many would be.
  type: int
  returned: success
removed:
  description: How many old records went.
  type: int
  returned: success
"""

import dataclasses

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, place_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._runs_export import ExportRequest, export_runs


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            "signing_key": {"type": "path", "required": True, "no_log": False},
            "keep_days": {"type": "int", "default": 7},
            "records": {"type": "str", "no_log": True},
        }
    )
    try:
        with interruptible():
            options = {**module.params, "records": module.params["records"] or "[]"}
            outcome = export_runs(ExportRequest(**options), check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=bool(outcome.written or outcome.removed), **dataclasses.asdict(outcome))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: offsite
short_description: Copy what central holds of each branch to a bucket or another disk
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Sends what the place lacks, from C(branches/<branch>/) to C(<branch>/) below O(url). Every byte is hashed on its
    way; what is not as its manifest says is not stored, and is named in the report. A manifest is stored last.
  - The V(hot) place gets everything. The V(cold) one gets fulls, and each run one tar
    C(increments-YYYYmmdd-HHMM.tar) of all increments that no earlier one holds, with a list beside it.
  - In the V(cold) place every version is locked for O(lock_days), in COMPLIANCE mode. The lock is read back from the
    server before it counts, and a full that increments stand on is locked as long as they are.
  - Nothing is removed or overwritten. A branch for which it fails does not stop the others; see RV(reports).
attributes:
  check_mode:
    support: full
    description: Compares, tells what would be sent, and sends nothing.
  diff_mode:
    support: none
    description: The reports name what there is.
  idempotent:
    support: full
    description: What is there with the same bytes is not sent again.
extends_documentation_fragment:
  - larapee.backup.branches
  - larapee.backup.estate
  - larapee.backup.run
  - larapee.backup.store
  - larapee.backup.store.server
options:
  target:
    description: What the place is for.
    type: str
    choices: [hot, cold]
    required: true
    version_added: 0.1.0
  lock_days:
    description: For how many days, from 90 to 365, nobody can remove what is stored in the V(cold) place.
    type: int
    default: 90
    version_added: 0.1.0
  unlocked:
    description: Accept a V(cold) place that cannot lock anything, such as a directory.
    type: bool
    default: false
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Copy to the hot bucket
  larapee.backup.offsite:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
    target: hot
    url: s3://larapee-hot/branches
    endpoint: https://s3.example.com
    credentials_file: /etc/larapee-backup/s3/writer.ini
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(artifacts) (those that were sent), C(recovery_point) (what can be restored
      from the place), C(details), and C(error) where a person has to act.
  type: dict
  returned: always
"""

import os

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, estate_spec, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch
from ansible_collections.larapee.backup.plugins.module_utils._offsite import OffsiteRequest, copy_offsite
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, store_spec


def main() -> None:
    module = create_module(
        {
            **estate_spec(),
            **run_spec(),
            **store_spec(),
            "target": {"type": "str", "choices": ["hot", "cold"], "required": True},
            "lock_days": {"type": "int", "default": 90},
            "unlocked": {"type": "bool", "default": False},
        }
    )
    options = module.params

    def work(branch: str) -> Report:
        request = OffsiteRequest(
            branch=branch,
            central_path=options["central_path"],
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            target=options["target"],
            lock_days=options["lock_days"],
            unlocked=options["unlocked"],
        )
        uploads = os.path.join(options["state_path"], "offsite", f"{options['target']}-{branch}.uploads.json")
        # In the branch's own process: connections are not shared between processes.
        return copy_offsite(open_store(options, uploads_path=uploads), request, check_mode=module.check_mode).report()

    try:
        with interruptible():
            reports = each_branch(work, options["branches"], place=options["target"], deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=any(each["artifacts"] for each in reports.values()), reports=reports)


if __name__ == "__main__":
    main()

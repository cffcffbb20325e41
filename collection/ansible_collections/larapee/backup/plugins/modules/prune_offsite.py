#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: prune_offsite
short_description: Remove backup sets from the hot place that are over age and have a better successor
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Prunes C(<branch>/) below O(url) of each branch by the rules of P(larapee.backup.prune#module). What is to replace
    a set is intact there - its versions are listed, and their bytes were read, or vouched for by the server, within
    O(read_days) days.
  - What a verification of central's own place opened counts as opened, as its bytes are the same.
  - All versions of what goes are removed, its manifest first. What was removed, and what people said, is noted at
    central, and P(larapee.backup.offsite#module) does not send it again.
  - The immutable archive is not pruned; its locks end by themselves.
  - A branch for which it fails does not stop the others; see RV(reports).
attributes:
  check_mode:
    support: full
    description: Tells which sets would go, which newer ones replace them, what stays over age and why. Changes nothing.
  diff_mode:
    support: none
    description: The reports name every set.
  idempotent:
    support: full
    description: What has gone is gone.
extends_documentation_fragment:
  - larapee.backup.branches
  - larapee.backup.estate
  - larapee.backup.run
  - larapee.backup.store
  - larapee.backup.store.server
  - larapee.backup.wishes
options:
  keep_days:
    description:
      - Sets younger than this stay. The age of a set is summed over the steps from set to set; a step of more than 48
        hours does not count.
    type: int
    default: 30
    version_added: 0.1.0
  read_days:
    description: For how many days it counts that bytes were read.
    type: int
    default: 30
    version_added: 0.1.0
notes:
  - What people ask (O(pin), O(unpin), O(acknowledge), O(hold), O(release)) is for one branch; O(branches) has to name
    it alone.
"""

EXAMPLES = r"""
- name: Keep thirty days in the hot bucket
  larapee.backup.prune_offsite:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
    url: s3://larapee-hot/branches
    endpoint: https://s3.example.com
    credentials_file: /etc/larapee-backup/s3/pruner.ini
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(details) with C(deleted), C(kept_over_age) and C(freed), and C(error) where
      a person has to act.
  type: dict
  returned: always
"""

import os

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    estate_spec,
    fail,
    run_spec,
    wishes,
    wishes_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch
from ansible_collections.larapee.backup.plugins.module_utils._offsite_prune import prune_offsite
from ansible_collections.larapee.backup.plugins.module_utils._offsite_verify import require_days
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._prune_request import PruneRequest, require_one
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, store_spec


def main() -> None:
    module = create_module(
        {
            **estate_spec(),
            **run_spec(),
            **store_spec(),
            **wishes_spec(),
            "keep_days": {"type": "int", "default": 30},
            "read_days": {"type": "int", "default": 30},
        }
    )
    options = module.params

    def work(branch: str) -> Report:
        request = PruneRequest(
            branch=branch,
            directory=options["url"],
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            keep_days=options["keep_days"],
            results=os.path.join(options["central_path"], "branches", branch),
            **wishes(options),
        )
        outcome = prune_offsite(
            # In the branch's own process: connections are not shared between processes.
            open_store(options),
            request,
            read_days=options["read_days"],
            check_mode=module.check_mode,
        )
        return outcome.report_at("hot")

    try:
        require_days(options["read_days"])
        require_one(options["branches"], wishes(options))
        with interruptible():
            reports = each_branch(work, options["branches"], place="hot", deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    changed = any(each["details"].get("changed", False) for each in reports.values())
    module.exit_json(changed=changed, reports=reports)


if __name__ == "__main__":
    main()

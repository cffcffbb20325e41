#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: prune_estate
short_description: Remove backup sets at central that are over age and have a better successor
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Prunes C(branches/<branch>/) of each branch by the rules of P(larapee.backup.prune#module). What the branch itself
    has or has removed plays no part in it.
  - While it removes something it holds the lock C(pull-<branch>), which adoption holds too. What was removed, and what
    people said, is noted in C(retention.json) in the place, so that adoption need not take it again.
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
  - larapee.backup.wishes
options:
  keep_days:
    description:
      - Sets younger than this stay. The age of a set is summed over the steps from set to set; a step of more than 48
        hours does not count.
    type: int
    default: 90
    version_added: 0.1.0
notes:
  - What people ask (O(pin), O(unpin), O(acknowledge), O(hold), O(release)) is for one branch; O(branches) has to name
    it alone.
"""

EXAMPLES = r"""
- name: Keep ninety days
  larapee.backup.prune_estate:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers

- name: Let the first set of a rebuilt branch replace older ones
  larapee.backup.prune_estate:
    branches:
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
    acknowledge:
      - 812
    reason: the server was rebuilt on Monday
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(details) with C(deleted), C(kept_over_age) and C(freed), and C(error) where
      a person has to act.
  type: dict
  returned: always
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    estate_spec,
    fail,
    run_spec,
    wishes,
    wishes_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch, place_of
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._prune import PruneRequest, prune_place
from ansible_collections.larapee.backup.plugins.module_utils._prune_request import require_one


def main() -> None:
    module = create_module(
        {**estate_spec(), **run_spec(), **wishes_spec(), "keep_days": {"type": "int", "default": 90}}
    )
    options = module.params

    def work(branch: str) -> Report:
        request = PruneRequest(
            branch=branch,
            directory=place_of(options["central_path"], branch),
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            keep_days=options["keep_days"],
            excludes=f"pull-{branch}",
            **wishes(options),
        )
        return prune_place(request, check_mode=module.check_mode).report_at("central")

    try:
        require_one(options["branches"], wishes(options))
        with interruptible():
            reports = each_branch(work, options["branches"], deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    changed = any(each["details"].get("changed", False) for each in reports.values())
    module.exit_json(changed=changed, reports=reports)


if __name__ == "__main__":
    main()

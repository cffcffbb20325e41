#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_estate
short_description: Verify what central holds of each branch
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Checks every artifact in C(branches/<branch>/) as P(larapee.backup.verify#module) does on a branch, to the level
    C(intact). A branch of which there is nothing fails.
  - Manifests and signatures are looked at every night. A signature that was judged before is judged again only when it,
    its manifest or O(allowed_signers) has changed. Bytes are read once in O(read_days) nights, and at once when a file
    was replaced.
  - Writes C(<artifact>.verified.json) beside each artifact that was read. It holds no lock that a pull waits for.
  - A branch for which it fails does not stop the others; see RV(reports).
attributes:
  check_mode:
    support: full
    description: Checks everything and writes no results.
  diff_mode:
    support: none
    description: The results are facts, not a state.
  idempotent:
    support: none
    description: Each run writes when it checked.
extends_documentation_fragment:
  - larapee.backup.branches
  - larapee.backup.estate
  - larapee.backup.run
options:
  read_days:
    description:
      - Within how many nights each byte is read. V(1) reads all of them every night; more spreads them evenly.
    type: int
    default: 1
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Verify the estate, a seventh of its bytes each night
  larapee.backup.verify_estate:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
    read_days: 7
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(recovery_point), C(details) with the counts of each level, what was
      read and the first failures, and C(error) where something is not intact.
  type: dict
  returned: always
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, estate_spec, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch, place_of
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._proofs import Proofs
from ansible_collections.larapee.backup.plugins.module_utils._report import report_of_estate
from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyRequest, verify_place


def main() -> None:
    module = create_module({**estate_spec(), **run_spec(), "read_days": {"type": "int", "default": 1}})
    options = module.params

    def work(branch: str) -> Report:
        state, signers = options["state_path"], options["allowed_signers"]
        place = place_of(options["central_path"], branch)
        request = VerifyRequest(
            branch=branch,
            directory=place,
            allowed_signers=signers,
            state_path=state,
            run_id=options["run_id"],
            proofs=Proofs(state, branch=branch, allowed_signers=signers),
            read_days=options["read_days"],
        )
        return report_of_estate(verify_place(request, check_mode=module.check_mode), place)

    try:
        if options["read_days"] < 1:
            raise BackupError(
                f"Failed to read each byte within {options['read_days']} nights: one is the least. Set "
                "larapee_backup_verify_read_days.",
                reason="bad_request",
            )
        with interruptible():
            reports = each_branch(work, options["branches"], deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=not module.check_mode, reports=reports)


if __name__ == "__main__":
    main()

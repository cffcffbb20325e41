#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_offsite
short_description: Verify what a place offsite has of each branch
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Lists all versions, takes of each manifest the one whose signature verifies, and keeps these at central. Of an
    artifact the version counts whose bytes are those of its manifest - known because central stored it, because the
    server vouches for its checksum, or because it was read.
  - Each byte is read within O(read_days) days, a share of them each night; what is not known otherwise is read at once.
    The tars of increments are read when they are new.
  - In the V(cold) place the lock of each version is read back. It fails where nothing locks one, and where the lock of
    a full ends before that of an increment which stands on it.
  - A branch for which it fails does not stop the others; see RV(reports). It needs an identity that only reads.
attributes:
  check_mode:
    support: full
    description: Checks all of it and remembers nothing.
  diff_mode:
    support: none
    description: The results are facts, not a state.
  idempotent:
    support: none
    description: Each run reads what is due.
extends_documentation_fragment:
  - larapee.backup.branches
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
  read_days:
    description: Within how many days each byte is read.
    type: int
    default: 30
    version_added: 0.1.0
  lock_days:
    description:
      - For how many days after its making the newest artifact of each kind has to be locked in the V(cold) place.
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
- name: Verify the immutable archive, a thirtieth of its bytes each night
  larapee.backup.verify_offsite:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
    target: cold
    url: s3://larapee-cold/branches
    endpoint: https://s3.example.com
    credentials_file: /etc/larapee-backup/s3/auditor.ini
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(recovery_point) (what can be restored from the place), C(details) with the
      counts of each level, what was read, the first failures and C(locked_until) (the earliest end of a lock), and
      C(error) where something is not intact.
  type: dict
  returned: always
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    branches_spec,
    create_module,
    fail,
    run_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch
from ansible_collections.larapee.backup.plugins.module_utils._offsite_verify import (
    OffsiteVerifyRequest,
    require_days,
    verify_offsite,
)
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, store_spec


def main() -> None:
    module = create_module(
        {
            **branches_spec(),
            **run_spec(),
            **store_spec(),
            "target": {"type": "str", "choices": ["hot", "cold"], "required": True},
            "read_days": {"type": "int", "default": 30},
            "lock_days": {"type": "int", "default": 90},
            "unlocked": {"type": "bool", "default": False},
        }
    )
    options = module.params

    def work(branch: str) -> Report:
        request = OffsiteVerifyRequest(
            branch=branch,
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            target=options["target"],
            read_days=options["read_days"],
            unlocked=options["unlocked"],
            lock_days=options["lock_days"],
        )
        # In the branch's own process: connections are not shared between processes.
        return verify_offsite(open_store(options), request, check_mode=module.check_mode)

    try:
        require_days(options["read_days"])
        with interruptible():
            reports = each_branch(work, options["branches"], place=options["target"], deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=not module.check_mode, reports=reports)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: key_drill
short_description: Prove that the restorer's key opens what a branch made last
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Takes the newest full of a branch, checks its signature and its bytes, and opens all of it with the identity. What
    comes out is compared with the recorded hash and goes nowhere.
  - A full that is not encrypted proves nothing, and is refused.
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: It only reads.
extends_documentation_fragment:
  - larapee.backup.run
  - larapee.backup.reading
options:
  branch:
    description: The branch.
    type: str
    required: true
    version_added: 0.1.0
  source:
    description: A directory on this host that holds its backups.
    type: str
    required: true
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Prove the key
  larapee.backup.key_drill:
    branch: branch-001
    source: /mnt/archive/branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
    age_identity_file: /home/restorer/larapee.agekey
"""

RETURN = r"""
report:
  description: What the recorder notes - C(details.key_drill) has C(artifact), C(set), C(plain_size) and C(seconds).
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(not_encrypted).
  type: str
  returned: failure
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, reading_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._key_drill import open_newest
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            **reading_spec(),
            "branch": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
        }
    )
    options = module.params
    try:
        with interruptible():
            report = open_newest(
                options["source"],
                branch=options["branch"],
                allowed_signers=options["allowed_signers"],
                identity=options["age_identity"],
                state_path=options["state_path"],
            )
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()

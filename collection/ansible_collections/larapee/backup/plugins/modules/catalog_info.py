#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: catalog_info
short_description: Tell what a place can restore
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Reads the catalogue of a place, its tip and the results of verification, and tells for each branch from when until
    when its database can be restored, the gaps in between, and the recovery point of database, uploads and config.
  - Reads no artifact and needs no key. An artifact that is missing, of another length than its manifest says, or that
    verification found damaged does not count.
attributes:
  check_mode:
    support: full
    description: It changes nothing.
  diff_mode:
    support: none
    description: The results are facts, not a state.
  idempotent:
    support: full
    description: It changes nothing.
options:
  branch:
    description: The code of the only branch to tell of. Without it, every branch that the place has something of.
    type: str
    version_added: 0.1.0
  local_path:
    description: The directory that holds the artifacts.
    type: path
    default: /var/backups/larapee/local
    version_added: 0.1.0
  allowed_signers:
    description:
      - The C(allowed_signers) file that the tip's signature is checked against. Without it the signature is not
        checked, and the result says so.
    type: path
    version_added: 0.1.0
  rpo:
    description: The age, in seconds, that a recovery point may have.
    type: int
    default: 900
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: See what the branch can restore from its own disk
  larapee.backup.catalog_info:
    branch: branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
  register: place

- name: Tell until when
  ansible.builtin.debug:
    msg: "{{ place.info.branches[0].recoverable.until }}"
"""

RETURN = r"""
info:
  description:
    - One document; C(docs/schemas/catalog_info.schema.json) describes it. Times are UTC, sizes bytes.
  type: dict
  returned: success
  contains:
    branches:
      description:
        - What the place has of each branch - C(recovery_point), C(age_s), C(within_rpo), C(parts), C(recoverable),
          C(astray), C(unusable), C(tip), C(tip_problem), C(verified), C(artifacts).
      type: list
      elements: dict
      returned: success
    problems:
      description: By file, what is wrong with what should be a part of the catalogue.
      type: dict
      returned: success
    unmanaged:
      description: Files with an artifact's name that belong to nobody here, such as dumps of an older cron line.
      type: list
      elements: str
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail, place_spec
from ansible_collections.larapee.backup.plugins.module_utils._catalog_info import InfoRequest, catalog_info
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **place_spec(),
            "branch": {"type": "str"},
            "allowed_signers": {"type": "path"},
            "rpo": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        info = catalog_info(
            InfoRequest(
                directory=options["local_path"],
                branch=options["branch"],
                allowed_signers=options["allowed_signers"],
                rpo_seconds=options["rpo"],
            )
        )
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, info=info)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: signer
short_description: Say which keys may sign for which branches, from when and until when
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Adds branches' public keys to a file C(allowed_signers), or limits them. It removes none, so that what a key signed
    while it was valid stays verifiable, and leaves lines alone that are not its own.
  - A key that is there keeps the time from which it counts. A time until which it counts is only set, or made earlier.
attributes:
  check_mode:
    support: full
    description: Shows what would be written.
  diff_mode:
    support: full
    description: Shows the lines before and after.
  idempotent:
    support: full
    description: A file that says all of it is not touched.
options:
  path:
    description: The file. Its owner and mode are kept; a new one is made with mode 0600.
    type: path
    default: /etc/larapee-backup/allowed_signers
    version_added: 0.1.0
  signers:
    description: The keys.
    type: list
    elements: dict
    required: true
    version_added: 0.1.0
    suboptions:
      branch:
        description: The code of the branch that signs.
        type: str
        required: true
        version_added: 0.1.0
      key:
        description: One line of an SSH public key file.
        type: str
        required: true
        version_added: 0.1.0
      valid_after:
        description: From when on its signatures count, such as V(2026-11-22T14:32:10Z).
        type: str
        version_added: 0.1.0
      valid_before:
        description: Until when its signatures count.
        type: str
        version_added: 0.1.0
      canary:
        description: Something that the key signed. Unless O(signers[].signature) is good for it, nothing is written.
        type: str
        version_added: 0.1.0
      signature:
        description: The signature of O(signers[].canary). Needs O(signers[].valid_after).
        type: str
        version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Believe what the branch signs from now on
  larapee.backup.signer:
    signers:
      - branch: branch-001
        key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8mXcFyFAGE3ePp1lpF7BqKMf0lDgXTJ2rxhsBkWjKE
        valid_after: '2026-11-22T14:32:10Z'
"""

RETURN = r"""
reason:
  description: Why it failed, as a stable word, such as V(bad_request), V(key_not_proved).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _signers
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/larapee-backup/allowed_signers"},
            "signers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "branch": {"type": "str", "required": True},
                    "key": {"type": "str", "required": True, "no_log": False},
                    "valid_after": {"type": "str"},
                    "valid_before": {"type": "str"},
                    "canary": {"type": "str"},
                    "signature": {"type": "str"},
                },
                "required_together": [("canary", "signature")],
                "required_by": {"signature": ["valid_after"]},
            },
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        signers = [
            _signers.Signer(
                branch=each["branch"],
                key=each["key"],
                valid_after=_signers.parse_time(each["valid_after"]) if each["valid_after"] else None,
                valid_before=_signers.parse_time(each["valid_before"]) if each["valid_before"] else None,
            )
            for each in options["signers"]
        ]
        proofs = [
            _signers.Proof(each["canary"], each["signature"], _signers.parse_time(each["valid_after"]))
            if each["signature"]
            else None
            for each in options["signers"]
        ]
        before, after = _signers.update(options["path"], signers, proofs, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=before != after, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()

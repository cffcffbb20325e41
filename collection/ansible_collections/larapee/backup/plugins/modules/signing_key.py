#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: signing_key
short_description: Keep the key that a branch signs with
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes the branch's signing key where it is used, with its public half beside it in C(.pub). The private half never
    leaves.
  - Takes its rotation one step on. What was done so far is told by the files that are there, so that a rotation that
    was interrupted goes on where it stood.
attributes:
  check_mode:
    support: full
    description: Tells whether a key would be made, put into use or removed.
  diff_mode:
    support: none
    description: Keys are not shown.
  idempotent:
    support: full
    description: A key that is there is never made again.
options:
  path:
    description: The private key, without passphrase; the one that follows is C(.next), the one before it C(.old).
    type: path
    default: /etc/larapee-backup/signing_key
    version_added: 0.1.0
  branch:
    description: The code of the branch that signs.
    type: str
    required: true
    version_added: 0.1.0
  owner:
    description: The account that signs; the one that runs the module, when it is not given.
    type: str
    version_added: 0.1.0
  step:
    description:
      - V(present) makes what is missing, and nothing else.
      - V(begin) makes the following key of one that is O(min_age_seconds) old.
      - V(switch) puts the following key into use. Have it believed everywhere before.
      - V(finish) removes the key before. Have its end written everywhere before.
    type: str
    choices: [present, begin, switch, finish]
    default: present
    version_added: 0.1.0
  min_age_seconds:
    description: How old the key must be before it is rotated.
    type: int
    default: 0
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make the key
  larapee.backup.signing_key:
    branch: branch-001
    owner: larapee-backup
"""

RETURN = r"""
key:
  description:
    - The C(public) half, C(since) when there is this key (UTC), and the C(stage) of its rotation, V(at rest), V(added)
      or V(over).
    - C(next), while it is not in use, has its C(public) half, C(valid_after), from when on its signatures are to
      count, and a C(canary) with the key's C(signature).
    - C(old), while it is there, has its C(public) half and C(valid_before), until when it was in use.
  type: dict
  returned: when there is a key
reason:
  description: Why it failed, as a stable word, such as V(key_not_made), V(unreadable).
  type: str
  returned: failure
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _names, _rotation, _signing_key
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._rotation import Slot


def take_step(options: t.Mapping[str, t.Any], key: Slot, *, check_mode: bool) -> bool:
    """Take the step; tell whether it changed, or would change, anything."""
    if options["step"] == "present":
        return _signing_key.ensure(key, owner=options["owner"], check_mode=check_mode)
    if options["step"] == "begin":
        return _rotation.begin(
            key,
            owner=options["owner"],
            min_age_seconds=options["min_age_seconds"],
            overlap_seconds=0,
            check_mode=check_mode,
        )
    switches = options["step"] == "switch"
    if key.stage(overlap_seconds=0) != (_rotation.ADDED if switches else _rotation.OVER):
        return False
    if not check_mode:
        _signing_key.switch(key) if switches else _signing_key.finish(key)
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/larapee-backup/signing_key"},
            "branch": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "step": {"type": "str", "choices": ["present", "begin", "switch", "finish"], "default": "present"},
            "min_age_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        if not _names.is_branch_code(options["branch"]):
            raise BackupError(
                f"Failed to make the signing key of {options['branch']!r}: it is no branch code. Correct "
                "larapee_backup_branch of that host.",
                reason="bad_request",
            )
        key = _signing_key.slot(options["path"], options["branch"])
        changed = take_step(options, key, check_mode=module.check_mode)
        facts = {}
        if os.path.exists(key.current):
            facts = {"key": {**_signing_key.facts(key), "stage": key.stage(overlap_seconds=0)}}
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=changed, **facts)


if __name__ == "__main__":
    main()

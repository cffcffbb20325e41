#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_keys
short_description: Keep central's SSH keys to the branches
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes for each branch one pair of keys that pulls and one that acknowledges, where they are used. Private halves
    never leave; the public ones are returned.
  - Takes a rotation of these keys one step on. What was done so far is told by the files that are there, so that a
    rotation that was interrupted goes on where it stood.
attributes:
  check_mode:
    support: full
    description: Tells for which branches keys would be made.
  diff_mode:
    support: none
    description: Keys are not shown.
  idempotent:
    support: full
    description: A key that is there is never made again.
options:
  branches:
    description: The codes of the branches.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  directory:
    description: Where the keys lie, in C(pull_key/<branch>) and C(acknowledge_key/<branch>).
    type: path
    default: /etc/larapee-backup/ssh
    version_added: 0.1.0
  owner:
    description: The account that uses the keys; the one that runs the module, when it is not given.
    type: str
    version_added: 0.1.0
  step:
    description:
      - V(present) makes what is missing, and nothing else.
      - V(begin) makes the following key, in C(pull_key.next) and C(acknowledge_key.next), of those that are
        O(min_age_seconds) old.
      - V(switch) puts the following keys of O(branches) into use. Prove before that the branch takes them.
      - V(finish) removes the private halves of the keys before, in C(pull_key.old) and C(acknowledge_key.old), of those
        whose overlap is over. See before that the branch takes them no more.
    type: str
    choices: [present, begin, switch, finish]
    default: present
    version_added: 0.1.0
  min_age_seconds:
    description: How old a key must be before it is rotated.
    type: int
    default: 0
    version_added: 0.1.0
  overlap_seconds:
    description: For how long the branch takes the old key as well, after the new one is in use.
    type: int
    default: 0
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make the keys that are missing
  larapee.backup.pull_keys:
    branches: [branch-001, branch-002]
    owner: larapee-pull
"""

RETURN = r"""
keys:
  description:
    - By branch and purpose (C(pull), C(acknowledge)) the public halves of C(current), and of C(next) and C(old) while a
      rotation is under way; C(stage), V(at rest), V(added), V(overlap) or V(over); C(age_seconds) of the current one.
  type: dict
  returned: success
made:
  description: By branch, the purposes for which a key was, or would be, made, put into use or removed by this call.
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(key_not_made), V(bad_request).
  type: str
  returned: failure
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _pull_keys, _rotation
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._pull_keys import Of
from ansible_collections.larapee.backup.plugins.module_utils._rotation import Slot


def take_step(options: t.Mapping[str, t.Any], every: t.Mapping[Of, Slot], *, check_mode: bool) -> list[Of]:
    """Take the step on each of the keys; return those that it was, or would be, taken on."""
    overlap = options["overlap_seconds"]
    if options["step"] == "begin":
        due = {"min_age_seconds": options["min_age_seconds"], "overlap_seconds": overlap}
        return [
            of
            for of, slot in every.items()
            if os.path.exists(slot.current)
            and _rotation.begin(slot, owner=options["owner"], check_mode=check_mode, **due)
        ]
    wanted = _rotation.ADDED if options["step"] == "switch" else _rotation.OVER
    ready = [of for of, slot in every.items() if slot.stage(overlap_seconds=overlap) == wanted]
    if not check_mode:
        for of in ready:
            _rotation.switch(every[of]) if options["step"] == "switch" else _rotation.finish(every[of])
    return ready


def facts_of(slot: Slot, *, overlap_seconds: int) -> dict[str, t.Any]:
    return {
        **_rotation.publics(slot),
        "stage": slot.stage(overlap_seconds=overlap_seconds),
        "age_seconds": int(slot.age_seconds()),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branches": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "default": "/etc/larapee-backup/ssh"},
            "owner": {"type": "str"},
            "step": {"type": "str", "choices": ["present", "begin", "switch", "finish"], "default": "present"},
            "min_age_seconds": {"type": "int", "default": 0},
            "overlap_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        every = _pull_keys.slots(options["directory"], options["branches"])
        if options["step"] == "present":
            taken = _pull_keys.ensure(every, owner=options["owner"], check_mode=module.check_mode)
        else:
            taken = take_step(options, every, check_mode=module.check_mode)
        keys: dict[str, dict[str, t.Any]] = {}
        for (branch, purpose), slot in every.items():
            if os.path.exists(slot.current):
                facts = facts_of(slot, overlap_seconds=options["overlap_seconds"])
                keys.setdefault(branch, {})[purpose] = facts
    except BackupError as exc:
        fail(module, exc)
    made: dict[str, list[str]] = {}
    for branch, purpose in taken:
        made.setdefault(branch, []).append(purpose)
    module.exit_json(changed=bool(taken), keys=keys, made=made)


if __name__ == "__main__":
    main()

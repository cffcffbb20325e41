#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_kept
short_description: Bring back what a restore put aside, or remove it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Finds the directory or file that stood at a path before a restore, whatever it is called now.
attributes:
  check_mode:
    support: full
    description: Tells whether it would be brought back, or removed.
  diff_mode:
    support: none
    description: It is renamed, its content stays.
  idempotent:
    support: full
    description: What stands in its place already stays.
options:
  identity:
    description: What M(larapee.backup.restore_step) remembered of it - path, device, inode.
    type: dict
    required: true
    version_added: 0.1.0
  state:
    description:
      - V(back) lets it change places with what stands there. Nothing is removed.
      - V(absent) removes it, with all that is in it, for good; refused when it stands in its place.
    type: str
    choices: [back, absent]
    default: back
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Bring the uploads back that the shop had before the restore
  larapee.backup.file_kept:
    identity: "{{ record.facts.uploads }}"
"""

RETURN = r"""
kept:
  description: Where what stood there is kept now; null when nothing did.
  type: str
  returned: success of the state V(back)
reason:
  description: Why it failed, as a stable word, such as V(nothing_kept), V(in_use).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _file_kept
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "identity": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["back", "absent"], "default": "back"},
        },
        supports_check_mode=True,
    )
    identity = module.params["identity"]
    before = _file_kept.identify(str(identity.get("path", "")))
    try:
        if module.params["state"] == "absent":
            module.exit_json(changed=_file_kept.remove(identity, check_mode=module.check_mode))
        kept = _file_kept.bring_back(identity, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=before != identity, kept=kept)


if __name__ == "__main__":
    main()

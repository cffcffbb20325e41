#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetch_key
short_description: Make the SSH key of one fetch from central, and remove it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes a pair of keys on the host that is restored, for M(larapee.backup.fetch_ssh). The private half never
    leaves it; the public one is for M(larapee.backup.fetch_door).
attributes:
  check_mode:
    support: full
    description: Tells whether a key would be made or removed.
  diff_mode:
    support: none
    description: Keys are not shown.
  idempotent:
    support: partial
    description: A key that is there is replaced, as whoever left it did not end well. Removing is idempotent.
options:
  branch:
    description: The branch whose artifacts are fetched.
    type: str
    required: true
    version_added: 0.1.0
  key_directory:
    description: Where the key lies, 0700. Below C(/run) it is in memory only.
    type: path
    default: /run/larapee-backup-fetch
    version_added: 0.1.0
  state:
    description: V(present) makes a new pair, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make a key for this fetch
  larapee.backup.fetch_key:
    branch: branch-001
"""

RETURN = r"""
public:
  description: Kind and key of the public half.
  type: str
  returned: when it was made
reason:
  description: Why it failed, as a stable word, such as V(key_not_made), V(bad_branch).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_key
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branch": {"type": "str", "required": True},
            "key_directory": {"type": "path", "default": "/run/larapee-backup-fetch", "no_log": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    directory, branch = module.params["key_directory"], module.params["branch"]
    try:
        if module.check_mode:
            module.exit_json(
                changed=module.params["state"] == "present" or _fetch_key.is_left(directory, branch=branch)
            )
        if module.params["state"] == "absent":
            module.exit_json(changed=_fetch_key.remove(directory, branch=branch))
        public = _fetch_key.make(directory, branch=branch)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=True, public=public)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetch_door
short_description: Let one host fetch one branch's artifacts from central, for some hours
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Works on central, for M(larapee.backup.fetch_ssh). Asks central's sshd which files of keys it reads for the account,
    and writes one line there. The key opens rsync on the branch's directory and nothing else, for reading; where the
    account is root, with no right of root's but that to read.
  - sshd itself takes the key no more when its hours are over, whether somebody removed the line or not. Lines of that
    kind are removed whenever this module is used.
attributes:
  check_mode:
    support: full
    description: Looks at the directory and sshd, and changes nothing.
  diff_mode:
    support: none
    description: Keys are not shown.
  idempotent:
    support: partial
    description: Each time its hours begin anew. Removing is idempotent.
options:
  branch:
    description: The branch whose artifacts are fetched.
    type: str
    required: true
    version_added: 0.1.0
  target:
    description: A name of the host that fetches. Of each branch and target there is one line.
    type: str
    required: true
    version_added: 0.1.0
  url:
    description: Where from, as the target sees it, C(ssh://[user@]host[:port]/path).
    type: str
    required: true
    version_added: 0.1.0
  public:
    description: The public half of the target's key. Required for V(present).
    type: str
    version_added: 0.1.0
  valid_seconds:
    description: For how long sshd takes the key.
    type: int
    default: 21600
    version_added: 0.1.0
  sshd_config:
    description: The settings of the sshd that the target reaches.
    type: path
    default: /etc/ssh/sshd_config
    version_added: 0.1.0
  state:
    description: V(present) opens the door, V(absent) closes it.
    type: str
    choices: [present, absent]
    default: present
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Let the target fetch
  larapee.backup.fetch_door:
    branch: branch-001
    target: "{{ inventory_hostname }}"
    url: ssh://central.example.com/srv/backups/larapee/branches
    public: "{{ key.public }}"
  delegate_to: central
"""

RETURN = r"""
host_keys:
  description: Kind and key of each host key of that sshd.
  type: list
  elements: str
  returned: for V(present)
reason:
  description: Why it failed, as a stable word, such as V(no_door), V(tool_missing), V(bad_address).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_ssh
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._door import Door
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branch": {"type": "str", "required": True},
            "target": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "public": {"type": "str"},
            "valid_seconds": {"type": "int", "default": 21600},
            "sshd_config": {"type": "path", "default": "/etc/ssh/sshd_config"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["public"])],
        supports_check_mode=True,
    )
    options = module.params
    try:
        address = _fetch_ssh.parse(options["url"], branch=options["branch"])
        door = Door(
            branch=options["branch"],
            target=options["target"],
            path=address.path,
            account=address.user,
            sshd_config=options["sshd_config"],
        )
        if options["state"] == "absent":
            module.exit_json(changed=door.is_open() if module.check_mode else door.close())
        door.check()
        if not module.check_mode:
            door.open(options["public"], valid_seconds=options["valid_seconds"])
        host_keys = door.host_keys()
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=True, host_keys=host_keys)


if __name__ == "__main__":
    main()

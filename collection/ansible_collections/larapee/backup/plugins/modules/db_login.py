#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_login
short_description: Make the password of an SQL account where it is used, and the option file that holds it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes a random password once, on this host, and writes the client option file of the account with it.
  - The password is in these two files only. It is in no argument, result, log or diff.
  - M(larapee.backup.db_account) tells the server of it.
attributes:
  check_mode:
    support: full
    description: Tells whether something would be made or written.
  diff_mode:
    support: none
    description: What it writes is a secret.
  idempotent:
    support: full
    description: A password that is there stays.
extends_documentation_fragment:
  - ansible.builtin.files
options:
  path:
    description: The option file.
    type: path
    required: true
    version_added: 0.1.0
  password_file:
    description: The file with the password alone, mode 0600, which stays with the account that runs this module.
    type: path
    required: true
    version_added: 0.1.0
  user:
    description: The name of the SQL account.
    type: str
    required: true
    version_added: 0.1.0
  socket:
    description: The server's socket.
    type: path
    version_added: 0.1.0
  host:
    description: The server's address, where it is not reached by a socket.
    type: str
    version_added: 0.1.0
  port:
    description: The server's port.
    type: int
    version_added: 0.1.0
  ssl_ca:
    description: The certificates by which the server is checked.
    type: path
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make the operator's login
  larapee.backup.db_login:
    path: /etc/larapee-backup/operator.cnf
    password_file: /etc/larapee-backup/passwords/operator
    user: larapee-backup
    socket: /run/mysqld/mysqld.sock
    owner: larapee-backup
    mode: "0600"
"""

RETURN = r"""
made:
  description: Whether a password was made, or would be.
  type: bool
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(insecure_file).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._login import LoginRequest, settle_login

NAMES = ("path", "password_file", "user", "socket", "host", "port", "ssl_ca")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "password_file": {"type": "path", "required": True, "no_log": False},
            "user": {"type": "str", "required": True},
            "socket": {"type": "path"},
            "host": {"type": "str"},
            "port": {"type": "int"},
            "ssl_ca": {"type": "path"},
        },
        add_file_common_args=True,
        required_one_of=[("socket", "host")],
        mutually_exclusive=[("socket", "host")],
        supports_check_mode=True,
    )
    options = module.params
    try:
        outcome = settle_login(LoginRequest(**{name: options[name] for name in NAMES}), check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    changed = outcome.made or outcome.written
    if not (module.check_mode and changed):
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(options), changed)
    module.exit_json(changed=changed, made=outcome.made)


if __name__ == "__main__":
    main()

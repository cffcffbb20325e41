#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_log_info
short_description: Tell whether a server writes its binary log as backups need it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Asks the running server, not its files. Changes nothing.
attributes:
  check_mode:
    support: full
    description: It changes nothing anyway.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
options:
  db_option_file:
    description: A client option file, mode 0600, of an account that may see the log's status.
    type: path
    required: true
    version_added: 0.1.0
requirements:
  - PyMySQL (python3-pymysql on Debian)
"""

EXAMPLES = r"""
- name: Ask the server how it logs
  larapee.backup.db_log_info:
    db_option_file: /root/.larapee-admin.cnf
  register: log
"""

RETURN = r"""
ready:
  description: Whether its log can be sealed.
  type: bool
  returned: success
problem:
  description: Why not, and what to do. Empty where it can be.
  type: str
  returned: success
risks:
  description: Settings that may cost sales or fill the disk.
  type: list
  elements: str
  returned: success
engine:
  description: V(mariadb) or V(mysql).
  type: str
  returned: success
server_id:
  description: The server's C(server_id).
  type: int
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(database_unreachable).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._log_info import log_info


def main() -> None:
    module = AnsibleModule(
        argument_spec={"db_option_file": {"type": "path", "required": True}}, supports_check_mode=True
    )
    try:
        state = log_info(module.params["db_option_file"])
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, **state)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_account
short_description: Give one SQL account exactly what its role in backups needs
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Creates the account, corrects how it logs in, grants what is missing and takes back what is too much, so that it has
    the least that its role needs on this engine and release. What was granted is read again afterwards.
  - Needs the server's administrator. Nothing else of this collection does.
  - No statement holds a password. The server is told its hash.
  - Privileges that are granted to C(PUBLIC) are not the account's own; a warning tells them.
attributes:
  check_mode:
    support: full
    description: Returns the statements that would be run.
  diff_mode:
    support: full
    description: Shows how the account logs in and what it has, before and after. Never a password or a hash.
  idempotent:
    support: full
    description: An account that is as it should be is not touched.
options:
  role:
    description:
      - V(operator) dumps O(db_name) and takes its fingerprint. It cannot write, and cannot read binary logs.
      - V(binlog) closes and reads binary logs. They hold the rows and statements of every database of the server.
      - V(restorer) fills O(db_name), on the server that is restored to. It may create procedures that run with
        anybody's rights, so its password is worth as much as the administrator's. Remove it after the restore.
    type: str
    choices: [operator, binlog, restorer]
    required: true
    version_added: 0.1.0
  name:
    description: The account's name. It has to be one of its own; whatever else it may do is taken away.
    type: str
    required: true
    version_added: 0.1.0
  host:
    description:
      - From where it logs in, as in C(CREATE USER). Unless that is the server's own machine (C(localhost),
        C(127.0.0.1), C(::1)), it must come by TLS.
    type: str
    default: localhost
    version_added: 0.1.0
  db_name:
    description: The one database (schema) of the account. Required for V(operator) and V(restorer).
    type: str
    version_added: 0.1.0
  db_option_file:
    description:
      - A client option file of the server's administrator, mode 0600, with one C([client]) group with user and socket
        or host.
    type: path
    required: true
    version_added: 0.1.0
  aside:
    description:
      - The schema in which M(larapee.backup.db_aside) keeps what O(db_name) holds, such as V(larapos_before_restore). A
        V(restorer) on a host that sells needs it, to put the database there, bring it back, and remove it. It gets
        C(SELECT), C(INSERT), C(CREATE), C(DROP) and C(ALTER) on that schema, and may read the code of routines.
      - Without it the account fills O(db_name), and cannot keep what is there.
    type: str
    version_added: 0.1.0
  password_file:
    description:
      - A file on the managed host, mode 0600, with the account's password in one line.
      - Without it the account logs in by the server's socket, as the operating system's user of the same name
        (C(unix_socket) on MariaDB, C(auth_socket) on MySQL, which has to be loaded there).
    type: path
    version_added: 0.1.0
  state:
    description: V(absent) drops the account.
    type: str
    choices: [present, absent]
    default: present
    version_added: 0.1.0
requirements:
  - PyMySQL (python3-pymysql on Debian)
"""

EXAMPLES = r"""
- name: Let the operator dump the shop's database
  larapee.backup.db_account:
    role: operator
    name: larapee-backup
    db_name: larapos
    db_option_file: /root/.larapee-admin.cnf
    password_file: /etc/larapee-backup/operator.password

- name: Let root's own cron job seal the binary logs, without any password
  larapee.backup.db_account:
    role: binlog
    name: larapee-binlog
    db_option_file: /root/.larapee-admin.cnf

- name: Let the restorer bring a shop back, and keep what is there until that is proven
  larapee.backup.db_account:
    role: restorer
    name: larapee-restore
    db_name: larapos
    aside: larapos_before_restore
    db_option_file: /root/.larapee-admin.cnf
    password_file: /root/restore.password
"""

RETURN = r"""
account:
  description: The account as the server writes it.
  type: str
  returned: success
statements:
  description: The statements that were, or would be, run. Where the server is told a hash, it is left out.
  type: list
  elements: str
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(query_failed), V(unknown_grant), V(unsupported_server).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._account import AccountRequest, settle_account
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "role": {"type": "str", "choices": ["operator", "binlog", "restorer"], "required": True},
            "name": {"type": "str", "required": True},
            "host": {"type": "str", "default": "localhost"},
            "db_name": {"type": "str"},
            "db_option_file": {"type": "path", "required": True},
            "aside": {"type": "str"},
            "password_file": {"type": "path", "no_log": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("role", "operator", ["db_name"]), ("role", "restorer", ["db_name"])],
        supports_check_mode=True,
    )
    options = module.params
    try:
        outcome = settle_account(
            AccountRequest(
                option_file=options["db_option_file"],
                role=options["role"],
                name=options["name"],
                host=options["host"],
                database=options["db_name"],
                password_file=options["password_file"],
                present=options["state"] == "present",
                aside=options["aside"],
            ),
            check_mode=module.check_mode,
        )
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=outcome.changed,
        account=outcome.account,
        statements=outcome.statements,
        diff={
            "before": "".join(f"{line}\n" for line in outcome.before),
            "after": "".join(f"{line}\n" for line in outcome.after),
        },
    )


if __name__ == "__main__":
    main()

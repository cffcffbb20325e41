#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: shop_check
short_description: Find out whether a shop sells
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Asks for the shop's health, logs in, makes a sample order and takes it back, asks the database and runs commands.
    Runs on the shop's own host.
  - Fails unless each check that was made is OK, and each of O(require) was made.
attributes:
  check_mode:
    support: full
    description: Asks for the health only.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: The sample order is taken back.
options:
  base_url:
    description: Where the application answers, such as V(http://127.0.0.1).
    type: str
    required: true
    version_added: 0.1.0
  health_path:
    description: Answers 200 when the shop is well.
    type: str
    default: /api/v1/health
    version_added: 0.1.0
  login_path:
    description: Takes C(email) and C(password), and answers with a C(token).
    type: str
    default: /api/v1/auth/login
    version_added: 0.1.0
  order_path:
    description:
      - Takes an order with a header C(Idempotency-Key), and answers with its C(invoice). Below it, C(DELETE) of that
        invoice takes the order back.
    type: str
    default: /api/v1/orders
    version_added: 0.1.0
  variants_path:
    description: Lists what is sold. The first of it is ordered when there is no O(order_body).
    type: str
    default: /api/v1/variants
    version_added: 0.1.0
  credentials_file:
    description: A file on the host, mode 0600, with a line C(email=...) and a line C(password=...).
    type: path
    version_added: 0.1.0
  order_body:
    description: What to order.
    type: dict
    default: {}
    version_added: 0.1.0
  require:
    description: Checks that must not be NOT RUN.
    type: list
    elements: str
    default: [health, login, order]
    version_added: 0.1.0
  sql_asserts:
    description: Queries, each with what the first column of the first row has to be.
    type: list
    elements: dict
    default: []
    version_added: 0.1.0
    suboptions:
      name:
        description: Its name in what is told.
        type: str
        required: true
        version_added: 0.1.0
      query:
        description: A query that only reads.
        type: str
        required: true
        version_added: 0.1.0
      expect:
        description: The answer, as text.
        type: str
        required: true
        version_added: 0.1.0
  commands:
    description: Commands that end with 0 when all is well.
    type: list
    elements: dict
    default: []
    version_added: 0.1.0
    suboptions:
      name:
        description: Its name in what is told.
        type: str
        required: true
        version_added: 0.1.0
      argv:
        description: The command as a list.
        type: list
        elements: str
        required: true
        version_added: 0.1.0
  db_option_file:
    description: A client option file, mode 0600, for O(sql_asserts).
    type: path
    version_added: 0.1.0
  db_name:
    description: The database that O(sql_asserts) ask.
    type: str
    default: larapos
    version_added: 0.1.0
  ca_file:
    description: The certificates to trust.
    type: path
    version_added: 0.1.0
  timeout:
    description: Seconds for each answer, query and command.
    type: int
    default: 15
    version_added: 0.1.0
  wait:
    description: Seconds within which the health may become good.
    type: int
    default: 30
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Find out whether the shop sells
  larapee.backup.shop_check:
    base_url: http://127.0.0.1
    credentials_file: /root/cashier.ini
    sql_asserts:
      - name: no payment without an order
        query: SELECT COUNT(*) FROM payments LEFT JOIN orders ON orders.id = order_id WHERE orders.id IS NULL
        expect: "0"
    db_option_file: /root/restore.cnf
"""

RETURN = r"""
checks:
  description: Of each check its name, result (OK, FAILED or NOT RUN), why, and the seconds that it took.
  type: list
  elements: dict
  returned: always
reason:
  description: Why it failed, as a stable word, such as V(shop_not_well), V(bad_credentials).
  type: str
  returned: failure
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _shop_check
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    text = {"type": "str", "required": True}
    argv = {"type": "list", "elements": "str", "required": True}
    asserts = {"name": text, "query": text, "expect": text}
    module = AnsibleModule(
        argument_spec={
            "base_url": {"type": "str", "required": True},
            "health_path": {"type": "str", "default": "/api/v1/health"},
            "login_path": {"type": "str", "default": "/api/v1/auth/login"},
            "order_path": {"type": "str", "default": "/api/v1/orders"},
            "variants_path": {"type": "str", "default": "/api/v1/variants"},
            "credentials_file": {"type": "path"},
            "order_body": {"type": "dict", "default": {}},
            "require": {"type": "list", "elements": "str", "default": ["health", "login", "order"]},
            "sql_asserts": {"type": "list", "elements": "dict", "default": [], "options": asserts},
            "commands": {"type": "list", "elements": "dict", "default": [], "options": {"name": text, "argv": argv}},
            "db_option_file": {"type": "path"},
            "db_name": {"type": "str", "default": "larapos"},
            "ca_file": {"type": "path"},
            "timeout": {"type": "int", "default": 15},
            "wait": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    given = {
        "option_file": options.pop("db_option_file") or "",
        "database": options.pop("db_name"),
        **{name: options.pop(name) or "" for name in ("credentials_file", "ca_file")},
        **{name: tuple(options.pop(name)) for name in ("require", "sql_asserts", "commands")},
    }
    try:
        with interruptible():
            request = _shop_check.CheckRequest(**given, **options)
            checks = _shop_check.check_shop(request, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, checks=[dataclasses.asdict(each) for each in checks])


if __name__ == "__main__":
    main()

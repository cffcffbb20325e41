#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_references
short_description: Check that every file is there that a database names
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Takes the files that the rows of a database name from O(lines), from O(queries), or from both, and looks for each
    below O(uploads_path), with the SHA-256 where one was recorded.
  - Fails when one is missing or has another content. Files that nothing names are counted.
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: It only reads.
options:
  uploads_path:
    description: The directory that the paths are below of.
    type: path
    required: true
    version_added: 0.1.0
  lines:
    description: JSON lines, each an object with C(path) and, where they are known, C(table) and C(sha256).
    type: str
    default: ''
    version_added: 0.1.0
  queries:
    description: SQL queries that give a path and, if there is a second column, the file's SHA-256 in hexadecimal.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  db_option_file:
    description: A client option file, mode 0600; required with O(queries).
    type: path
    version_added: 0.1.0
  db_name:
    description: The database that the queries are asked of; required with O(queries).
    type: str
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Check the slips of all receipts
  larapee.backup.file_references:
    uploads_path: /var/www/storage/app/public
    queries:
      - SELECT slip_path, slip_sha256 FROM payments WHERE slip_path IS NOT NULL
    db_option_file: /root/restore.cnf
    db_name: larapos
"""

RETURN = r"""
checked:
  description: How many references were looked at.
  type: int
  returned: success
hashed:
  description: How many of these files were read and compared with a recorded hash.
  type: int
  returned: success
orphans:
  description: How many files nothing names.
  type: int
  returned: success
missing:
  description: The first files that are not there.
  type: list
  elements: str
  returned: always
other:
  description: The first files that have another content than was recorded.
  type: list
  elements: str
  returned: always
reason:
  description: Why it failed, as a stable word, such as V(references_missing).
  type: str
  returned: failure
"""

import itertools

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _file_references
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "uploads_path": {"type": "path", "required": True},
            "lines": {"type": "str", "default": ""},
            "queries": {"type": "list", "elements": "str", "default": []},
            "db_option_file": {"type": "path"},
            "db_name": {"type": "str"},
        },
        required_together=[("db_option_file", "db_name")],
        supports_check_mode=True,
    )
    options = module.params
    if options["queries"] and not options["db_option_file"]:
        module.fail_json(msg="Failed to ask for references: db_option_file is missing. Give it with queries.")
    try:
        references = itertools.chain(
            _file_references.of_lines(options["lines"]),
            _file_references.of_queries(options["db_option_file"], options["db_name"], options["queries"]),
        )
        found = _file_references.check(references, options["uploads_path"])
        found.require_all()
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(
        changed=False,
        checked=found.checked,
        hashed=found.hashed,
        orphans=found.orphans,
        missing=found.missing,
        other=found.changed,
    )


if __name__ == "__main__":
    main()

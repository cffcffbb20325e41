#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_aside
short_description: Keep what a database holds aside, bring it back, or remove it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes room for a restore. Tables and sequences are renamed into another schema, all in one statement and without
    copying a row; foreign keys follow. MariaDB since 10.6 and MySQL 8 do that whole or not at all. A sequence goes on
    after the values that the server had reserved, as after a restart of the server.
  - Triggers, views, routines and events cannot be renamed. The stock dump client writes their definitions into
    C(restores/BRANCH.definitions.sql) below O(state_path), and they are made again from it, with their definers.
  - A call that was killed is ended by the next one. Until then the live schema is marked as unusable by the table
    C(larapee_backup_unfinished_restore), and is not backed up.
  - Refuses, before anything changes, when foreign keys of other schemas point into the database, when the account
    lacks a right that the way there or back needs, and when a view cannot be read any more.
  - Foreign keys of schemas that the account may not see are not found. They follow the old tables, come back with
    them, and keep the server from removing what was kept.
  - Before the first change a new epoch is demanded, so that the next backup is a full.
attributes:
  check_mode:
    support: full
    description: Tells what would be kept, brought back or removed, and what would be lost with it.
  diff_mode:
    support: none
    description: All of the content moves.
  idempotent:
    support: full
    description: What was kept already stays kept; what was brought back stays.
extends_documentation_fragment:
  - larapee.backup.run
options:
  branch:
    description: The branch whose database it is.
    type: str
    required: true
    version_added: 0.1.0
  db_option_file:
    description:
      - A client option file, mode 0600, of the restorer's account. It needs the rights of a restore and of a dump on
        O(db_name), and C(SELECT), C(INSERT), C(CREATE), C(DROP), C(ALTER) on O(aside). M(larapee.backup.db_account)
        gives exactly these, when it is told the same O(aside).
    type: path
    required: true
    version_added: 0.1.0
  db_name:
    description: The live database (schema).
    type: str
    required: true
    version_added: 0.1.0
  aside:
    description: The schema that keeps it. By default O(db_name) with C(_before_restore) after it.
    type: str
    version_added: 0.1.0
  state:
    description:
      - V(aside) leaves O(db_name) empty, and O(aside) with what it held. Of an empty database, and of what a restore
        left unfinished, nothing is kept.
      - V(back) drops what O(db_name) holds now, and brings back what was kept.
      - V(absent) drops what was kept, for good.
    type: str
    choices: [aside, back, absent]
    default: aside
    version_added: 0.1.0
  again:
    description:
      - An earlier start of the same restore has been here, so that what O(db_name) holds beside a filled O(aside) is
        its own and is left alone. Without it, a filled O(aside) beside a database in use is refused.
    type: bool
    default: false
    version_added: 0.1.0
  confirm:
    description: The branch's code, typed by a person, to put aside what is not empty, and to remove what was kept.
    type: str
    default: ''
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Keep the damaged database aside while another one takes its place
  larapee.backup.db_aside:
    branch: branch-001
    db_option_file: /root/restore.cnf
    db_name: larapos
    confirm: branch-001

- name: Bring it back
  larapee.backup.db_aside:
    branch: branch-001
    db_option_file: /root/restore.cnf
    db_name: larapos
    state: back
"""

RETURN = r"""
kept:
  description: What is aside afterwards - schema, tables, bytes (the server's estimate); null when nothing is.
  type: dict
  returned: success
dropped:
  description: What was, or would be, lost - the number of objects of each kind; null when nothing is.
  type: dict
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(aside_in_use), V(nothing_kept), V(foreign_references).
  type: str
  returned: failure
"""

from ansible_collections.larapee.backup.plugins.module_utils import _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible

_ACTIONS = {"aside": _db_aside.keep, "back": _db_aside.bring_back, "absent": _db_aside.forget}


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branch": {"type": "str", "required": True},
            "db_option_file": {"type": "path", "required": True},
            "db_name": {"type": "str", "required": True},
            "aside": {"type": "str"},
            "state": {"type": "str", "choices": ["aside", "back", "absent"], "default": "aside"},
            "again": {"type": "bool", "default": False},
            "confirm": {"type": "str", "default": ""},
        }
    )
    options = module.params
    request = _db_aside.AsideRequest(
        branch=options["branch"],
        option_file=options["db_option_file"],
        database=options["db_name"],
        aside=options["aside"] or f"{options['db_name']}_before_restore",
        state_path=options["state_path"],
        run_id=options["run_id"],
        confirm=options["confirm"],
        again=options["again"],
    )
    try:
        with interruptible():
            outcome = _ACTIONS[options["state"]](request, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(changed=outcome.changed, kept=outcome.kept, dropped=outcome.dropped, seconds=outcome.seconds)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: latch
short_description: Keep backups and retention from a shop that is being restored
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - While the latch is set, M(larapee.backup.db_dump), M(larapee.backup.db_binlog), M(larapee.backup.file_archive),
    M(larapee.backup.tip) and M(larapee.backup.prune) do nothing for that branch and fail, so that no backup of a
    half-filled database stands before the good ones.
  - When it is released, the next backup is a full of a new epoch.
attributes:
  check_mode:
    support: full
    description: Tells whether the latch would change.
  diff_mode:
    support: none
    description: It is set or it is not.
  idempotent:
    support: full
    description: A latch that is set stays as it was set first.
extends_documentation_fragment:
  - larapee.backup.run
options:
  branch:
    description: The branch's code.
    type: str
    required: true
    version_added: 0.1.0
  state:
    description: V(present) sets it, V(absent) releases it.
    type: str
    choices: [present, absent]
    default: present
    version_added: 0.1.0
  because:
    description: Why it is set, for whoever meets it.
    type: str
    default: a restore
    version_added: 0.1.0
  empty_only:
    description:
      - Set it only where there is nothing to back up yet - the database O(db_name) has nothing in it or is not there,
        and this host has neither backed the branch up, nor restored it, nor declared it open.
    type: bool
    default: false
    version_added: 0.1.0
  db_option_file:
    description: With O(empty_only), a client option file, mode 0600, of an account that sees that database.
    type: path
    version_added: 0.1.0
  db_name:
    description: With O(empty_only), the database (schema) that is looked at.
    type: str
    version_added: 0.1.0
  wait:
    description: For how many seconds a backup that is at work may go on after the latch was set, before this fails.
    type: int
    default: 900
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Let no backup of an empty database stand before the good ones
  larapee.backup.latch:
    branch: branch-001
    because: the host was prepared, and its database was empty
    empty_only: true
    db_option_file: /root/admin.cnf
    db_name: larapos

- name: Let the shop be backed up again
  larapee.backup.latch:
    branch: branch-001
    state: absent
"""

RETURN = r"""
since:
  description: Since when the latch is set (UTC); null when it is not.
  type: str
  returned: success
released:
  description: Of the latch that was there - because of what it was set, and since when (UTC; empty when nobody knows).
  type: dict
  returned: when one was released
  sample: {because: restore to latest, since: "2026-11-22T14:02:11Z"}
reason:
  description: Why it failed, as a stable word, such as V(lock_held), V(bad_latch).
  type: str
  returned: failure
"""

import typing as t

from ansible_collections.larapee.backup.plugins.module_utils import _latch, _lock
from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _inspect
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import connect
from ansible_collections.larapee.backup.plugins.module_utils._mysql._option_file import read_option_file


def is_in_use(options: dict[str, t.Any]) -> bool:
    """With ``empty_only``, whether there is something to back up, or was."""
    if not options["empty_only"]:
        return False
    if not _latch.is_untouched(options["state_path"], branch=options["branch"]):
        return True
    with connect(read_option_file(options["db_option_file"])) as connection:
        schema = _inspect.read_schema(connection, options["db_name"])
    return schema is not None and sum(schema.objects.values()) > 0


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branch": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "because": {"type": "str", "default": "a restore"},
            "empty_only": {"type": "bool", "default": False},
            "db_option_file": {"type": "path"},
            "db_name": {"type": "str"},
            "wait": {"type": "int", "default": 900},
        },
        required_if=[("empty_only", True, ("db_option_file", "db_name"))],
    )
    options = module.params
    state_path, branch, run_id = options["state_path"], options["branch"], options["run_id"]
    wanted = options["state"] == "present"
    try:
        before = _latch.read_latch(state_path, branch=branch)
        changed = (before is None) == wanted and not is_in_use(options)
        if not module.check_mode and (changed or not options["empty_only"]):
            if wanted:
                _latch.set_latch(state_path, branch=branch, because=options["because"], run_id=run_id)
            # Whoever was at work when it was set has ended when this lock can be had; nobody opens while a restore is.
            wait = options["wait"] if wanted else 0
            with _lock.hold(state_path, f"restore-{branch}", run_id=run_id, wait_seconds=wait):
                if not wanted:
                    _latch.release(state_path, branch=branch)
        latch = _latch.read_latch(state_path, branch=branch)
    except BackupError as exc:
        fail(module, exc)
    told = {} if wanted or before is None else {"released": {"because": before.because, "since": before.at}}
    module.exit_json(changed=changed, since=None if latch is None else latch.at, **told)


if __name__ == "__main__":
    main()

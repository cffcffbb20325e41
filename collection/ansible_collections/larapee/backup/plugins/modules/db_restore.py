#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_restore
short_description: Restore a database to any point, into an empty or confirmed one
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Chooses the newest intact full of a branch that reaches the wanted point, and the increments that follow it.
  - A full alone is proven to open to the bytes that were backed up, and loaded.
  - With increments, every binary log file is checked, then replayed on a scratch server below O(scratch_path), by that
    server's own replication thread and for the one schema only; its outcome is compared with the newest fingerprint
    before the point, and loaded into the target. The target sees no statement of the log.
  - Refuses another branch's set, unsigned or changed artifacts, a server of another engine, and a target that is not
    empty unless O(confirm) names the branch.
  - A failed restore leaves an empty target empty; a replaced one is marked unusable by the table
    C(larapee_backup_unfinished_restore).
attributes:
  check_mode:
    support: full
    description:
      - Returns the plan - which artifacts, up to which transaction, how long it takes, what is lost and what it
        replaces. The increments are opened for it, except for V(latest).
  diff_mode:
    support: none
    description: The plan says what is replaced.
  idempotent:
    support: none
    description: A second run finds the target not empty and refuses.
extends_documentation_fragment:
  - larapee.backup.run
  - larapee.backup.reading
options:
  branch:
    description: The branch whose set is restored.
    type: str
    required: true
    version_added: 0.1.0
  source:
    description: A directory on the target that holds the set.
    type: str
    required: true
    version_added: 0.1.0
  to:
    description:
      - V(latest), a time in UTC such as V(2026-11-22T14:32:10Z), C(set:number), C(gtid:...) or C(file:position).
      - Of a time, everything is there that was committed before that second, and nothing of it or later. Of a GTID or
        a position, that transaction is there too. The own moment and position of a full name the full.
    type: str
    default: latest
    version_added: 0.1.0
  db_option_file:
    description: A client option file, mode 0600, of the restorer's account on the target server.
    type: path
    required: true
    version_added: 0.1.0
  db_name:
    description: The database (schema) to fill. It is created with the character set and collation of the backup.
    type: str
    required: true
    version_added: 0.1.0
  scratch_path:
    description:
      - A directory on the target for the scratch server of a replay; it takes about twice the database's size for that
        time, and holds the shop's rows in clear. By default C(scratch) below O(state_path).
      - As root, the server runs as the account C(mysql) where that account can get to the directory.
    type: path
    version_added: 0.1.0
  live_db_option_file:
    description:
      - The client option file by which this host backs the branch up; where it is missing, nothing is backed up.
    type: path
    version_added: 0.1.0
  live_db_name:
    description:
      - The database that this host backs up. A restore into it sets the latch, and nothing of the branch is backed up
        until P(larapee.backup.latch#module) is released.
    type: str
    version_added: 0.1.0
  confirm:
    description: The branch's code, typed by a person, to replace a database that is not empty.
    type: str
    default: ''
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Bring the shop's database back
  larapee.backup.db_restore:
    branch: branch-001
    source: /var/backups/larapee/local
    allowed_signers: /etc/larapee-backup/allowed_signers
    age_identity_file: /home/restorer/larapee.agekey
    db_option_file: /root/restore.cnf
    db_name: larapos

- name: Show what came before the wrong UPDATE of 14:32:10 UTC
  larapee.backup.db_restore:
    branch: branch-001
    source: /var/backups/larapee/local
    to: "2026-11-22T14:32:10Z"
    allowed_signers: /etc/larapee-backup/allowed_signers
    age_identity_file: /home/restorer/larapee.agekey
    db_option_file: /root/restore.cnf
    db_name: larapos
  check_mode: true
"""

RETURN = r"""
plan:
  description:
    - What was, or would be, restored - artifact (the full), artifacts, set (the full's number), recovery_point (UTC),
      position (of the last transaction that comes back), next_transaction (the first that does not), transactions,
      fingerprint (the nearest before the point, with the receipt, null when nobody knows it), compared (the artifact
      whose fingerprint was compared), differences (what a full that was restored alone has other than its own
      fingerprint), expected (seconds by step, and whether they were measured on this host), server, database, what it
      replaces, whether it holds_backups here until the shop is open, what is lost, skipped (what could not be used, by
      name, and why), broken (why the chain ends early).
  type: dict
  returned: success
seconds:
  description:
    - Seconds by step - choose, open, load, compare; with increments choose, walk, start, load, replay, compare, prove,
      transfer.
  type: dict
  returned: success
report:
  description: What the recorder notes of this run.
  type: dict
  returned: success
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, reading_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._report import report_of_restore
from ansible_collections.larapee.backup.plugins.module_utils._restore import RestoreRequest, restore_database


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            **reading_spec(),
            "branch": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "to": {"type": "str", "default": "latest"},
            "db_option_file": {"type": "path", "required": True},
            "db_name": {"type": "str", "required": True},
            "scratch_path": {"type": "path"},
            "live_db_option_file": {"type": "path"},
            "live_db_name": {"type": "str"},
            "confirm": {"type": "str", "default": ""},
        }
    )
    options = module.params
    try:
        with interruptible():
            outcome = restore_database(
                RestoreRequest(
                    branch=options["branch"],
                    source=options["source"],
                    allowed_signers=options["allowed_signers"],
                    option_file=options["db_option_file"],
                    database=options["db_name"],
                    state_path=options["state_path"],
                    run_id=options["run_id"],
                    to=options["to"],
                    identity=options["age_identity"],
                    confirm=options["confirm"],
                    scratch_path=options["scratch_path"] or "",
                    live_option_file=options["live_db_option_file"] or "",
                    live_database=options["live_db_name"] or "",
                ),
                check_mode=module.check_mode,
            )
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=True,
        plan=outcome.plan,
        seconds=outcome.seconds,
        report=report_of_restore(outcome),
    )


if __name__ == "__main__":
    main()

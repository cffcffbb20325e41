#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_binlog
short_description: Seal the binary logs of a MariaDB or MySQL server since the last artifact
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - If anything was committed since the last artifact, closes the binary log file that is being written, reads all
    closed files through the server, and publishes them as one compressed, encrypted, signed increment of the database
    with a manifest. Of an idle server nothing is made, and the tip advances.
  - Every file is walked through - each checksum, each transaction, the GTIDs at its beginning and end - and has to go
    on where the one before it ended. What a crash of the server cut off is left out.
  - When the logs do not go on - a file was removed before it was sealed, the binary log was reset, the server was built
    anew or rolled back - the module fails with the reason V(gap), and the next time it returns RV(needs_full). While
    the cause lasts, it does so once an hour at most, and fails in between.
  - Settings under which changes are missing from the logs, or come back as others, are refused. Nothing is ever removed
    from the server, that is left to its own expiry.
attributes:
  check_mode:
    support: full
    description: Asks the server what there is to seal, closes and reads nothing, and returns the plan.
  diff_mode:
    support: none
    description: Binary logs are not text.
  idempotent:
    support: full
    description: When nothing was committed since the last artifact, nothing is made.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
  - larapee.backup.making
options:
  db_name:
    description: The database (schema) that the branch backs up. The binary logs hold every schema of the server.
    type: str
    required: true
    version_added: 0.1.0
  binlog_option_file:
    description:
      - A client option file, mode 0600, with one C([client]) group that names the account which reads binary logs, and
        the socket or host. It needs C(REPLICATION SLAVE), C(BINLOG MONITOR) (MySQL C(REPLICATION CLIENT)) and
        C(RELOAD), and no right to any table.
    type: path
    required: true
    version_added: 0.1.0
  db_option_file:
    description: The same of the operator's account, which takes the fingerprint; O(binlog_option_file) when not given.
    type: path
    version_added: 0.1.0
  fingerprint:
    description:
      - Whether the increment gets a fingerprint, taken just before, as an encrypted companion - the rows of every table
        and the answers to the shop's questions, at one exact position. A restore that replays to there compares.
      - Where it cannot be taken, there is a warning, and the increment is as good.
    type: bool
    default: false
    version_added: 0.1.0
  business_queries:
    description:
      - The shop's own questions to its database, by name, each one SELECT without the database's name in it. Their
        answers go into the fingerprint.
    type: dict
    default: {}
    version_added: 0.1.0
  receipt_query:
    description:
      - A SELECT that gives one value, the highest receipt number, of at most 100 characters. The manifest shows it.
    type: str
    default: ""
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Seal what was committed since the last artifact
  larapee.backup.db_binlog:
    branch: branch-001
    db_name: larapos
    binlog_option_file: /etc/larapee-backup/binlog.cnf
    local_path: /var/backups/larapee/local
    signing_key: /etc/larapee-backup/signing_key
    age_recipients:
      - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq
  register: sealed

- name: Take a full where increments cannot go on
  larapee.backup.db_dump:
    branch: branch-001
    db_name: larapos
    db_option_file: /etc/larapee-backup/operator.cnf
    signing_key: /etc/larapee-backup/signing_key
    age_recipients:
      - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq
  when: sealed.needs_full is not none
"""

RETURN = r"""
artifact:
  description:
    - Name of the new artifact; null in check mode, when nothing was committed, and when a full has to come first.
  type: str
  returned: success
needs_full:
  description: Why a full has to be taken before anything can be sealed; null when it has not.
  type: str
  returned: success
plan:
  description:
    - What was, or would be, sealed - branch, database, directory, engine, version, the C(last) artifact, the
      C(first_file) after it, how many C(files) and C(bytes), and whether the server is C(idle).
  type: dict
  returned: success
report:
  description:
    - What the recorder notes of this run - C(artifacts) (name, size in bytes, sha256), C(recovery_point) (UTC),
      C(details).
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(gap), V(binlog_settings), V(missing_privilege), V(lock_held).
  type: str
  returned: failure
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    fail,
    making_options,
    making_spec,
    place_spec,
    run_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._seal import SealRequest, seal_binlogs
from ansible_collections.larapee.backup.plugins.module_utils._seal_report import report_of_seal


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            **making_spec(),
            "db_name": {"type": "str", "required": True},
            "binlog_option_file": {"type": "path", "required": True},
            "db_option_file": {"type": "path"},
            "fingerprint": {"type": "bool", "default": False},
            "business_queries": {"type": "dict", "default": {}},
            "receipt_query": {"type": "str", "default": ""},
        }
    )
    options = module.params
    try:
        with interruptible():
            outcome = seal_binlogs(
                SealRequest(
                    **making_options(options),
                    database=options["db_name"],
                    option_file=options["binlog_option_file"],
                    dump_option_file=options["db_option_file"],
                    fingerprint=options["fingerprint"],
                    business_queries={name: str(query) for name, query in options["business_queries"].items()},
                    receipt_query=options["receipt_query"],
                ),
                check_mode=module.check_mode,
            )
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=not outcome.unchanged and outcome.needs_full is None,
        artifact=outcome.manifest.artifact if outcome.manifest else None,
        needs_full=outcome.needs_full,
        plan=outcome.plan,
        report=report_of_seal(outcome),
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_dump
short_description: Take a full of one MariaDB or MySQL database
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Dumps one database in one consistent snapshot, with routines, events, triggers and views, and publishes it as a
    compressed, encrypted, signed artifact with a manifest.
  - One pass over the bytes. Every stage's exit status, the dump's completion mark, the objects in it and the account's
    own grants are checked; anything wrong, and nothing is kept.
  - Nothing is ever overwritten. An artifact without manifest does not exist; what a crashed run left is removed by the
    next one.
attributes:
  check_mode:
    support: full
    description: Runs every check that needs no writing, and returns the plan.
  diff_mode:
    support: none
    description: A backup has no before.
  idempotent:
    support: none
    description: Each run takes a new full.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
  - larapee.backup.making
options:
  db_name:
    description: The database (schema) to dump.
    type: str
    required: true
    version_added: 0.1.0
  db_option_file:
    description:
      - A client option file, mode 0600, with one C([client]) group that names the operator's account and the socket or
        host. Other groups are refused, because they can change what is dumped.
    type: path
    required: true
    version_added: 0.1.0
  compression:
    description:
      - V(gzip) gives C(.sql.gz), made by C(igzip) where it is installed, else C(pigz), else C(gzip); V(zstd) gives
        C(.sql.zst).
    type: str
    choices: [gzip, zstd]
    default: gzip
    version_added: 0.1.0
  fingerprint:
    description:
      - Whether the full gets a fingerprint, taken right after the dump, as an encrypted companion - the rows and a
        checksum of every table at one exact position of the binary log. A restore that replays to there compares.
      - On MySQL commits are held for the moment in which it begins, at most 2 seconds, tried 3 times. Where it cannot
        be taken, there is a warning, and the full is as good.
    type: bool
    default: true
    version_added: 0.1.0
  fingerprint_limit_bytes:
    description:
      - Tables that take at most so many bytes together, the smallest first, are summed up whole. Of others the
        fingerprint has the number of rows, the first and last key, and the checksum of the newest rows.
    type: int
    default: 2147483648
    version_added: 0.1.0
  business_queries:
    description:
      - The shop's own questions to its database, by name, each one SELECT without the database's name in it. Their
        answers go into the fingerprint. Each may take 60 seconds, and give 1,000 rows and 1 MiB of text.
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
- name: Take a full of the shop's database
  larapee.backup.db_dump:
    branch: branch-001
    db_name: larapos
    db_option_file: /etc/larapee-backup/operator.cnf
    local_path: /var/backups/larapee/local
    signing_key: /etc/larapee-backup/signing_key
    age_recipients:
      - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq
"""

RETURN = r"""
artifact:
  description: Name of the new artifact; null in check mode.
  type: str
  returned: success
plan:
  description: What was, or would be, dumped - branch, database, directory, engine, version, compressor, objects.
  type: dict
  returned: success
report:
  description:
    - What the recorder notes of this run - C(artifacts) (name, size in bytes, sha256), C(recovery_point) (UTC),
      C(details).
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(lock_held), V(missing_privilege), V(disk_full).
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
from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpRequest, dump_database
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._report import report_of_dump


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            **making_spec(),
            "db_name": {"type": "str", "required": True},
            "db_option_file": {"type": "path", "required": True},
            "compression": {"type": "str", "choices": ["gzip", "zstd"], "default": "gzip"},
            "fingerprint": {"type": "bool", "default": True},
            "fingerprint_limit_bytes": {"type": "int", "default": 2147483648},
            "business_queries": {"type": "dict", "default": {}},
            "receipt_query": {"type": "str", "default": ""},
        }
    )
    options = module.params
    try:
        with interruptible():
            outcome = dump_database(
                DumpRequest(
                    **making_options(options),
                    database=options["db_name"],
                    option_file=options["db_option_file"],
                    compression=options["compression"],
                    fingerprint=options["fingerprint"],
                    fingerprint_limit_bytes=options["fingerprint_limit_bytes"],
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
        changed=True,
        artifact=outcome.manifest.artifact if outcome.manifest else None,
        plan=outcome.plan,
        report=report_of_dump(outcome),
    )


if __name__ == "__main__":
    main()

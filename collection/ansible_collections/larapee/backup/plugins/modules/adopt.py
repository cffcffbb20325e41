#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: adopt
short_description: Take dumps and archives of older cron lines into the catalogue of a place
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Reads every file of a place that has an artifact's name and no manifest (C(db-YYYYmmdd-HHMM.sql.gz),
    C(public-uploads-YYYYmmdd-HHMM.tar.zst), C(config-YYYYmmdd-HHMM.tar.zst)) from end to end. For what is whole it
    puts a signed manifest beside the file, which stays as it is.
  - An adopted artifact has no number and stands before all that this collection made; it can be restored, and nobody
    has proven it. A dump by C(mysqldump) without C(--routines) and C(--events) holds neither.
  - What cannot be restored (cut short, another database, a member that no restore accepts) is refused by name and fails
    the module, because somebody may count on it. What was written to in the last 10 minutes is left for the next run.
  - Whoever can write into the place decides what is adopted, and the branch's key then vouches for it.
attributes:
  check_mode:
    support: full
    description: Reads everything and tells what would be adopted and refused; writes nothing.
  diff_mode:
    support: none
    description: The results name what was adopted.
  idempotent:
    support: full
    description: What was adopted has a manifest, and is not looked at again.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
options:
  signing_key:
    description: The branch's SSH private key, without passphrase, mode 0600, that signs the manifests.
    type: path
    required: true
    version_added: 0.1.0
  allowed_signers:
    description:
      - The C(allowed_signers) file of those who verify and restore. Where given, nothing is adopted that it would not
        accept as the branch's at this time.
    type: path
    version_added: 0.1.0
  db_name:
    description: The database that the dumps are of. A dump of another one is refused.
    type: str
    default: larapos
    version_added: 0.1.0
  time_zone:
    description:
      - The time zone (an IANA name such as V(Europe/Berlin)) in which the old cron lines named their files. The default
        is that of the host.
    type: str
    default: ""
    version_added: 0.1.0
  schema_character_set:
    description: The character set of the database, which a dump does not tell. The default is that of Laravel.
    type: str
    default: utf8mb4
    version_added: 0.1.0
  schema_collation:
    description: The collation of the database, which a dump does not tell. The default is that of Laravel.
    type: str
    default: utf8mb4_unicode_ci
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Take over what the plan's old cron lines left
  larapee.backup.adopt:
    branch: branch-001
    local_path: /var/backups/larapee/local
    signing_key: /etc/larapee-backup/signing_key
    time_zone: Europe/Berlin
"""

RETURN = r"""
adopted:
  description:
    - One entry for each artifact that was (in check mode - would be) adopted - C(artifact), C(kind), C(recovery_point),
      C(size), C(plain_size).
  type: list
  elements: dict
  returned: when the place could be read
refused:
  description: By name, why a file cannot be restored.
  type: dict
  returned: when the place could be read
later:
  description: By name, why a file is left for the next run.
  type: dict
  returned: when the place could be read
report:
  description: What the recorder notes of this run.
  type: dict
  returned: when the place could be read
"""

from ansible_collections.larapee.backup.plugins.module_utils._adopt import AdoptRequest, adopt_place
from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, place_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            "signing_key": {"type": "path", "required": True, "no_log": False},
            "allowed_signers": {"type": "path"},
            "db_name": {"type": "str", "default": "larapos"},
            "time_zone": {"type": "str", "default": ""},
            "schema_character_set": {"type": "str", "default": "utf8mb4"},
            "schema_collation": {"type": "str", "default": "utf8mb4_unicode_ci"},
        }
    )
    options = module.params
    try:
        with interruptible():
            outcome = adopt_place(
                AdoptRequest(
                    branch=options["branch"],
                    local_path=options["local_path"],
                    state_path=options["state_path"],
                    run_id=options["run_id"],
                    signing_key=options["signing_key"],
                    allowed_signers=options["allowed_signers"],
                    database=options["db_name"],
                    time_zone=options["time_zone"],
                    schema_character_set=options["schema_character_set"],
                    schema_collation=options["schema_collation"],
                ),
                check_mode=module.check_mode,
            )
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {
        "changed": bool(outcome.adopted),
        **outcome.facts(),
        "report": outcome.report(check_mode=module.check_mode),
    }
    failure = outcome.failure
    if failure is not None:
        module.fail_json(msg=str(failure), reason=failure.reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

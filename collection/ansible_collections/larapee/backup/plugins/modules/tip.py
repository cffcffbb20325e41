#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tip
short_description: State where a branch stands, signed
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Writes C(tip.json) and C(tip.json.sig) into a place - which artifact is the newest of the database, of the uploads
    and of the config, and up to when (UTC) each is known to be the truth. The recovery point of the branch is the least
    of them.
  - It tells what the place holds, whatever became of the run. An artifact that is not there, not of its full length or
    not signed by the branch does not count.
  - Fails, after it has written the tip, when the run lacks a part of its backup set.
  - The signature's file holds the new signature and those of the tips before it, so that at any instant one of them
    fits the tip beside it.
attributes:
  check_mode:
    support: full
    description: Returns the tip as it would be now, and writes nothing.
  diff_mode:
    support: none
    description: The tip is a statement of its moment.
  idempotent:
    support: none
    description: Each run states its own moment.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
options:
  kind:
    description:
      - The kind of the run. V(full) has to have backed up the database, the uploads and the config, V(increment) the
        database; and none of the three may be missing in the place after either. V(log) has to have done nothing.
    type: str
    choices: [full, increment, log]
    required: true
    version_added: 0.1.0
  signing_key:
    description: The branch's SSH private key, without passphrase, mode 0600, that signs the tip.
    type: path
    required: true
    version_added: 0.1.0
  allowed_signers:
    description:
      - The C(allowed_signers) file of those who verify and restore. Where given, a tip that it would not accept is not
        written, and what it does not accept does not count.
    type: path
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: State where the branch stands
  larapee.backup.tip:
    branch: branch-001
    kind: log
    local_path: /var/backups/larapee/local
    signing_key: /etc/larapee-backup/signing_key
"""

RETURN = r"""
tip:
  description: The content of C(tip.json), or in check mode what it would be.
  type: dict
  returned: success
recovery_point:
  description: Up to when (UTC) the whole set restores; null when one part was never backed up.
  type: str
  returned: success
report:
  description: What the recorder notes of this run.
  type: dict
  returned: always, but for a tip that could not be written
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, place_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._tip import TipRequest, write_tip


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            "kind": {"type": "str", "choices": ["full", "increment", "log"], "required": True},
            "signing_key": {"type": "path", "required": True, "no_log": False},
            "allowed_signers": {"type": "path"},
        }
    )
    try:
        with interruptible():
            outcome = write_tip(TipRequest(**module.params), check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {"tip": outcome.document, "recovery_point": outcome.recovery_point, "report": outcome.report()}
    if outcome.lacking:
        module.fail_json(msg=outcome.describe_lacking(), reason="incomplete_set", **result)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()

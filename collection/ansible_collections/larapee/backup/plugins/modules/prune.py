#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: prune
short_description: Remove backup sets that are over age and have a better successor
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - A set goes only when it is older than O(keep_days) and a newer set of the branch is complete and, hashed and its
    signatures checked at this moment, intact at this place. A newer set of another epoch, or one that lost two fifths
    or more of the rows or files, replaces nothing until it was opened or is acknowledged (O(acknowledge)).
  - Increments of the database go with the full that they follow, all until the next full, and never before it.
  - The newest opened set and all after it stay, so does what is pinned, what is being read, and everything while the
    branch is on hold. A clock that jumps ages nothing.
  - Sets that are over age and cannot be replaced stay, and fail the module after it has done what it could.
  - What was removed, and what people said, is noted in C(retention.json) in the place.
attributes:
  check_mode:
    support: full
    description: Tells which sets would go, which newer ones replace them, what stays over age and why. Changes nothing.
  diff_mode:
    support: none
    description: The result names every set.
  idempotent:
    support: full
    description: What has gone is gone.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
  - larapee.backup.wishes
options:
  allowed_signers:
    description: The C(allowed_signers) file (see ssh-keygen) by which replacements are checked.
    type: path
    required: true
    version_added: 0.1.0
  keep_days:
    description:
      - Sets younger than this stay. The age of a set is summed over the steps from set to set; a step of more than 48
        hours does not count.
    type: int
    default: 7
    version_added: 0.1.0
  require_acknowledgement:
    description:
      - Keep what central has not acknowledged, until the next full run would exceed O(quota_bytes). What then goes all
        the same fails the module.
    type: bool
    default: false
    version_added: 0.1.0
  quota_bytes:
    description: Bytes that all files of O(local_path) together may take; V(0) is no quota.
    type: int
    default: 0
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Keep seven days
  larapee.backup.prune:
    branch: branch-001
    local_path: /var/backups/larapee/local
    allowed_signers: /etc/larapee-backup/allowed_signers

- name: Keep the set before the migration
  larapee.backup.prune:
    branch: branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
    pin:
      - 100
    reason: before the migration to version 5
"""

RETURN = r"""
deleted:
  description:
    - One entry for each set that went, oldest first - C(set), C(time), C(artifacts), C(bytes), C(replaced_by) and
      C(replaced_by_time). In check mode, what would go.
  type: list
  elements: dict
  returned: when it could be decided
kept_over_age:
  description: Sets that stay although they are over age - C(set), C(time), C(code), C(why).
  type: list
  elements: dict
  returned: when it could be decided
freed:
  description: Bytes that went.
  type: int
  returned: when it could be decided
report:
  description: What the recorder notes of this run.
  type: dict
  returned: when it could be decided
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    fail,
    place_spec,
    run_spec,
    wishes,
    wishes_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._prune import PruneRequest, prune_place


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            "allowed_signers": {"type": "path", "required": True},
            "keep_days": {"type": "int", "default": 7},
            "require_acknowledgement": {"type": "bool", "default": False},
            "quota_bytes": {"type": "int", "default": 0},
            **wishes_spec(),
        }
    )
    options = module.params
    try:
        with interruptible():
            request = PruneRequest(
                branch=options["branch"],
                directory=options["local_path"],
                allowed_signers=options["allowed_signers"],
                state_path=options["state_path"],
                run_id=options["run_id"],
                keep_days=options["keep_days"],
                quota_bytes=options["quota_bytes"],
                require_acknowledgement=options["require_acknowledgement"],
                **wishes(options),
            )
            outcome = prune_place(request, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {"changed": outcome.changed, **outcome.facts(), "report": outcome.report()}
    if outcome.failure is not None:
        module.fail_json(msg=str(outcome.failure), reason=outcome.failure.reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: offsite_prepare
short_description: Make the bucket of a place offsite, and prove that its lock refuses its administrator
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes the bucket of O(url) where it is missing, enables its versions, and has its lifecycle abort uploads that were
    not ended within seven days. Rules and settings of others stay.
  - A V(cold) bucket is made with Object Lock and a default retention of O(lock_days) in COMPLIANCE mode. Then a canary
    is locked until tomorrow, and this identity tries to remove it. That a second one is removed, which only governance
    holds, shows that it is the lock which refuses the first.
  - Nothing is to be made for a directory; as a V(cold) place it is refused, because it cannot lock anything.
  - Needs the identity of an administrator, which belongs neither on central nor on a branch.
attributes:
  check_mode:
    support: full
    description: Tells what would be changed, and tries no lock.
  diff_mode:
    support: none
    description: RV(changes) names what is changed.
  idempotent:
    support: partial
    description: What is as it should be stays; each run leaves a canary of a few bytes until its lock is over.
extends_documentation_fragment:
  - larapee.backup.store
  - larapee.backup.store.server
options:
  target:
    description: What the place is for.
    type: str
    choices: [hot, cold]
    required: true
    version_added: 0.1.0
  lock_days:
    description: The default retention of a V(cold) bucket that has none, from 90 to 365 days.
    type: int
    default: 90
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make the immutable archive
  larapee.backup.offsite_prepare:
    target: cold
    url: s3://larapee-cold/branches
    endpoint: https://s3.example.com
    credentials_file: /home/admin/s3-administrator.ini
  delegate_to: localhost
"""

RETURN = r"""
changes:
  description: What was changed, or would be.
  type: list
  elements: str
  returned: success
  sample: [bucket, versioning, default retention, lifecycle]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._offsite import COLD, require_lock_days
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._administrator import Administrator
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, store_spec
from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import S3Store


def main() -> None:
    spec = {
        **store_spec(),
        "target": {"type": "str", "choices": ["hot", "cold"], "required": True},
        "lock_days": {"type": "int", "default": 90},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    options = module.params
    try:
        with interruptible():
            require_lock_days(options["lock_days"])
            store = open_store(options)
            changes = []
            if isinstance(store, S3Store):
                administrator = Administrator(store, options["region"], write=not module.check_mode)
                changes = administrator.prepare(locked=options["target"] == COLD, lock_days=options["lock_days"])
            elif options["target"] == COLD:
                store.require_lock()
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: store_key
short_description: Replace one of central's keys to the storage by the next one
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Takes the rotation of the credentials of one identity one step on. Keys are made and removed at the storage; here
    the new one is proved before it is used, and the old one has to be refused before it is forgotten.
  - What was done so far is told by the files that are there, so that a rotation that was interrupted goes on where it
    stood.
  - Proofs leave an object of some bytes in each bucket, below C(.canary/).
attributes:
  check_mode:
    support: full
    description: Tells whether credentials would be taken in, put into use or removed. The storage is not asked.
  diff_mode:
    support: none
    description: Credentials are not shown.
  idempotent:
    support: full
    description: Credentials that are in use are not taken in again.
extends_documentation_fragment:
  - larapee.backup.store.server
options:
  identity:
    description:
      - Whose credentials, and so what they have to be able to do. The V(writer) stores and reads, the V(auditor) reads,
        the V(pruner) removes.
    type: str
    choices: [writer, auditor, pruner]
    required: true
    version_added: 0.1.0
  step:
    description:
      - V(begin) takes in O(credentials), as C(<identity>.ini.next).
      - V(switch) proves those in each of O(urls) and puts them into use; those before are C(<identity>.ini.old).
      - V(finish) removes those before, when their overlap is over and each of O(urls) refuses them.
    type: str
    choices: [begin, switch, finish]
    required: true
    version_added: 0.1.0
  directory:
    description: Where the credentials of central's identities lie, as C(<identity>.ini).
    type: path
    default: /etc/larapee-backup/s3
    version_added: 0.1.0
  credentials:
    description: A text with a section C([s3]) that has C(access_key) and C(secret_key). Required for V(begin).
    type: str
    version_added: 0.1.0
  urls:
    description: The buckets that the identity works with, such as V(s3://bucket/prefix).
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  overlap_seconds:
    description: For how long the old credentials are kept after the new ones are in use.
    type: int
    default: 0
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Put the writer's new credentials into use, when the storage takes them
  larapee.backup.store_key:
    identity: writer
    step: switch
    urls: ['s3://larapee-hot/estate', 's3://larapee-cold/estate']
    endpoint: https://s3.example.com
"""

RETURN = r"""
stage:
  description: V(at rest), V(added), V(overlap) or V(over).
  type: str
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(key_not_proved), V(old_key_counts), V(store_refused).
  type: str
  returned: failure
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _rotation, _store_key
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, server_spec


def take_step(options: t.Mapping[str, t.Any], *, check_mode: bool) -> bool:
    """Take the step; tell whether it changed, or would change, anything."""

    def opener(credentials_file: str) -> list[Store]:
        return [open_store({**options, "url": url, "credentials_file": credentials_file}) for url in options["urls"]]

    overlap = options["overlap_seconds"]
    key = _store_key.slot(options["directory"], options["identity"])
    if options["step"] == "begin":
        return _store_key.begin(key, options["credentials"], overlap_seconds=overlap, check_mode=check_mode)
    switches = options["step"] == "switch"
    if key.stage(overlap_seconds=overlap) != (_rotation.ADDED if switches else _rotation.OVER):
        return False
    if not check_mode:
        _store_key.switch(key, opener) if switches else _store_key.finish(key, opener)
    return True


def main() -> None:
    spec = {
        **server_spec(),
        "identity": {"type": "str", "choices": ["writer", "auditor", "pruner"], "required": True},
        "step": {"type": "str", "choices": ["begin", "switch", "finish"], "required": True},
        "directory": {"type": "path", "default": "/etc/larapee-backup/s3"},
        "credentials": {"type": "str", "no_log": True},
        "urls": {"type": "list", "elements": "str", "required": True},
        "overlap_seconds": {"type": "int", "default": 0},
    }
    module = AnsibleModule(
        argument_spec=spec, required_if=[("step", "begin", ["credentials"])], supports_check_mode=True
    )
    options = module.params
    try:
        with interruptible():
            changed = take_step(options, check_mode=module.check_mode)
            key = _store_key.slot(options["directory"], options["identity"])
            stage = key.stage(overlap_seconds=options["overlap_seconds"])
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=changed, stage=stage)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary
short_description: Let the restorer prove that he can open what is encrypted to an age recipient
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Three steps on two machines. The one that makes backups encrypts a random token to each recipient; the restorer's
    decrypts it; the first compares. It keeps the token's hash only, and remembers what was proved.
attributes:
  check_mode:
    support: full
    description: Tells for which recipients a canary would be made. Nothing is remembered.
  diff_mode:
    support: none
    description: Nothing of it is worth reading.
  idempotent:
    support: full
    description: A recipient that was proved is not tried again.
options:
  step:
    description:
      - V(make) makes a canary for each of O(recipients) that was not proved yet.
      - V(open) decrypts O(canaries), where the restorer's identity is.
      - V(accept) compares O(tokens) and fails unless each of O(recipients) is proved.
    type: str
    choices: [make, open, accept]
    required: true
    version_added: 0.1.0
  recipients:
    description: Public keys.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  canaries:
    description: What V(make) returned.
    type: dict
    default: {}
    version_added: 0.1.0
  tokens:
    description: What V(open) returned.
    type: dict
    default: {}
    version_added: 0.1.0
  state_path:
    description: Where it is remembered.
    type: path
    default: /var/lib/larapee-backup
    version_added: 0.1.0
  age_identity_file:
    description:
      - The restorer's private keys, a file on the controller. It is handed over in memory.
    type: path
    version_added: 0.1.0
  age_identity:
    description: Set by the action plugin from O(age_identity_file). Not to be written into a playbook.
    type: str
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Encrypt a canary to each recipient that nobody has proved yet
  larapee.backup.canary:
    step: make
    recipients: "{{ larapee_backup_age_recipients }}"
  register: canaries

- name: Open them where the restorer's identity is
  larapee.backup.canary:
    step: open
    canaries: "{{ canaries.canaries }}"
    age_identity_file: ~/restorer.age
  delegate_to: localhost
  register: opened
  no_log: true
"""

RETURN = r"""
canaries:
  description: By recipient, the canary.
  type: dict
  returned: success of the step V(make)
tokens:
  description: By recipient, what the identity opened.
  type: dict
  returned: success of the step V(open)
proved:
  description: The recipients that were proved by this call.
  type: list
  elements: str
  returned: success of the step V(accept)
proved_seconds:
  description: For how long all of O(recipients) have been proved.
  type: int
  returned: success of the step V(accept)
reason:
  description: Why it failed, as a stable word, such as V(canary_not_returned), V(bad_recipient).
  type: str
  returned: failure
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _canary
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def take_step(options: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    if options["step"] == "make":
        canaries = _canary.make(options["state_path"], options["recipients"], check_mode=check_mode)
        return {"changed": bool(canaries), "canaries": canaries}
    if options["step"] == "open":
        return {"changed": False, "tokens": _canary.open_all(options["canaries"], options["age_identity"] or "")}
    if check_mode:
        return {"changed": False, "proved": [], "proved_seconds": 0}
    state_path, recipients = options["state_path"], options["recipients"]
    proved = _canary.accept(state_path, recipients, options["tokens"])
    seconds = _canary.proved_seconds(state_path, recipients)
    return {"changed": bool(proved), "proved": proved, "proved_seconds": seconds}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["make", "open", "accept"], "required": True},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "canaries": {"type": "dict", "default": {}},
            "tokens": {"type": "dict", "default": {}, "no_log": True},
            "state_path": {"type": "path", "default": "/var/lib/larapee-backup"},
            "age_identity_file": {"type": "path"},
            "age_identity": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        result = take_step(module.params, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

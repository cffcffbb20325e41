#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_compare
short_description: Compare a restored config snapshot with the host, and apply files of it
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Tells which files of a restored config snapshot are missing on this host or differ. Of a C(.env) it tells the names
    whose values differ, and never a value.
  - Files that are named in O(apply) are put in their places. What stood there is kept beside it.
attributes:
  check_mode:
    support: full
    description: Compares, and tells what would be put in its place.
  diff_mode:
    support: none
    description: It would show secrets.
  idempotent:
    support: full
    description: A file that is equal is left alone.
options:
  restored:
    description: The directory that the config was restored to.
    type: path
    required: true
    version_added: 0.1.0
  apply:
    description: Absolute paths of files that are put in their places, with owner and mode of the snapshot.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Take the application's settings from the snapshot
  larapee.backup.config_compare:
    restored: /srv/restored-config
    apply: [/var/www/.env]
"""

RETURN = r"""
missing:
  description: Paths of the snapshot that this host does not have.
  type: list
  elements: str
  returned: success
different:
  description: Paths whose content differs.
  type: list
  elements: str
  returned: success
names:
  description: Of each C(.env) that differs, the names whose values do; null when one of the two cannot be read.
  type: dict
  returned: success
applied:
  description: Paths that were put in their places, each with where what stood there is kept.
  type: list
  elements: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(not_in_config), V(write_failed).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _config_compare
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "restored": {"type": "path", "required": True},
            "apply": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        found = _config_compare.compare(options["restored"])
        applied = _config_compare.apply(options["restored"], options["apply"], check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    told = {name: found[name] for name in ("missing", "different", "names")}
    module.exit_json(changed=bool(applied), applied=applied, **told)


if __name__ == "__main__":
    main()

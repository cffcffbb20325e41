#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_watch
short_description: Follow logs for a time and count the errors in them
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - The last step of a restore. Follows the logs of application, web and queue, through rotation and truncation, and
    fails when they tell of more errors than accepted, or when a unit ended meanwhile.
attributes:
  check_mode:
    support: full
    description: Watches nothing.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: It only reads.
options:
  paths:
    description: Patterns as of a shell, of the logs.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  seconds:
    description: For how long.
    type: int
    default: 1800
    version_added: 0.1.0
  patterns:
    description: Regular expressions of the lines that count. By default the levels of Laravel, nginx and php-fpm.
    type: list
    elements: str
    version_added: 0.1.0
  ignore:
    description: Regular expressions of lines that do not count all the same.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  threshold:
    description: How many such lines are accepted.
    type: int
    default: 0
    version_added: 0.1.0
  units:
    description: systemd units that must be active at the end, and not have been started again by systemd.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  mark_only:
    description: Only return where the logs end now, for O(since_offsets) of a later call.
    type: bool
    default: false
    version_added: 0.1.0
  since_offsets:
    description:
      - What an earlier call returned as RV(offsets). What was written since then counts, too, and all of a log that
        was not there yet. Without it only what is written from now on counts.
    type: dict
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Watch what the shop says for half an hour
  larapee.backup.log_watch:
    paths:
      - /var/www/storage/logs/*.log
      - /var/log/nginx/error.log
    units: [shop-queue.service]
"""

RETURN = r"""
errors:
  description: How many lines counted.
  type: int
  returned: success
samples:
  description: The first ten of them, cut to 200 characters.
  type: list
  elements: str
  returned: success
seconds:
  description: For how long the logs were followed.
  type: float
  returned: success
missing:
  description: Patterns that no file matched.
  type: list
  elements: str
  returned: success
complete:
  description: Whether each pattern matched a file.
  type: bool
  returned: success
offsets:
  description: Up to where each log was read, by device and inode.
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(logs_have_errors), V(unit_restarted).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _log_watch
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str", "required": True},
            "seconds": {"type": "int", "default": 1800},
            "patterns": {"type": "list", "elements": "str"},
            "ignore": {"type": "list", "elements": "str", "default": []},
            "threshold": {"type": "int", "default": 0},
            "units": {"type": "list", "elements": "str", "default": []},
            "mark_only": {"type": "bool", "default": False},
            "since_offsets": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    options = module.params
    if options["mark_only"] or module.check_mode:
        outcome = _log_watch.Outcome(offsets=_log_watch.mark(options["paths"]))
        module.exit_json(changed=False, **outcome.facts())
    since = options["since_offsets"]
    try:
        with interruptible():
            outcome = _log_watch.watch(
                _log_watch.WatchRequest(
                    paths=tuple(options["paths"]),
                    seconds=options["seconds"],
                    patterns=tuple(options["patterns"] or _log_watch.PATTERNS),
                    ignore=tuple(options["ignore"]),
                    threshold=options["threshold"],
                    units=tuple(options["units"]),
                    offsets=since and {key: int(value) for key, value in since.items()},
                )
            )
    except BackupError as exc:
        fail(module, exc)
    for path in outcome.missing:
        module.warn(f"No file is {path}: nothing of it was watched.")
    module.exit_json(changed=False, **outcome.facts())


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_report
short_description: Judge what a drill proved
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Puts the steps of a drill together to what the recorder notes of it. The drill is green when every step that was
    planned was done and right, within the objective; what could not be checked is C(NOT RUN), and that is not green.
  - Two steps are judged from what was restored. C(fingerprint) - it was compared with one. C(newest) - nothing newer
    is known, so that no older set was put in its place.
attributes:
  check_mode:
    support: full
    description: It only computes.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: It only computes.
options:
  branch:
    description: The branch whose backups the drill was to prove.
    type: str
    required: true
    version_added: 0.1.0
  steps:
    description:
      - The steps that were done, each with C(name), C(result) (V(OK), V(FAILED) or V(NOT RUN)), C(seconds), C(why) and
        C(reason).
    type: list
    elements: dict
    required: true
    version_added: 0.1.0
  planned:
    description: The names of all steps, in their order.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  left_out:
    description: The names of steps that are left out by decision.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  plans:
    description: By C(database), C(uploads) and C(config) the plan that the restore of it returned.
    type: dict
    default: {}
    version_added: 0.1.0
  known_set:
    description: The highest number of a set that is known from elsewhere.
    type: int
    default: 0
    version_added: 0.1.0
  missing:
    description: What the branch signed as its newest artifact, and that is not there.
    type: str
    default: ''
    version_added: 0.1.0
  rto:
    description: The seconds that a restore may take.
    type: float
    default: 3600
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Judge the drill
  larapee.backup.drill_report:
    branch: branch-001
    planned: [server, database]
    steps:
      - {name: server, result: OK, seconds: 2.1}
      - {name: database, result: OK, seconds: 40.0}
"""

RETURN = r"""
report:
  description:
    - What the recorder notes - kind, recovery_point, details (steps, total_s, rto_s, within_rto, green, set, reason),
      and error unless it is green.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._drill_report import Drill, judge


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branch": {"type": "str", "required": True},
            "steps": {"type": "list", "elements": "dict", "required": True},
            "planned": {"type": "list", "elements": "str", "required": True},
            "left_out": {"type": "list", "elements": "str", "default": []},
            "plans": {"type": "dict", "default": {}},
            "known_set": {"type": "int", "default": 0},
            "missing": {"type": "str", "default": ""},
            "rto": {"type": "float", "default": 3600},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, report=judge(Drill(**module.params)))


if __name__ == "__main__":
    main()

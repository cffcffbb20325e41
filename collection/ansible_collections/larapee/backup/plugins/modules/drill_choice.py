#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# All of it is the action plugin of the same name.

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_choice
short_description: Choose the branch whose backups the next drill proves
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Reads the rows of C(backup_runs) where the playbook was started. A branch whose last drill or verification failed
    comes first, then the one proven longest ago, or never.
  - While others wait, no branch is chosen twice in a row. One whose drills keep failing has every other one.
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: Nothing changes.
  idempotent:
    support: full
    description: The rows decide.
options:
  branches:
    description: The codes of the branches.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  branch:
    description: The code of the one that a person named; then only what the rows tell of it is looked up.
    type: str
    default: ''
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Choose the branch
  larapee.backup.drill_choice:
    branches:
      - branch-001
      - branch-002
"""

RETURN = r"""
branch:
  description: The code of the branch.
  type: str
  returned: success
because:
  description: Why it is this one.
  type: str
  returned: success
proven_at:
  description: When the last drill of it began that succeeded, or null.
  type: str
  returned: success
known_set:
  description: The highest number of a set of which a row tells; 0 when none does.
  type: int
  returned: success
"""

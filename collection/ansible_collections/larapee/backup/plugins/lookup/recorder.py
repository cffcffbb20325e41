# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: recorder
short_description: Tell whether the callback backup_runs records this very run
version_added: 0.1.0
description:
  - Returns what the callback P(larapee.backup.backup_runs#callback) of this very C(ansible-playbook) said in
    E(LARAPEE_BACKUP_RECORDER). A value that the process was started with, for example because a task of another
    recorded run started it, counts for nothing.
  - The role P(larapee.backup.guard#role) asks it; a playbook has no need to.
notes:
  - Linux only, since it tells processes apart by C(/proc).
author:
  - LaraPee contributors (@larapee)
"""

EXAMPLES = r"""
- name: Show whether this run is recorded
  ansible.builtin.debug:
    msg: "{{ lookup('larapee.backup.recorder') }}"
"""

RETURN = r"""
_raw:
  description:
    - The id of the run when its start is in the journal, V(table) when it is in the table only, V(unrecorded) when it
      is nowhere, and an empty string when the callback is not there.
  type: list
  elements: str
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    recorder_of_this_process,
)


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core ships no type information
    """Asks the environment and the processes, and nothing else."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [recorder_of_this_process(os.environ)]

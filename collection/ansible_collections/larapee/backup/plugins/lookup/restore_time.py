# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: restore_time
short_description: Tell how long the last restore or drill of a branch took
version_added: 0.1.0
description:
  - Reads the table of runs of the machine where the playbook was started, and looks for the newest good drill, or
    restore of a shop step by step, of each branch.
options:
  _terms:
    description: Codes of branches.
    type: list
    elements: str
    required: true
author:
  - LaraPee contributors (@larapee)
"""

EXAMPLES = r"""
- name: Show how long it took
  ansible.builtin.debug:
    msg: "{{ lookup('larapee.backup.restore_time', 'branch-001').seconds | default('unknown') }}"
"""

RETURN = r"""
_raw:
  description:
    - For each branch, kind (V(drill) or V(restore)), at (UTC, when it began), seconds (until the shop was open, or
      could have been) and database_bytes (of SQL, uncompressed). Empty where no row tells, or the table is unreadable.
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RecorderError, load_settings
from ansible_collections.larapee.backup.plugins.plugin_utils._restore_time import look


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core ships no type information
    """A figure that helps a person: where it cannot be had, the restore goes on."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        try:
            settings = load_settings()
            return [look(settings, branch=str(branch)) or {} for branch in terms]
        except RecorderError:
            return [{} for _branch in terms]

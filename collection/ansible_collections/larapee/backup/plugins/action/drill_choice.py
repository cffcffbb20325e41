# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of M(larapee.backup.drill_choice), which is all of it: the table is where the playbook was started."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.larapee.backup.plugins.plugin_utils._drill_choice import choose, look
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RecorderError, load_settings


class ActionModule(ActionBase):
    """Reads the rows of each branch, and names one."""

    _supports_check_mode = True
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "branches": {"type": "list", "elements": "str", "required": True},
                "branch": {"type": "str", "default": ""},
            }
        )
        wanted = [arguments["branch"]] if arguments["branch"] else arguments["branches"]
        if not wanted:
            return {
                "failed": True,
                "msg": "Failed to choose a branch for the drill: none is named. Set larapee_backup_branches to codes "
                "of the branches, or larapee_backup_branch to one of them.",
            }
        try:
            chosen = choose(look(load_settings(), wanted))
        except RecorderError as exc:
            return {"failed": True, "msg": str(exc)}
        because = chosen.anomaly or "it was proven longest ago"
        return {
            "changed": False,
            "branch": chosen.branch,
            "because": "it was named" if arguments["branch"] else because,
            "proven_at": None if chosen.proven_at is None else chosen.proven_at.isoformat(timespec="seconds"),
            "known_set": chosen.known_set,
        }

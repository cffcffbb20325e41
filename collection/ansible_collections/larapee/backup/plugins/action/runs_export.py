# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of M(larapee.backup.runs_export): reads the rows where the run is recorded, the module writes them."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._names import is_branch_code
from ansible_collections.larapee.backup.plugins.plugin_utils._outbox import Outbox
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    RecorderError,
    dump_json,
    load_settings,
)

_KEEP_DAYS = 7


class ActionModule(ActionBase):
    """Hands over what the place does not have yet; without anything new the module is not run at all."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        branch = str(arguments.get("branch", ""))
        if not is_branch_code(branch):
            return {
                "failed": True,
                "msg": f"Failed to export runs: {branch!r} is no branch code. Set larapee_backup_branch.",
            }
        try:
            outbox = Outbox(load_settings(), branch, keep_days=int(arguments.get("keep_days", _KEEP_DAYS)))
            rows = outbox.waiting()
            if not rows:
                return {"changed": False, "written": 0, "removed": 0}
            arguments["records"] = dump_json([row.to_json() for row in rows])
            result: dict[str, t.Any] = self._execute_module(
                module_name=self._task.action, module_args=arguments, task_vars=task_vars
            )
            # The rows are nobody's business in a log.
            result.pop("invocation", None)
            taken, present = result.pop("taken", {}), result.pop("present", 0)
            if not result.get("failed") and not self._task.check_mode:
                outbox.confirm(taken, present=present)
        except (RecorderError, BackupError, ValueError) as exc:
            # An exception would get past failed_when, and a backup fail for want of a record.
            return {"failed": True, "msg": str(exc)}
        return result

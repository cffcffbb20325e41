# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of M(larapee.backup.missed_runs), which is all of it: the table is where the playbook was started."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from ansible.plugins.action import ActionBase

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.plugin_utils._absence import ExpectationError, expectations
from ansible_collections.larapee.backup.plugins.plugin_utils._missed_runs import look
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RecorderError, load_settings, utc_now

if t.TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.plugin_utils._absence import Expectation

_LAG_S = 1200
_UTC = "UTC"


class ActionModule(ActionBase):
    """Reads what is expected, looks, and tells what is missed of each branch."""

    _supports_check_mode = True
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "branches": {"type": "list", "elements": "str", "required": True},
                "expected": {"type": "dict", "default": {}},
                "expected_of_branches": {"type": "dict", "default": {}},
                "expected_at_central": {"type": "dict", "default": {}},
                "time_zones": {"type": "dict", "default": {}},
                "time_zone": {"type": "str", "default": _UTC},
                "lag": {"type": "int", "default": _LAG_S},
            }
        )
        # An exception would get past failed_when, and a pull fail for want of a row.
        try:
            absence = look(load_settings(), _expected(arguments), now=utc_now(), check_mode=bool(self._task.check_mode))
        except ExpectationError as exc:
            return {"failed": True, "msg": f"Failed to read larapee_backup_expected: {exc}."}
        except (RecorderError, BackupError) as exc:
            return {"failed": True, "msg": str(exc)}
        return {
            "changed": bool(absence.missed or absence.settled),
            "missed": [row.error for row in absence.missed],
            "settled": [row.id for row in absence.settled],
            "reports": {
                branch: {"details": {"missed_runs": sorted(set(kinds))}} for branch, kinds in absence.open.items()
            },
        }


def _expected(arguments: dict[str, t.Any]) -> list[Expectation]:
    lag = timedelta(seconds=arguments["lag"])
    found = []
    for branch in arguments["branches"]:
        own = arguments["expected_of_branches"].get(branch) or arguments["expected"]
        zone = str(arguments["time_zones"].get(branch) or _UTC)
        found += expectations(own, branch=branch, zone=zone, lag=lag)
        found += expectations(
            arguments["expected_at_central"], branch=branch, zone=arguments["time_zone"], at_central=True
        )
    return found

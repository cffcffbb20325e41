# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of M(larapee.backup.runs_import): the module reads and checks at central, the rows are written here."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.larapee.backup.plugins.plugin_utils._inbox import Verdict, take_in
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RecorderError, load_settings

_NAMED = 5


class ActionModule(ActionBase):
    """Calls the module to collect, and again to note what was done with."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        result = self._call(self._task.args, task_vars)
        parcels = result.pop("parcels", {})
        if result.get("failed"):
            return result
        try:
            verdicts = take_in(
                load_settings().runs_url,
                {branch: parcel["records"] for branch, parcel in parcels.items() if parcel["records"]},
                check_mode=bool(self._task.check_mode),
            )
        except RecorderError as exc:
            # An exception would get past failed_when, and a pull fail for want of rows.
            return {"failed": True, "msg": f"{exc} No run record was imported; the next import brings them."}
        stamps = {branch: parcel["stamps"] for branch, parcel in parcels.items() if parcel["stamps"]}
        refused = {
            branch: {**parcel["refused"], **verdicts.get(branch, Verdict()).refused}
            for branch, parcel in parcels.items()
        }
        if stamps and not self._task.check_mode:
            final = {branch: parcel["final"] for branch, parcel in parcels.items()}
            settled = json.dumps({"stamps": stamps, "refused": refused, "final": final})
            noted = self._call({**self._task.args, "settled": settled}, task_vars)
            if noted.get("failed"):
                return noted
        imported = {branch: verdict.imported for branch, verdict in verdicts.items()}
        return {
            "changed": any(imported.values()),
            "reports": {
                branch: _report(parcel, imported=imported.get(branch, 0), refused=refused[branch])
                for branch, parcel in parcels.items()
            },
        }

    def _call(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(
            module_name=self._task.action, module_args=dict(arguments), task_vars=task_vars
        )
        # The rows are nobody's business in a log.
        result.pop("invocation", None)
        return result


def _report(parcel: dict[str, t.Any], *, imported: int, refused: dict[str, str]) -> dict[str, t.Any]:
    """What the row of the pull tells of a branch's records: nothing where there was nothing."""
    bad = {**parcel["refused_before"], **refused}
    counts = {
        "imported": imported,
        "refused": len(bad),
        "waiting": parcel["waiting"],
        "strange_names": len(parcel["strangers"]),
    }
    told: dict[str, t.Any] = {name: count for name, count in counts.items() if count}
    if bad:
        told["refusals"] = {name: bad[name] for name in sorted(bad)[:_NAMED]}
    if parcel["error"] is not None:
        told["error"] = parcel["error"]
    return {"details": {"runs_import": told}} if told else {}

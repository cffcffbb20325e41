# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the last restore or drill of a branch took, by its row.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ._recorder import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._recorder import RunRecord, Settings

_ROWS_READ = 30
# In this step of a restore the shop sells already.
_AFTER_OPENING = "watch"


def look(settings: Settings, *, branch: str) -> dict[str, Any] | None:
    """``kind``, ``at`` (UTC), ``seconds`` until the shop was open, ``database_bytes``; None when no row tells."""
    with contextlib.closing(open_store(settings.runs_url)) as store:
        rows = [row for kind in ("drill", "restore") for row in store.query(branch=branch, kind=kind, limit=_ROWS_READ)]
    for row in sorted(rows, key=lambda each: each.started_at, reverse=True):
        seconds, size = _seconds(row), _database_bytes(row.details)
        if row.status == "success" and not row.check_mode and seconds is not None and size:
            return {
                "kind": row.kind,
                "at": row.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "seconds": round(seconds, 1),
                "database_bytes": size,
            }
    return None


def _seconds(row: RunRecord) -> float | None:
    """Of all its steps; a restore of some part has none."""
    total, steps = row.details.get("total_s"), row.details.get("steps")
    if not isinstance(total, (int, float)) or not isinstance(steps, list):
        return None
    after = sum(each.get("seconds") or 0.0 for each in steps if each.get("name") == _AFTER_OPENING)
    return max(float(total) - after, 0.0)


def _database_bytes(details: Mapping[str, Any]) -> int:
    plan = details.get("plan")
    found = plan.get("plain_size") if isinstance(plan, dict) else details.get("database_bytes")
    return found if isinstance(found, int) else 0


__all__ = ("look",)

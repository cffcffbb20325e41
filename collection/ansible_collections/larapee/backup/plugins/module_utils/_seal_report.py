# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sealing hands to the recorder: names, sizes, positions; never amounts, never rows.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _manifest
from ._seal import SealOutcome


def report_of_seal(outcome: SealOutcome) -> dict[str, t.Any]:
    manifest = outcome.manifest
    sealed: dict[str, t.Any] = {
        "plan": outcome.plan,
        "unchanged": outcome.unchanged,
        "needs_full": outcome.needs_full,
    }
    details: dict[str, t.Any] = {"increment": sealed}
    if outcome.warnings:
        details["warnings"] = outcome.warnings
    if manifest is None:
        return {"artifacts": [], "recovery_point": None, "details": details}
    sealed["transactions"] = manifest.document["transactions"]
    return {
        "artifacts": [{"name": manifest.artifact, "size": manifest.size, "sha256": manifest.sha256}],
        "recovery_point": _manifest.format_time(manifest.recovery_point),
        "details": {**details, "position": manifest.position, "epoch": manifest.epoch},
    }


__all__ = ("report_of_seal",)

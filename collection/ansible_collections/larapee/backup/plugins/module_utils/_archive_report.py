# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an archive of files hands to the recorder: names, sizes and counts; never the names of files.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _manifest
from ._archive import ArchiveOutcome


def report_of_archive(outcome: ArchiveOutcome) -> dict[str, t.Any]:
    manifest = outcome.manifest
    details: dict[str, t.Any] = {"plan": outcome.plan, "problems": outcome.counts}
    if manifest is None:
        return {"artifacts": [], "recovery_point": None, "details": {**details, "unchanged": outcome.unchanged}}
    details["tree"] = manifest.document["tree"]
    return {
        "artifacts": [{"name": manifest.artifact, "size": manifest.size, "sha256": manifest.sha256}],
        "recovery_point": _manifest.format_time(manifest.created_at),
        "details": details,
    }


__all__ = ("report_of_archive",)

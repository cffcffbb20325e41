# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does the restorer's own key open what a branch made last? Nothing else shows that the key is not lost.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

from . import _catalog, _intact, _lease, _manifest, _open, _opened, _report
from ._errors import BackupError


def open_newest(
    source: str, *, branch: str, allowed_signers: str, identity: str | None, state_path: str
) -> dict[str, t.Any]:
    """Open the newest full of *branch* in *source*; return what the recorder notes. Raises BackupError."""
    fulls = _catalog.read_catalogue(source).of_kind("db_full", branch=branch)
    if not fulls:
        raise BackupError(
            f"Failed to choose a full of {branch}: the catalogue of {source} has none. Check "
            "larapee_backup_restore_source.",
            reason="nothing_to_restore",
        )
    full, began = fulls[-1], time.monotonic()
    if not full.manifest.encrypted:
        raise BackupError(
            f"Failed to prove the key with {full.name}: it is not encrypted, so that it opens without one. Take fulls "
            "that are.",
            reason="not_encrypted",
        )
    with _lease.hold([full]):
        try:
            _intact.check_signed(full, branch=branch, allowed_signers=allowed_signers)
            _intact.check_bytes(full)
        except _intact.NotIntactError as exc:
            raise BackupError(
                f"Failed to open the newest full {full.name} of {branch}: {exc}. Fetch it from another place.",
                reason="not_intact",
            ) from exc
        _open.require_identity(full, identity)
        _opened.check_opened(full, identity=identity, state_path=state_path)
    return {
        "artifacts": [_report.artifact_facts(full.manifest)],
        "recovery_point": _manifest.format_time(full.manifest.recovery_point),
        "details": {
            "key_drill": {
                "artifact": full.name,
                "set": full.manifest.set_number,
                "plain_size": full.manifest.plain_size,
                "seconds": round(time.monotonic() - began, 1),
            }
        },
    }


__all__ = ("open_newest",)

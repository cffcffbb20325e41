# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dump is asked to do.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DumpRequest:
    """What to dump and where to; see :class:`_making.Making` for what it shares with other requests."""

    branch: str
    database: str
    option_file: str
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    compression: str = "gzip"
    encrypt: bool = True
    recipients: tuple[str, ...] = ()
    reserve_bytes: int = 64 * 1024 * 1024
    quota_bytes: int = 0
    allowed_signers: str | None = None


__all__ = ("DumpRequest",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dump is asked to do.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class DumpRequest:
    """What to dump and where to; see :class:`_making.Making` for what it shares with other requests.

    With ``fingerprint`` the full gets one as its companion: tables of ``fingerprint_limit_bytes`` together are summed
    up whole, and the shop's own ``business_queries`` (name to SELECT) and ``receipt_query`` are asked.
    """

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
    fingerprint: bool = True
    fingerprint_limit_bytes: int = 2 * 1024**3
    business_queries: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    receipt_query: str = ""


__all__ = ("DumpRequest",)

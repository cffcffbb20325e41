# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells the jobs of one kind apart: a check of the hot place is none of what central holds. Pure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ._recorder import KINDS

if TYPE_CHECKING:
    from ._recorder import Glance


@dataclasses.dataclass(frozen=True)
class Job:
    """``place`` and ``scope``: what ``details`` of its rows say, where jobs share their kind; None is any."""

    name: str
    kind: str
    place: str | None = None
    scope: str | None = None

    def did(self, row: Glance) -> bool:
        """Whether *row* is one of this job."""
        if row.kind != self.kind or self.place not in (None, row.place):
            return False
        return self.scope in (None, row.scope)


# By the names that the role central gives its timers.
_AT_CENTRAL = (
    Job("pull-log", "sync", scope="log"),
    Job("pull", "sync", scope="all"),
    Job("snapshot", "snapshot"),
    Job("verify", "verify", place="central"),
    Job("verify-hot", "verify", place="hot"),
    Job("verify-cold", "verify", place="cold"),
    Job("retention", "retention", place="central"),
    Job("retention-hot", "retention", place="hot"),
    Job("offsite-hot", "offsite", place="hot"),
    Job("offsite-cold", "offsite", place="cold"),
)


def jobs(*, at_central: bool) -> dict[str, Job]:
    """By name, what may be expected: any run of a kind, unless a job of central has that name."""
    named = {kind: Job(kind, kind) for kind in KINDS}
    return {**named, **{job.name: job for job in _AT_CENTRAL}} if at_central else named


__all__ = ("Job", "jobs")

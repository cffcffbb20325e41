# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows of a branch are still to be handed to its place, by what was handed over before.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _io

from ._recorder import Evidence, open_store, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._recorder import RunRecord, Settings

# What a branch does by itself. Rows of other kinds are central's word, and central takes none of them from a branch.
BRANCH_KINDS = ("full", "increment", "log", "verify", "restore", "retention")
# One call signs each; the rest follows with the next runs.
BATCH = 200


class Outbox:
    """The rows of one branch on their way out of this machine's table."""

    def __init__(self, settings: Settings, branch: str, *, keep_days: int) -> None:
        self._url = settings.runs_url
        self._branch = branch
        self._since = utc_now() - timedelta(days=keep_days)
        self._path = str(settings.state_path / "exported" / f"{branch}.json")

    def waiting(self) -> list[RunRecord]:
        """Finished rows that were not handed over, or are surer now; the newest first, as many as one call takes."""
        done = self._done()
        with contextlib.closing(open_store(self._url)) as store:
            wanted = [
                glance.run_id
                for glance in store.glance(since=self._since, branch=self._branch)
                if glance.evidence > max(done.get(glance.run_id, 0), Evidence.PENDING)
                and (glance.kind is None or glance.kind in BRANCH_KINDS)
            ]
            rows = [row for run_id in wanted[: -BATCH - 1 : -1] for row in store.query(run_id=run_id)]
        return [row for row in rows if row.branch == self._branch]

    def confirm(self, taken: Mapping[str, int], *, present: int) -> None:
        """Note what the place has now. A place that lost what it had is given all of it again."""
        with contextlib.closing(open_store(self._url)) as store:
            known = {glance.run_id for glance in store.glance(since=self._since, branch=self._branch)}
        done = {run_id: evidence for run_id, evidence in {**self._done(), **taken}.items() if run_id in known}
        _io.ensure_directory(os.path.dirname(self._path))
        _io.write_json(self._path, {"handed_over": done if present >= len(done) else dict(taken)})

    def _done(self) -> dict[str, int]:
        try:
            done = _io.read_json(self._path, limit=16 * 1024 * 1024)["handed_over"]
            return {str(run_id): int(evidence) for run_id, evidence in done.items()}
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            return {}


__all__ = ("BATCH", "BRANCH_KINDS", "Outbox")

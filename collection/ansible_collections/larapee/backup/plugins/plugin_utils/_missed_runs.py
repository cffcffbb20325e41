# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows for runs that did not come, and their settlement when word of them comes after all.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _io

from . import _absence
from ._inbox import MISSED
from ._recorder import Evidence, RunRecord, open_store, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._absence import Expectation, Overdue
    from ._recorder import Glance, RunStore, Settings

# What is older is history: nobody acts on it, and a branch brings its records of a week only.
LOOK_BACK = timedelta(days=7)
_PLAYBOOK = "larapee.backup.missed_runs"


@dataclasses.dataclass
class Absence:
    """How the look went: rows that are new, that were settled, and by branch the jobs that are missed now."""

    missed: list[RunRecord] = dataclasses.field(default_factory=list)
    settled: list[RunRecord] = dataclasses.field(default_factory=list)
    open: dict[str, list[str]] = dataclasses.field(default_factory=dict)


class _Note:
    """What central has to remember: since when it expects what, how far it looked, and which days are open."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.since: dict[str, datetime] = {}
        self.looked_at: datetime | None = None
        self.open: dict[str, list[date]] = {}
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            document = _io.read_json(path, limit=16 * 1024 * 1024)
            self.since = {key: parse_time(text) for key, text in document["since"].items()}
            self.open = {key: [date.fromisoformat(day) for day in texts] for key, texts in document["open"].items()}
            self.looked_at = parse_time(document["looked_at"])

    def write(self, keys: set[str], *, now: datetime) -> None:
        _io.ensure_directory(os.path.dirname(self._path))
        document = {
            "since": {key: moment.isoformat() for key, moment in self.since.items() if key in keys},
            "open": {key: [day.isoformat() for day in found] for key, found in self.open.items() if found},
            "looked_at": now.isoformat(),
        }
        _io.write_json(self._path, document)


def look(settings: Settings, expected: Sequence[Expectation], *, now: datetime, check_mode: bool = False) -> Absence:
    """Find what is missed, write its rows, and settle those of which word came."""
    note = _Note(str(settings.state_path / "missed.json"))
    absence = Absence()
    with contextlib.closing(open_store(settings.runs_url)) as store:
        for branch in dict.fromkeys(each.branch for each in expected):
            _look_at_branch(store, [each for each in expected if each.branch == branch], note, absence, now=now)
        if not check_mode:
            store.upsert([*absence.missed, *absence.settled])
    if not check_mode:
        note.write({each.key for each in expected}, now=now)
    return absence


def _look_at_branch(
    store: RunStore, expected: Sequence[Expectation], note: _Note, absence: Absence, *, now: datetime
) -> None:
    wanted = {each: _days(each, note, now=now) for each in expected}
    earliest = min((_absence.reach(each, day) for each, found in wanted.items() for day in found), default=now)
    rows = store.glance(since=earliest, branch=expected[0].branch)
    at_central = {each.job.kind for each in expected if each.at_central}
    for each, found in wanted.items():
        since = note.since.setdefault(each.key, now)
        own = [row for row in rows if _counts(row, each, at_central)]
        note.open[each.key] = [
            day for day in found if _is_open(store, each, day, own, rows, absence, since=since, now=now)
        ]
        if note.open[each.key]:
            absence.open.setdefault(each.branch, []).append(each.job.name)


def _is_open(
    store: RunStore,
    expected: Expectation,
    day: date,
    own: Sequence[Glance],
    rows: Sequence[Glance],
    absence: Absence,
    *,
    since: datetime,
    now: datetime,
) -> bool:
    """Whether a run of this day is missed and no word of it came; what is to be written goes to *absence*."""
    starts = [row.started_at for row in own]
    # Of a branch only the start counts: by an end that it made up it could be silent for days.
    ends = {row.started_at: _end(row, now) for row in own} if expected.at_central else {}
    gap = _absence.overdue(expected, day, starts, since=since, now=now, ends=ends)
    concluded = next((row for row in rows if row.run_id == expected.run_id(day)), None)
    if concluded is None:
        if gap is not None:
            absence.missed.append(_missed(expected, day, gap))
        return gap is not None
    if concluded.evidence == Evidence.OBSERVED or gap is not None:
        return concluded.evidence != Evidence.OBSERVED
    came = _absence.run_of(expected, day, starts)
    by = next((row for row in own if row.started_at == came and row.evidence > Evidence.PENDING), None)
    if by is not None:
        absence.settled += [_settled(row, by, now=now) for row in store.query(run_id=concluded.run_id)]
    return by is None


def _days(expected: Expectation, note: _Note, *, now: datetime) -> list[date]:
    """Those since the last look, the day before it for what came late, and those that are open."""
    since = note.since.get(expected.key, now)
    recent = (note.looked_at or now - LOOK_BACK) - timedelta(days=1)
    begin = max(recent, since, now - LOOK_BACK)
    oldest = expected.day_of(now - LOOK_BACK)
    still_open = [day for day in note.open.get(expected.key, []) if day >= oldest]
    return sorted({*still_open, *_absence.days(expected, since=begin, now=now)})


def _counts(row: Glance, expected: Expectation, at_central: set[str]) -> bool:
    """A check at the branch is no check at central, nor the other way round; nor is that of one place of another."""
    if row.check_mode or _absence.is_conclusion(row.run_id) or not expected.job.did(row):
        return False
    return row.imported != expected.at_central or (not row.imported and expected.job.kind not in at_central)


def _end(row: Glance, now: datetime) -> datetime:
    """Until when a run of central was at work. When it was lost, nobody saw the end."""
    if row.evidence == Evidence.PENDING:
        return now
    seen = row.finished_at if row.evidence == Evidence.OBSERVED else None
    return max(row.started_at, seen or row.started_at)


def _missed(expected: Expectation, day: date, gap: Overdue) -> RunRecord:
    who = "central" if expected.at_central else expected.branch
    what = (
        f"every {expected.every.total_seconds():g} s" if expected.every else f"at {expected.at:%H:%M} {expected.zone}"
    )
    return RunRecord(
        run_id=expected.run_id(day),
        branch=expected.branch,
        kind=expected.job.kind,
        status="failed",
        started_at=gap.due,
        finished_at=gap.until,
        host=socket.gethostname(),
        launcher="timer",
        playbook=_PLAYBOOK,
        error=(
            f"missed: no {expected.job.name} of {expected.branch} began by {_stamp(gap.until)}, expected {what}. "
            f"Look whether {who} is up, its timers run, and its clock is right."
        ),
        evidence=Evidence.INFERRED,
        details={
            MISSED: {
                "due": _stamp(gap.due),
                "day": day.isoformat(),
                "expected": what,
                "of": who,
                "job": expected.job.name,
            }
        },
    )


def _settled(missed: RunRecord, by: Glance, *, now: datetime) -> RunRecord:
    """The absence ends as the run did of which word came; that run has a row of its own with all of it."""
    came = {**missed.details.get(MISSED, {}), "settled_by": by.run_id}
    error = None if by.status == "success" else f"The run that was missed had failed: run {by.run_id} has its error."
    # Nobody measured it; its own row has the duration.
    return dataclasses.replace(missed.ended(by.status, error=error, at=now, details={MISSED: came}), duration_s=None)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


__all__ = ("LOOK_BACK", "Absence", "look")

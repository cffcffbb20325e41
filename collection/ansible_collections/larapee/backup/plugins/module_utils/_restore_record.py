# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far the restore of a shop has come: a file that each step is written into before it begins and when it has ended.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import os
import typing as t
import uuid

from . import _clock, _io, _lock
from ._errors import BackupError

OK: t.Final = "OK"
FAILED: t.Final = "FAILED"
BEGUN: t.Final = "BEGUN"
# From the first of these steps on the shop does not sell; with the end of the second it does again.
_FIRST: t.Final = "stop"
_OPEN: t.Final = "open"

Record = dict[str, t.Any]


def path_of(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "restores", f"{branch}.json")


def read(state_path: str, *, branch: str) -> Record | None:
    """The record of the newest restore of *branch*, ended or not; None when there was none. Raises BackupError."""
    path = path_of(state_path, branch)
    try:
        found = _io.read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise BackupError(
            f"Failed to read the record of a restore {path}: {exc}. It tells which steps were done: look at the shop, "
            "and remove the file to begin with the first step.",
            reason="bad_record",
        ) from exc
    return found


def start(state_path: str, *, branch: str, wish: t.Mapping[str, t.Any], anew: bool, check_mode: bool) -> Record:
    """The record to go on with: that of a restore of the same *wish* which has not ended, else a new one.

    Raises BackupError (``another_restore``) when one of another wish has not ended and it is not begun *anew*.
    """
    record = read(state_path, branch=branch)
    unfinished = record is not None and record["ended_at"] is None
    if record is not None and unfinished and not anew:
        if record["wish"] == dict(wish):
            return record
        before = record["wish"]
        differs = ", ".join(sorted(name for name in {*wish, *before} if before.get(name) != wish.get(name)))
        raise BackupError(
            f"Failed to begin a restore of {branch}: one that began at {record['begun_at']} has not ended (steps done: "
            f"{', '.join(done(record)) or 'none'}), and it has another {differs}. Nothing was changed. Start that "
            "one again as it was, roll it back (larapee.backup.restore_rollback), or begin with the first step: "
            "larapee_backup_restore_anew=true.",
            reason="another_restore",
        )
    # What stood there before is remembered until it is removed: a second attempt must not take the first for the shop.
    facts = record["facts"] if record is not None and unfinished else {}
    ever = begun(record) if record is not None and unfinished else []
    new: Record = {
        "schema": 1,
        "id": str(uuid.uuid4()),
        "branch": branch,
        "wish": dict(wish),
        "begun_at": _stamp(),
        "ended_at": None,
        "outcome": None,
        "steps": [],
        "facts": facts,
        "before": ever,
    }
    if not check_mode:
        _write(state_path, new)
    return new


def begin(state_path: str, *, branch: str, step: str, facts: t.Mapping[str, t.Any]) -> Record:
    """Note that *step* begins. Of *facts* the first ever told stay: they say what was there before."""
    record = _current(state_path, branch)
    known = _step(record, step)
    if known is None:
        record["steps"].append(
            {"name": step, "result": BEGUN, "first_at": _stamp(), "begun_at": _stamp(), "seconds": None}
        )
    else:
        known.update(result=BEGUN, begun_at=_stamp())
        known.pop("why", None)
    record["facts"] = {**facts, **record["facts"]}
    _write(state_path, record)
    return record


def end(
    state_path: str, *, branch: str, step: str, why: str = "", facts: t.Mapping[str, t.Any] | None = None
) -> Record:
    """Note how *step* ended: well, or *why* not. *facts* are what it found out."""
    record = _current(state_path, branch)
    known = _step(record, step)
    if known is None:
        raise BackupError(
            f"Failed to end the step {step} of the restore of {branch}: it did not begin.", reason="bad_record"
        )
    now = _clock.now()
    known.update(result=FAILED if why else OK, ended_at=_stamp(now))
    known["seconds"] = round((now - _moment(known["begun_at"])).total_seconds(), 3)
    if why:
        known["why"] = why
    record["facts"] = {**record["facts"], **(facts or {})}
    _write(state_path, record)
    return record


def close(state_path: str, *, branch: str, outcome: str) -> Record:
    """Note that the restore has ended: in an open shop, or C(rolled back)."""
    record = _current(state_path, branch)
    record.update(ended_at=_stamp(), outcome=outcome)
    _write(state_path, record)
    return record


def done(record: t.Mapping[str, t.Any]) -> list[str]:
    """The steps that ended well, in the order in which they did first begin."""
    return [each["name"] for each in record["steps"] if each["result"] == OK]


def begun(record: t.Mapping[str, t.Any]) -> list[str]:
    """The steps that did begin, also of a start that was given up for this one."""
    return list(dict.fromkeys([*record["before"], *(each["name"] for each in record["steps"])]))


def report(record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the row tells of it. ``down_s``: for how long the shop did not sell; None while it still does not."""
    now = _clock.now()
    first, opened = _step(record, _FIRST), _step(record, _OPEN)
    is_open = opened is not None and opened["result"] == OK
    down = None
    if first is not None and opened is not None and is_open:
        closed_at = _moment(first["first_at"])
        down = round((_moment(opened["ended_at"]) - closed_at).total_seconds(), 3)
    ended = _moment(record["ended_at"]) if record["ended_at"] else now
    steps = [
        {name: each[name] for name in ("name", "result", "seconds", "why") if name in each} for each in record["steps"]
    ]
    total = round((ended - _moment(record["begun_at"])).total_seconds(), 3)
    return {"restore_id": record["id"], "steps": steps, "down_s": down, "total_s": total, "outcome": record["outcome"]}


def locked(state_path: str, *, branch: str, run_id: str) -> t.ContextManager[None]:
    """Two that restore the same branch must not write into one record."""
    return _lock.hold(state_path, f"restore-steps-{branch}", run_id=run_id, wait_seconds=10.0)


def _current(state_path: str, branch: str) -> Record:
    record = read(state_path, branch=branch)
    if record is None:
        raise BackupError(
            f"Failed to find a restore of {branch}: none has begun on this host. Start larapee.backup.restore with "
            "larapee_backup_restore_shop=true.",
            reason="no_restore",
        )
    return record


def _step(record: t.Mapping[str, t.Any], name: str) -> dict[str, t.Any] | None:
    return next((each for each in record["steps"] if each["name"] == name), None)


def _write(state_path: str, record: t.Mapping[str, t.Any]) -> None:
    path = path_of(state_path, record["branch"])
    _io.ensure_directory(os.path.dirname(path))
    _io.write_json(path, record)


def _stamp(moment: dt.datetime | None = None) -> str:
    """Exact to the millisecond: a step may be over within the second."""
    return (moment or _clock.now()).isoformat(timespec="milliseconds")


def _moment(stamp: str) -> dt.datetime:
    return dt.datetime.fromisoformat(stamp)


__all__ = ("FAILED", "OK", "begin", "begun", "close", "done", "end", "locked", "path_of", "read", "report", "start")

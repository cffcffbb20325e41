# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database server still lives the life that the last full belongs to.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import typing as t
import uuid

from . import _clock, _io, _manifest
from ._manifest import Manifest

# However long a cause lasts: a full costs the shop more than an increment.
_FORCED_EVERY: t.Final = dt.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Demand:
    """That the next full starts a new epoch: ``because`` of what, since ``at`` (UTC; empty when not known).

    ``gap``: the increments found that they cannot go on.
    """

    because: str
    at: str = ""
    gap: bool = False


def decide_epoch(
    previous: Manifest | None,
    *,
    server_id: int,
    engine: str,
    start: t.Mapping[str, t.Any],
    demanded: str | None = None,
) -> tuple[str, str | None]:
    """Return the epoch for a new full, and why it is a new one (None when the previous one goes on).

    *start* holds ``file``, ``position``, ``gtid`` of the new full, or is empty without a binary log; *demanded* is what
    :func:`demanded` said.
    """
    reason = demanded or _reason_for_new(previous, server_id=server_id, engine=engine, start=start)
    if previous is not None and reason is None:
        return previous.epoch, None
    return str(uuid.uuid4()), reason


def _reason_for_new(
    previous: Manifest | None, *, server_id: int, engine: str, start: t.Mapping[str, t.Any]
) -> str | None:
    if previous is None:
        return "first full"
    if previous.document.get("engine") != engine or previous.document.get("server_id") != server_id:
        return "another server"
    before = previous.position
    if bool(before.get("file")) != bool(start.get("file")):
        return "the binary log was switched on or off"
    if start.get("file") and log_number(start) < log_number(before):
        return "the binary log went back"
    return None


def log_number(position: t.Mapping[str, t.Any]) -> tuple[int, int]:
    """Order of a binary log position: number of the file, offset in it."""
    digits = str(position.get("file", "")).rpartition(".")[2]
    return (int(digits) if digits.isdigit() else 0, int(position.get("position", 0)))


def demand(state_path: str, *, branch: str, because: str, gap: bool = False) -> None:
    """Make the next full of *branch* start a new epoch: what a restore does to the server that it fills.

    Until that full is there, nothing is sealed; the next run takes it by itself.
    """
    _io.ensure_state_directory(state_path, "epochs")
    now = _clock.now().isoformat(timespec="microseconds")
    _io.write_json(_path(state_path, branch), {"because": because, "at": now, "gap": gap})


def read_demand(state_path: str, *, branch: str) -> Demand | None:
    """What was demanded; None when nothing was."""
    try:
        document = _io.read_json(_path(state_path, branch))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Demand("the demand for a new epoch is unreadable")
    return Demand(
        because=str(document.get("because", "demanded")),
        at=str(document.get("at", "")),
        gap=document.get("gap") is True,
    )


def demanded(state_path: str, *, branch: str) -> str | None:
    """Why a new epoch was demanded; None when it was not."""
    found = read_demand(state_path, branch=branch)
    return None if found is None else found.because


def clear_demand(state_path: str, *, branch: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(state_path, branch))


def note_forced(state_path: str, *, branch: str, demand: Demand) -> None:
    """Remember that a full is taken now because of *demand*."""
    forced = {"at": _manifest.format_time(_clock.now()), "demand": demand.at}
    _io.write_json(_forced_path(state_path, branch), forced)


def wait_until(state_path: str, *, branch: str, demand: Demand) -> dt.datetime | None:
    """When the next full may be forced because of *demand*; None: now.

    Only gaps wait: what is found again right after a full was forced would be found after the next one too. A full that
    was forced for this very demand and did not come about may be tried again.
    """
    if not demand.gap:
        return None
    try:
        forced = _io.read_json(_forced_path(state_path, branch))
        at = _manifest.parse_time(str(forced["at"]))
    except (OSError, ValueError, KeyError):
        return None
    now = _clock.now()
    # The clock may have been put back since.
    if forced.get("demand") == demand.at or not at <= now < at + _FORCED_EVERY:
        return None
    return at + _FORCED_EVERY


def _path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "epochs", f"{branch}.json")


def _forced_path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "epochs", f"{branch}.forced.json")


__all__ = (
    "Demand",
    "clear_demand",
    "decide_epoch",
    "demand",
    "demanded",
    "log_number",
    "note_forced",
    "read_demand",
    "wait_until",
)

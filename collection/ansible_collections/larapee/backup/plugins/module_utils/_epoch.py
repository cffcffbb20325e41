# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database server still lives the life that the last full belongs to.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
import uuid

from . import _io
from ._manifest import Manifest


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


def demand(state_path: str, *, branch: str, because: str) -> None:
    """Make the next full of *branch* start a new epoch: what a restore does to the server that it fills."""
    _io.ensure_directory(os.path.dirname(_path(state_path, branch)))
    _io.write_json(_path(state_path, branch), {"because": because})


def demanded(state_path: str, *, branch: str) -> str | None:
    """Why a new epoch was demanded; None when it was not."""
    try:
        return str(_io.read_json(_path(state_path, branch)).get("because", "demanded"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "the demand for a new epoch is unreadable"


def clear_demand(state_path: str, *, branch: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(state_path, branch))


def _path(state_path: str, branch: str) -> str:
    return os.path.join(state_path, "epochs", f"{branch}.json")


__all__ = ("clear_demand", "decide_epoch", "demand", "demanded", "log_number")

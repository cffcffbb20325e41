# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to: from what the launcher saw and what was recorded, to one exit code. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSIBLE_GENERIC_ERROR = 1
ANSIBLE_UNREACHABLE_OR_PARSE_ERROR = 4
COMMAND_NOT_FOUND = 127
PLAYBOOK_NOT_FOUND = "could not be found"


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_STARTED = 3
    UNREACHABLE = 4
    UNPARSABLE = 5
    UNRECORDED = 8
    TIMED_OUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


class Stop(StrEnum):
    """Why the launcher ended a run before its time."""

    TIMEOUT = "timeout"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"


@dataclass(frozen=True)
class Seen:
    """What the launcher saw of ansible-playbook; `rc` is None when it was killed."""

    rc: int | None
    stop: Stop | None = None
    stats: bool = False
    output_tail: str = ""
    crash: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True)
class RowEnd:
    """How a row's run ended; `told` by the callback itself; `reason` is the slug that a module gave for its failure."""

    status: str
    told: bool
    reason: str | None = None


STOP_CODES = {
    Stop.TIMEOUT: ExitCode.TIMED_OUT,
    Stop.SIGINT: ExitCode.INTERRUPTED,
    Stop.SIGTERM: ExitCode.TERMINATED,
    Stop.SIGHUP: ExitCode.TERMINATED,
}


def unparsable(seen: Seen) -> bool:
    """Tell whether ansible never got as far as running: its code 4 means this only when no recap came."""
    if seen.stats:
        return False
    if seen.rc == ANSIBLE_UNREACHABLE_OR_PARSE_ERROR:
        return True
    return seen.rc == ANSIBLE_GENERIC_ERROR and _playbook_missing(seen)


def exit_code(seen: Seen, rows: Sequence[RowEnd], *, recorded: bool) -> ExitCode:
    """Map a run to the exit code; every code but 0 is a failure, and 0 needs rows that say success."""
    finished = bool(rows) and all(row.told and row.status == "success" for row in rows)
    if seen.stop is not None and not (seen.rc == 0 and finished):
        return STOP_CODES[seen.stop]
    if not recorded:
        return ExitCode.UNRECORDED
    if seen.rc == 0 and finished:
        return ExitCode.OK
    failed = [row for row in rows if row.status != "success"]
    if seen.rc == COMMAND_NOT_FOUND or (failed and all(row.reason == "lock_held" for row in failed)):
        return ExitCode.NOT_STARTED
    told = any(row.told for row in rows)
    if unparsable(seen) and not told:
        return ExitCode.UNPARSABLE
    if seen.rc == ANSIBLE_UNREACHABLE_OR_PARSE_ERROR:
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def stop_words(stop: Stop, timeout_s: float | None) -> str:
    """Why the launcher ends a run, in the words of its row."""
    if stop is Stop.TIMEOUT:
        return "timed out" + (f" after {timeout_s:g} s" if timeout_s else "")
    return f"interrupted by {stop}"


def explain(seen: Seen) -> str:
    """One line for the row of a run whose end only the launcher saw."""
    if seen.stop is Stop.TIMEOUT:
        words = stop_words(seen.stop, seen.timeout_s)
        return f"Failed to finish run: {words}. Find what took so long in its output, or raise --timeout."
    if seen.stop is not None:
        return f"Failed to finish run: {stop_words(seen.stop, None)}. Start it again."
    if seen.crash is not None:
        return f"Failed to finish run: the launcher met {seen.crash}. Start it again; the output tells how far it got."
    if seen.rc is None:
        return (
            "Failed to finish run: ansible-playbook was killed. Look for the out-of-memory killer, then start it again."
        )
    if seen.rc == COMMAND_NOT_FOUND:
        return "Failed to start run: ansible-playbook is not installed. Install ansible-core, then run it again."
    if unparsable(seen):
        return _explain_unparsable(seen)
    if seen.rc == 0:
        return (
            "Failed to record run: the callback larapee.backup.backup_runs recorded no end of it. "
            "Check that the collection is installed with larapee-backup doctor."
        )
    cause = _first_error(seen.output_tail)
    return f"Failed to finish run: ansible-playbook ended with code {seen.rc}{cause}. Read its output."


def _explain_unparsable(seen: Seen) -> str:
    if _playbook_missing(seen):
        told = _first_error(seen.output_tail)
        return f"Failed to read playbook: it was not found{told}. Check its path or name; of a checkout, run it there."
    return f"Failed to read playbook: ansible could not parse it{_first_error(seen.output_tail)}. Correct it."


def _playbook_missing(seen: Seen) -> bool:
    return any("the playbook:" in line and PLAYBOOK_NOT_FOUND in line for line in seen.output_tail.splitlines())


def _first_error(output: str) -> str:
    for line in output.splitlines():
        _, mark, text = line.partition("ERROR")
        if mark:
            text = text.lstrip("]!: ").rstrip(" .:")
            return f" ({text})" if text else ""
    return ""


__all__ = ("ExitCode", "RowEnd", "Seen", "Stop", "exit_code", "explain", "stop_words", "unparsable")

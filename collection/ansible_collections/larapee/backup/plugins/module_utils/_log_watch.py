# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following logs for a time, and counting what they complain of.

A log is known by its inode: renamed by rotation it is read to its end, and one that is new, as daily logs are, is read
from its beginning. What was truncated is read from its beginning again.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import time
import typing as t

from . import _process
from ._errors import BackupError

_BLOCK = 256 * 1024
# Of a longer line the beginning is looked at; a log of one endless line must not fill the memory.
_LONGEST_LINE = 64 * 1024
_SHOWN = 200
_SAMPLES = 10
_PAUSE_SECONDS = 0.5

# Laravel's levels, nginx's and php-fpm's words for what a person has to look at.
PATTERNS: t.Final = (
    r"\.(?:ERROR|CRITICAL|ALERT|EMERGENCY): ",
    r"\[(?:error|crit|alert|emerg)\] ",
    r"\b(?:ERROR|ALERT): ",
)


@dataclasses.dataclass(frozen=True)
class WatchRequest:
    """``offsets``: where a mark left each log, by device and inode; all of others counts. None: from now on."""

    paths: tuple[str, ...]
    seconds: float
    patterns: tuple[str, ...] = PATTERNS
    ignore: tuple[str, ...] = ()
    threshold: int = 0
    units: tuple[str, ...] = ()
    offsets: t.Mapping[str, int] | None = None


@dataclasses.dataclass
class Outcome:
    """``errors`` are lines; ``missing``: paths that matched no file at the end."""

    errors: int = 0
    samples: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    troubled_units: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    offsets: dict[str, int] = dataclasses.field(default_factory=dict)

    def facts(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "complete": not self.missing}


def mark(paths: t.Sequence[str]) -> dict[str, int]:
    """Where each log ends now."""
    found = {}
    for path in _matching(paths):
        try:
            status = os.stat(path)
        except OSError:
            continue
        found[_key(status)] = status.st_size
    return found


def watch(request: WatchRequest) -> Outcome:
    """Follow the logs; raises BackupError with the outcome as facts when they tell of too much."""
    matcher = _Matcher(request)
    logs: dict[str, _Log] = {}
    restarts = {unit: _restarts(unit) for unit in request.units}
    offsets = mark(request.paths) if request.offsets is None else dict(request.offsets)
    begun = time.monotonic()
    while True:
        over = time.monotonic() - begun >= request.seconds
        _find(request.paths, logs, offsets)
        for log in logs.values():
            for line in log.lines():
                matcher.look(line)
        if over:
            break
        time.sleep(min(_PAUSE_SECONDS, request.seconds))
    outcome = matcher.outcome
    outcome.seconds = round(time.monotonic() - begun, 3)
    outcome.missing = [path for path in request.paths if not glob.glob(path)]
    outcome.offsets = {key: log.position for key, log in logs.items()}
    outcome.troubled_units = [unit for unit in request.units if _is_troubled(unit, restarts[unit])]
    for log in logs.values():
        log.close()
    _judge(request, outcome)
    return outcome


def _judge(request: WatchRequest, outcome: Outcome) -> None:
    if outcome.troubled_units:
        raise BackupError(
            f"Failed to find the shop well after it was opened: {', '.join(outcome.troubled_units)} ended or was "
            "started again meanwhile. Look at journalctl -u with that name.",
            reason="unit_restarted",
            facts={"watched": outcome.facts()},
        )
    if outcome.errors > request.threshold:
        raise BackupError(
            f"Failed to find the logs quiet after the shop was opened: {outcome.errors} errors in "
            f"{outcome.seconds:.0f} s, {request.threshold} are accepted. The first: {outcome.samples[0]}",
            reason="logs_have_errors",
            facts={"watched": outcome.facts()},
        )


class _Matcher:
    def __init__(self, request: WatchRequest) -> None:
        self.outcome = Outcome()
        self._wanted = [_compile(pattern) for pattern in request.patterns]
        self._ignored = [_compile(pattern) for pattern in request.ignore]

    def look(self, line: str) -> None:
        if not any(each.search(line) for each in self._wanted) or any(each.search(line) for each in self._ignored):
            return
        self.outcome.errors += 1
        if len(self.outcome.samples) < _SAMPLES:
            shown = "".join(character if character.isprintable() else " " for character in line)
            self.outcome.samples.append(shown.strip()[:_SHOWN])


class _Log:
    """One file, read on from *position*, also when it is renamed."""

    def __init__(self, path: str, position: int) -> None:
        self._handle = open(path, "rb", buffering=0)  # noqa: SIM115 - it is followed for half an hour
        self.position = position
        self._left = b""

    def lines(self) -> t.Iterator[str]:
        """What was written since, line by line; what has no end of line yet waits for it."""
        if os.fstat(self._handle.fileno()).st_size < self.position:
            self.position, self._left = 0, b""
        self._handle.seek(self.position)
        while True:
            block = self._handle.read(_BLOCK)
            if not block:
                return
            self.position += len(block)
            *whole, self._left = (self._left + block).split(b"\n")
            self._left = self._left[:_LONGEST_LINE]
            for line in whole:
                yield line[:_LONGEST_LINE].decode("utf-8", "replace")

    def close(self) -> None:
        self._handle.close()


def _find(paths: t.Sequence[str], logs: dict[str, _Log], offsets: t.Mapping[str, int]) -> None:
    for path in _matching(paths):
        try:
            key = _key(os.stat(path))
            if key not in logs:
                logs[key] = _Log(path, offsets.get(key, 0))
        except OSError:
            # Removed between the listing and the look.
            continue


def _matching(paths: t.Sequence[str]) -> list[str]:
    return [path for pattern in paths for path in sorted(glob.glob(pattern)) if os.path.isfile(path)]


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _compile(pattern: str) -> t.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as exc:
        raise BackupError(
            f"Failed to use the pattern {pattern!r}: {exc}. Write a regular expression of Python.", reason="bad_request"
        ) from exc


def _restarts(unit: str) -> tuple[str, str]:
    """State of a unit, and how often systemd started it by itself."""
    argv = [_process.find_tool("systemctl"), "show", "--property=ActiveState,NRestarts", "--", unit]
    said = dict(line.partition("=")[::2] for line in _process.run(argv).stdout.decode("utf-8", "replace").splitlines())
    return said.get("ActiveState", ""), said.get("NRestarts", "")


def _is_troubled(unit: str, before: tuple[str, str]) -> bool:
    state, count = _restarts(unit)
    return state != "active" or count != before[1]


__all__ = ("PATTERNS", "Outcome", "WatchRequest", "mark", "watch")

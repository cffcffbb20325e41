# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on many branches at central: a process for each, few at once, and what befalls one stops no other.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import time
import typing as t

from . import _catalog, _names, _process
from ._catalog import Catalogue
from ._errors import BackupError

WIDTH: t.Final = 2
_BLOCK = 65536
_READINGS = 2
_PAUSE_SECONDS = 0.5
# A library may take the interruption for a fault of the network, and try again.
_CLEANING_SECONDS = 10.0
_DYING_SECONDS = 5.0
_LOOK_SECONDS = 0.01

Report = dict[str, t.Any]
Work = t.Callable[[str], Report]


def place_of(central_path: str, branch: str) -> str:
    """Where central keeps what it adopted of *branch*; raise BackupError when that is nowhere."""
    place = os.path.join(central_path, "branches", branch)
    if not os.path.isdir(place):
        raise BackupError(
            f"Failed to find what central holds of {branch}: there is no directory {place}. Look at the pull of this "
            "branch, which has never delivered, or take the branch out of larapee_backup_branches.",
            reason="no_place",
        )
    return place


def read_place(directory: str) -> Catalogue:
    """The catalogue of *directory*, with those problems only that stay: what is being adopted lacks its manifest."""
    catalogue = _catalog.read_catalogue(directory)
    for _attempt in range(_READINGS):
        if not catalogue.problems:
            break
        time.sleep(_PAUSE_SECONDS)
        again = _catalog.read_catalogue(directory)
        lasting = {name: why for name, why in again.problems.items() if name in catalogue.problems}
        catalogue = dataclasses.replace(again, problems=lasting)
    return catalogue


def each_branch(
    work: Work,
    branches: t.Iterable[str],
    *,
    width: int = WIDTH,
    place: str = "central",
    deadline: float | None = None,
) -> dict[str, Report]:
    """What *work*, for *width* of *branches* at once, reports of each; where it fails, a report with ``error``.

    *place*: what is worked on. *deadline*: the seconds after which the work for one branch is ended.
    """
    if deadline is not None and deadline <= 0:
        raise BackupError(
            f"Failed to work for {deadline:g} seconds on each branch: a second is the least. Set "
            "larapee_backup_central_branch_deadline.",
            reason="bad_request",
        )
    waiting = list(dict.fromkeys(branches))
    reports: dict[str, Report] = dict.fromkeys(waiting, {})
    running: dict[int, _Worker] = {}
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < width:
                    worker = _Worker(work, waiting.pop(0), deadline)
                    running[worker.descriptor] = worker
                    selector.register(worker.descriptor, selectors.EVENT_READ)
                ended = [running[key.fd] for key, _events in selector.select(_patience(running.values()))]
                ended = [worker for worker in ended if not worker.hear()]
                ended += [worker for worker in running.values() if worker not in ended and worker.is_given_up()]
                for worker in ended:
                    selector.unregister(worker.descriptor)
                    del running[worker.descriptor]
                    reports[worker.branch] = worker.finish()
                    if "error" in reports[worker.branch]:
                        reports[worker.branch]["details"].setdefault("place", place)
        finally:
            for worker in running.values():
                worker.end()
    return reports


def _patience(workers: t.Iterable[_Worker]) -> float | None:
    """How long nothing has to be done to any of *workers*; None is for ever."""
    moments = [worker.due for worker in workers if worker.due is not None]
    return max(0.0, min(moments) - time.monotonic()) if moments else None


def failed(error: BackupError) -> Report:
    """The report of a branch for which nothing could be done."""
    return {"artifacts": [], "recovery_point": None, "details": {"reason": error.reason}, "error": str(error)}


class _Worker:
    """A process that works for one branch. It ends with the module, whatever ends that.

    ``due``: when it is told to end, then killed, then given up, because what waits for a dead disk cannot be killed.
    """

    def __init__(self, work: Work, branch: str, deadline: float | None) -> None:
        self.branch = branch
        self._deadline = deadline
        self._heard = bytearray()
        self._steps = [signal.SIGTERM, signal.SIGKILL]
        self.descriptor, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            try:
                _process.die_with_parent()
                os.close(self.descriptor)
                _leave_output()
                with open(writing, "wb") as pipe:
                    pipe.write(json.dumps(_reported(work, branch)).encode())
                status = 0
            finally:
                # Nothing of the module may run twice: no handler, no buffer.
                os._exit(status)
        os.close(writing)
        self.due = None if deadline is None else time.monotonic() + deadline

    def hear(self) -> bool:
        """Take what the process has written; False when that was all."""
        block = os.read(self.descriptor, _BLOCK)
        self._heard += block
        return bool(block)

    def is_given_up(self) -> bool:
        """Do what is due; True when nothing is left to be done to it."""
        if self.due is None or time.monotonic() < self.due:
            return False
        if not self._steps:
            return True
        number = self._steps.pop(0)
        # It cleans up and keeps what it has proven, where it can.
        self.due = time.monotonic() + (_CLEANING_SECONDS if number == signal.SIGTERM else _DYING_SECONDS)
        self._send(number)
        return False

    def finish(self) -> Report:
        os.close(self.descriptor)
        status = self._wait(_DYING_SECONDS)
        if len(self._steps) < 2:
            left = f", and cannot be killed (process {self._pid})" if status is None else ""
            return failed(
                BackupError(
                    f"Failed to finish {self.branch} within {self._deadline:g} seconds: it was ended{left}. Look at "
                    "what it waited for, such as a storage that does not answer or a mount whose server is gone; for a "
                    "first run of very much, raise larapee_backup_central_branch_deadline.",
                    reason="branch_deadline",
                )
            )
        if status == 0:
            report: Report = json.loads(self._heard.decode())
            return report
        return failed(
            BackupError(
                f"Failed to finish {self.branch}: its process ended by {_ending(status)}. Look for what ended it, such "
                "as a lack of memory, and start the run again.",
                reason="worker_died",
            )
        )

    def end(self) -> None:
        os.close(self.descriptor)
        self._send(signal.SIGTERM)
        if self._wait(_CLEANING_SECONDS) is None:
            self._send(signal.SIGKILL)
            self._wait(_DYING_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _wait(self, seconds: float) -> int | None:
        """The status of the process, which has ended or is about to; None when it does not."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return status
            if time.monotonic() >= deadline:
                return None
            time.sleep(_LOOK_SECONDS)


def _leave_output() -> None:
    """Who reads what the module prints waits for all who could print: not for a process that cannot be killed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _reported(work: Work, branch: str) -> Report:
    try:
        if not _names.is_branch_code(branch):
            raise BackupError(f"Failed to use the branch {branch!r}: not a branch's code.", reason="bad_branch")
        return work(branch)
    except BackupError as exc:
        return failed(exc)
    except OSError as exc:
        cause = f"{exc.strerror}: {exc.filename}" if exc.filename else str(exc)
        return failed(
            BackupError(
                f"Failed to work for {branch}: {cause}. Check the disk and the owner of central's directories.",
                reason="central_failed",
            )
        )


def _ending(status: int | None) -> str:
    if status is None:
        return "nothing, though it has said all"
    code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return f"signal {code}" if code else f"status {os.WEXITSTATUS(status)}"


__all__ = ("WIDTH", "Report", "Work", "each_branch", "failed", "place_of", "read_place")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run from outside: recorded before it starts, launched, watched, and ended in the record whatever became of it."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from . import processes, workdir
from .environment import child_environment, launcher_name
from .jobs import Job, run_job
from .outcome import ExitCode, RowEnd, Seen, exit_code, explain
from .recorder import Evidence, Recorder, RecorderError, RunRecord, Settings
from .signals import StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .events import Observer


class AlreadyRunningError(Exception):
    """Another launcher owns the run id that was preset for this one."""


class Reporter(Protocol):
    """Whoever tells the person at the terminal, or the log of the timer."""

    def started(self, run_id: str, playbook: str) -> Observer: ...

    def ended(self) -> None: ...

    def warn(self, message: str) -> None: ...


@dataclass(frozen=True)
class Request:
    """What the caller asked for."""

    playbook: str
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    extra_vars: tuple[str, ...] = ()
    check: bool = False
    timeout_s: float | None = None
    verbosity: int = 0
    pass_env: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What became of it."""

    run_id: str
    code: ExitCode
    seen: Seen
    output: Path | None
    rows: list[RunRecord] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Recorded:
    """The rows of a run at its end; `told` names those whose end the callback had recorded before us."""

    rows: list[RunRecord]
    told: frozenset[str]
    errors: list[str]

    @property
    def anywhere(self) -> bool:
        return any(row.evidence is Evidence.OBSERVED for row in self.rows)

    @property
    def ends(self) -> list[RowEnd]:
        return [RowEnd(row.status, row.id in self.told, _reason(row)) for row in self.rows]


class Run:
    """One run of one playbook under one run id."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        *,
        reporter: Reporter,
        environ: Mapping[str, str] = os.environ,
        cwd: Path | None = None,
    ) -> None:
        self._request = request
        self._settings = settings
        self._reporter = reporter
        self._environ = environ
        self._cwd = cwd or Path.cwd()
        self.run_id = _preset_run_id(environ) or str(uuid.uuid4())
        self._launcher = launcher_name(environ, interactive=sys.stdin.isatty() or sys.stderr.isatty())
        self._recorder = Recorder(settings, witness="wrapper")
        self._pending = RunRecord.pending(
            run_id=self.run_id,
            playbook=request.playbook,
            launcher=self._launcher,
            launcher_ref=self.run_id,
            check_mode=request.check,
        )

    def execute(self) -> Report:
        with StopRequest() as stop:
            processes.become_subreaper()
            self._tidy()
            with self._held():
                self._begin()
                return self._launch(stop)

    def _launch(self, stop: StopRequest) -> Report:
        try:
            job = self._job()
            ended = run_job(job, stop=stop, observer=self._reporter.started(self.run_id, job.playbook))
        except BaseException as error:
            # An error of our own must not leave the row pending either.
            self._finish(Seen(rc=None, stop=stop.reason, crash=type(error).__name__))
            raise
        finally:
            self._reporter.ended()
        seen = ended.seen
        recorded = self._finish(seen)
        errors = list(recorded.errors)
        if ended.survivors:
            survivors = ", ".join(map(str, ended.survivors))
            errors.append(f"Failed to end processes {survivors}: they did not go. End them as root.")
        return Report(
            run_id=self.run_id,
            code=exit_code(seen, recorded.ends, recorded=recorded.anywhere),
            seen=seen,
            output=job.output if job.output.is_file() else None,
            rows=recorded.rows,
            failures=[(failure.host, failure.task, failure.message) for failure in ended.failures],
            errors=errors,
        )

    def _job(self) -> Job:
        request = self._request
        directory = workdir.private_directory(self._settings.state_path, self.run_id)
        if not directory.is_relative_to(self._settings.state_path):
            self._reporter.warn(f"{self._settings.state_path} cannot be written: the run's files go to {directory}.")
        env = child_environment(
            self._environ,
            cwd=self._cwd,
            run_id=self.run_id,
            launcher=self._launcher,
            launcher_pid=os.getpid(),
            also=request.pass_env,
        )
        if not (request.verbosity and sys.stdout.isatty()):
            env["ANSIBLE_NOCOLOR"] = "1"
            env.pop("ANSIBLE_FORCE_COLOR", None)
        return Job(
            run_id=self.run_id,
            playbook=request.playbook,
            cwd=self._cwd,
            private_dir=directory,
            env=env,
            inventories=request.inventories,
            limit=request.limit,
            extra_vars=request.extra_vars,
            check=request.check,
            timeout_s=request.timeout_s,
            verbosity=request.verbosity,
        )

    def _tidy(self) -> None:
        """Leave nothing of earlier runs in doubt: what was lost becomes a failed row before this one starts."""
        workdir.rotate(self._settings.state_path)
        try:
            for record in self._recorder.reconcile():
                self._reporter.warn(
                    f"run {record.run_id}, started {record.started_at:%Y-%m-%d %H:%M} UTC: {record.error}"
                )
            self._recorder.flush()
        except (RecorderError, OSError) as error:
            self._reporter.warn(f"Earlier runs could not be settled: {error}")

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the run's lock, as the sign that its launcher lives; without a place for locks, go on without."""
        try:
            lock = self._recorder.hold(self.run_id)
        except RecorderError as error:
            if isinstance(error.__cause__, BlockingIOError):
                raise AlreadyRunningError(str(error)) from error
            self._reporter.warn(str(error))
            yield
            return
        with lock:
            yield

    def _begin(self) -> None:
        outcome = self._recorder.record([self._pending])
        if not outcome.journal and not outcome.table:
            self._reporter.warn("The start could be recorded nowhere: " + "; ".join(outcome.errors))

    def _finish(self, seen: Seen) -> Recorded:
        told = frozenset(row.id for row in self._recorder.rows(self.run_id) if row.evidence is Evidence.OBSERVED)
        error = explain(seen)
        outcome = self._recorder.conclude(self._pending.ended("failed", error=error, details={"ansible_rc": seen.rc}))
        rows = self._recorder.rows(self.run_id)
        return Recorded(rows, told, list(outcome.errors))


def _preset_run_id(environ: Mapping[str, str]) -> str | None:
    """Take the run id of the unit that started us: its ExecStopPost must be able to name the run."""
    try:
        return str(uuid.UUID(environ["LARAPEE_BACKUP_RUN_ID"]))
    except (KeyError, ValueError):
        return None


def _reason(row: RunRecord) -> str | None:
    reason = row.details.get("reason")
    return reason if isinstance(reason, str) else None


__all__ = ("AlreadyRunningError", "Report", "Request", "Run")

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
from .recorder import Evidence, Recorder, RecorderError, RunOwnedError, RunRecord, Settings
from .signals import StopRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .events import Observer


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
        self.run_id = ""
        self._launcher = launcher_name(environ, interactive=_at_terminal())
        self._recorder = Recorder(settings, witness="wrapper")

    def execute(self) -> Report:
        with StopRequest() as stop:
            processes.become_subreaper()
            self._tidy()
            with self._own():
                pending = self._begin()
                return self._launch(pending, stop)

    def _launch(self, pending: RunRecord, stop: StopRequest) -> Report:
        try:
            job = self._job()
            ended = run_job(job, stop=stop, observer=self._reporter.started(self.run_id, job.playbook))
        except BaseException as error:
            # An error of our own must not leave the row pending either.
            self._finish(pending, Seen(rc=None, stop=stop.reason, crash=type(error).__name__))
            raise
        finally:
            self._reporter.ended()
        seen = ended.seen
        recorded = self._finish(pending, seen)
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
        try:
            workdir.rotate(self._settings.state_path)
            for record in self._recorder.reconcile():
                self._reporter.warn(
                    f"run {record.run_id}, started {record.started_at:%Y-%m-%d %H:%M} UTC: {record.error}"
                )
            self._recorder.flush()
        except Exception as error:  # noqa: BLE001 - nothing of earlier runs may stop this one
            self._reporter.warn(f"Earlier runs could not be settled: {type(error).__name__}: {error}")

    def _own(self) -> contextlib.AbstractContextManager[object]:
        """Hold the run's lock, as the sign that its launcher lives; without a place for locks, go on without."""
        preset = _preset_run_id(self._environ)
        try:
            if preset is not None and not self._has_ended(preset):
                return self._take(preset)
        except RunOwnedError:
            # Its row belongs to a run that lives.
            pass
        if preset is not None:
            self._reporter.warn(f"run id {preset} belongs to another run: this one gets an id of its own")
        return self._take(str(uuid.uuid4()))

    def _take(self, run_id: str) -> contextlib.AbstractContextManager[object]:
        self.run_id = run_id
        try:
            return self._recorder.hold(run_id)
        except RunOwnedError:
            raise
        except RecorderError as error:
            self._reporter.warn(str(error))
            return contextlib.nullcontext()

    def _has_ended(self, run_id: str) -> bool:
        return any(row.evidence is Evidence.OBSERVED for row in self._recorder.rows(run_id))

    def _begin(self) -> RunRecord:
        pending = RunRecord.pending(
            run_id=self.run_id,
            playbook=self._request.playbook,
            launcher=self._launcher,
            launcher_ref=self.run_id,
            check_mode=self._request.check,
        )
        outcome = self._recorder.record([pending])
        if not outcome.journal and not outcome.table:
            self._reporter.warn("The start could be recorded nowhere: " + "; ".join(outcome.errors))
        return pending

    def _finish(self, pending: RunRecord, seen: Seen) -> Recorded:
        told = frozenset(row.id for row in self._recorder.rows(self.run_id) if row.evidence is Evidence.OBSERVED)
        end = pending.ended("failed", error=explain(seen), details={"ansible_rc": seen.rc})
        outcome = self._recorder.conclude(end)
        rows = self._recorder.rows(self.run_id)
        return Recorded(rows, told, list(outcome.errors))


def _at_terminal() -> bool:
    # A service manager may start us with these closed.
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _preset_run_id(environ: Mapping[str, str]) -> str | None:
    """Take the run id of the unit that started us: its ExecStopPost must be able to name the run."""
    try:
        return str(uuid.UUID(environ["LARAPEE_BACKUP_RUN_ID"]))
    except (KeyError, ValueError):
        return None


def _reason(row: RunRecord) -> str | None:
    reason = row.details.get("reason")
    return reason if isinstance(reason, str) else None


__all__ = ("Report", "Request", "Run")

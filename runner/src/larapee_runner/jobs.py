# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launches one ansible-playbook through ansible-runner, and ends it in good order when it has to."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import processes, workdir
from .events import EventLog, Failure
from .outcome import Seen, Stop, stop_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .events import Observer
    from .signals import StopRequest

POLL_S = 1
GRACE_S = 15.0
TAIL_LINES = 40

# What ansible-runner adds to the environment and needs. It would also switch host key checking off: that stays ours.
RUNNER_VARIABLES = (
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "ORIGINAL_STDOUT_CALLBACK",
    "ANSIBLE_RETRY_FILES_ENABLED",
    "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)


@dataclass(frozen=True)
class Job:
    """What to run, as the caller said it; relative paths are relative to `cwd`."""

    run_id: str
    playbook: str
    cwd: Path
    private_dir: Path
    env: Mapping[str, str]
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    extra_vars: tuple[str, ...] = ()
    check: bool = False
    timeout_s: float | None = None
    verbosity: int = 0
    grace_s: float = GRACE_S

    @property
    def artifact_dir(self) -> Path:
        return self.private_dir / "artifacts" / self.run_id

    @property
    def output(self) -> Path:
        return self.artifact_dir / "stdout"

    @property
    def stop_reason(self) -> Path:
        return self.private_dir / "stop-reason"


@dataclass(frozen=True)
class Ended:
    seen: Seen
    failures: tuple[Failure, ...]
    survivors: tuple[int, ...]


class Watch:
    """ansible-runner's cancel callback: first ask ansible-playbook to end, and only after the grace let it be killed.

    A kill at once would leave workers and their modules (a dump, say) running without a parent.
    """

    def __init__(self, stop: StopRequest, job: Job) -> None:
        self._stop = stop
        self._job = job
        self._deadline = None if job.timeout_s is None else time.monotonic() + job.timeout_s
        self._asked_at: float | None = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline and self._stop.reason is None:
            self._stop.ask(Stop.TIMEOUT)
        if self._stop.reason is None:
            return False
        if self._asked_at is None:
            self._asked_at = now
            _leave_word(self._job, self._stop.reason)
            processes.signal_children(signal.SIGTERM)
            return False
        return self._stop.urgent or now - self._asked_at >= self._job.grace_s


def run_job(job: Job, *, stop: StopRequest, observer: Observer) -> Ended:
    """Run the job to its end, whatever that is; nothing of it is left running when its end was not an orderly one."""
    log = EventLog(observer)
    rc, crash = None, None
    orderly = False
    try:
        if stop.reason is None:
            rc, crash = _launch(job, stop=stop, log=log)
        # With an exit code of its own, ansible-playbook has ended its workers; what a task left behind, it meant to.
        orderly = rc is not None and stop.reason is None
    finally:
        survivors = () if orderly else tuple(processes.end_descendants())
    output = workdir.tail(job.output, lines=TAIL_LINES)
    seen = Seen(rc=rc, stop=stop.reason, stats=log.stats, output_tail=output, crash=crash, timeout_s=job.timeout_s)
    return Ended(seen, tuple(log.failures), survivors)


def _launch(job: Job, *, stop: StopRequest, log: EventLog) -> tuple[int | None, str | None]:
    from ansible_runner.runner import Runner

    runner = Runner(
        _configure(job),
        cancel_callback=Watch(stop, job),
        event_handler=log.handle,
        status_handler=lambda data, runner_config: _on_status(job, data),
    )
    crash = None
    # ansible-runner raises errors of its own, pexpect's and the file system's; the run has ended all the same.
    try:
        runner.run()
    except Exception as error:  # noqa: BLE001
        crash = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return (None if stop.reason is not None and runner.rc != 0 else runner.rc), crash


def _configure(job: Job) -> Any:
    from ansible_runner.config.runner import RunnerConfig

    words = [word for value in job.extra_vars for word in ("-e", value)]
    if job.check:
        words.append("--check")
    config = RunnerConfig(
        private_data_dir=str(job.private_dir),
        project_dir=str(job.cwd),
        ident=job.run_id,
        playbook=job.playbook,
        inventory=list(job.inventories) or None,
        limit=job.limit,
        cmdline=shlex.join(words),
        verbosity=max(0, job.verbosity - 1),
        quiet=job.verbosity == 0,
        suppress_env_files=True,
        fact_cache_type="memory",
    )
    config.prepare()
    config.pexpect_timeout = POLL_S
    config.env = {**job.env, **{name: config.env[name] for name in RUNNER_VARIABLES if name in config.env}}
    config.env["LARAPEE_BACKUP_STOP_REASON"] = str(job.stop_reason)
    config.command[0] = ansible_playbook(job.env)
    return config


def ansible_playbook(env: Mapping[str, str]) -> str:
    """Find the ansible-playbook of our own environment; a timer's PATH does not name it."""
    beside = Path(sys.executable).parent / "ansible-playbook"
    if beside.is_file():
        return str(beside)
    return shutil.which("ansible-playbook", path=env.get("PATH")) or "ansible-playbook"


def _leave_word(job: Job, reason: Stop) -> None:
    """The callback records the end, and of the signal alone it could not tell why it came."""
    with contextlib.suppress(OSError):
        descriptor = os.open(
            job.stop_reason, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(stop_words(reason, job.timeout_s))


def _on_status(job: Job, data: Mapping[str, Any]) -> None:
    if data.get("status") == "running":
        workdir.redact_command(job.artifact_dir)
        with contextlib.suppress(OSError):
            (job.artifact_dir / "stderr").chmod(0o600)


__all__ = ("Ended", "Job", "ansible_playbook", "run_job")

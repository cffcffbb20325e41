# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import atexit
import dataclasses
import os
import signal
import uuid
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ._errors import JournalError, RecorderError, RunOwnedError
from ._lock import OwnerLock
from ._presence import PRESENCE_VARIABLE, RECORDER_VARIABLE, presence
from ._record import Evidence, RunRecord, one_line
from ._recorder import Recorder, RecordOutcome
from ._regular_file import read_regular_file
from ._settings import load_settings
from ._signals import SignalWatch, end_with_parent
from ._verdict import BranchReport, Ending, Failure, causes, judge

STATS_KEY = "larapee_backup"
# The guard reads these where the run id would stand.
IN_TABLE_ONLY = "table"
UNRECORDED = "unrecorded"
# Which job of its kind a run is, has to be known of one that is killed, too.
_WHICH = ("place", "scope")


class PlaybookRun:
    """One playbook from its start to its rows; the callback only tells what happens."""

    def __init__(
        self,
        *,
        playbook: str,
        check_mode: bool,
        warn: Callable[[str], None],
        environ: MutableMapping[str, str] | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._warn = warn
        self._playbook = playbook
        self._check_mode = check_mode
        self._recorder: Recorder | None = None
        self._lock: OwnerLock | None = None
        self._reports: dict[str, BranchReport] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._task = ""
        self._changed = False
        self._table_answers = False
        self._ended = False
        self._pid = os.getpid()
        self._stopped_by: signal.Signals | None = None
        self._signals = SignalWatch(self._on_signal)
        self._pending = self._first_row(None)

    @property
    def run_id(self) -> str:
        return self._pending.run_id

    def start(self, *, fresh_id: bool = False) -> None:
        """Write the pending row, and tell the playbook through the environment how far that went."""
        for name in (RECORDER_VARIABLE, PRESENCE_VARIABLE, "LARAPEE_BACKUP_OWNER_LOCK"):
            self._environ.pop(name, None)
        self._signals.install()
        atexit.register(self._on_exit)
        with self._signals.deferred():
            try:
                self._recorder = Recorder(load_settings(self._environ), witness="callback")
            except RecorderError as error:
                self._warn(str(error))
            self._pending = self._own_id(None if fresh_id else self._given_id())
            self._environ["LARAPEE_BACKUP_RUN_ID"] = self.run_id
            outcome = self._write([self._pending])
            if self._recorder is not None and outcome.table:
                self._settle(self._recorder)
        launcher = self._environ.get("LARAPEE_BACKUP_LAUNCHER_PID", "")
        if launcher.isdigit():
            end_with_parent(int(launcher))

    def on_task(self, name: str) -> None:
        """Between two tasks, bring the journal up to what the roles said meanwhile."""
        self._task = name
        if not self._changed or self._ended:
            return
        self._changed = False
        rows = [
            dataclasses.replace(
                self._pending,
                branch=branch,
                kind=report.kind,
                details={**_which(report.details), **self._pending.details},
            )
            for branch, report in sorted(self._reports.items())
        ]
        # A table that was silent is asked again at the end, unless it is the only place left.
        in_journal = self._environ.get(RECORDER_VARIABLE) == self.run_id
        with self._signals.deferred():
            self._write(rows, table=self._table_answers or not in_journal)

    def on_stats_data(self, host: str, data: Mapping[str, Any]) -> None:
        """Take what set_stats said of the branches."""
        reports = data.get(STATS_KEY)
        if not isinstance(reports, Mapping):
            return
        for branch, report in reports.items():
            if isinstance(branch, str) and branch and isinstance(report, Mapping):
                self._reports.setdefault(branch, BranchReport()).take(host, report)
                self._changed = True

    def on_failure(self, failure: Failure) -> None:
        self._failures.setdefault(failure.host, []).append(failure)

    def finish(self, *, processed: Iterable[str], failed: Iterable[str], rescued: Iterable[str] = ()) -> None:
        ending = Ending(processed=frozenset(processed), failed=frozenset(failed), rescued=frozenset(rescued))
        self._end(ending)

    def _own_id(self, given: str | None) -> RunRecord:
        """Take the launcher's id, unless a run of that id lives or has ended: its row must not swallow this run."""
        row = self._first_row(given)
        if self._recorder is None:
            return row
        try:
            self._take(self._recorder, row.run_id, given=given is not None)
        except RunOwnedError as error:
            row = self._first_row(None)
            self._warn(f"{error} This run is recorded as {row.run_id}.")
            self._take(self._recorder, row.run_id, given=False)
        if self._lock is not None:
            self._environ["LARAPEE_BACKUP_OWNER_LOCK"] = str(self._lock.path)
        return row

    def _take(self, recorder: Recorder, run_id: str, *, given: bool) -> None:
        if given and any(row.evidence is Evidence.OBSERVED for row in recorder.rows(run_id)):
            raise RunOwnedError(f"Failed to record run {run_id}: a run of this id has ended already. Unset the id.")
        try:
            self._lock = recorder.hold(run_id)
        except RunOwnedError:
            raise
        except JournalError as error:
            self._warn(str(error))

    def _given_id(self) -> str | None:
        given = self._environ.get("LARAPEE_BACKUP_RUN_ID")
        if not given:
            return None
        try:
            return str(uuid.UUID(given))
        except ValueError:
            self._warn("Failed to use LARAPEE_BACKUP_RUN_ID: it is no UUID. Unset it; this run gets an id of its own.")
            return None

    def _first_row(self, run_id: str | None) -> RunRecord:
        run_id = run_id or str(uuid.uuid4())
        job = self._environ.get("JOB_ID")
        launcher = self._environ.get("LARAPEE_BACKUP_LAUNCHER") or ("awx" if job else "ansible-playbook")
        wrapped = "LARAPEE_BACKUP_LAUNCHER_PID" in self._environ
        return RunRecord.pending(
            run_id=run_id,
            playbook=self._playbook,
            launcher=launcher,
            # The wrapper names the runner's artifacts after the run.
            launcher_ref=job or (run_id if wrapped else None),
            check_mode=self._check_mode,
        )

    def _write(self, rows: list[RunRecord], *, table: bool = True) -> RecordOutcome:
        if self._recorder is None:
            outcome = RecordOutcome(journal=False, table=False)
        else:
            outcome = self._recorder.record(rows, table=table)
        for error in outcome.errors:
            self._warn(error)
        if table:
            self._table_answers = outcome.table
        if outcome.journal and self._lock is not None:
            self._environ[RECORDER_VARIABLE] = self.run_id
        else:
            self._environ[RECORDER_VARIABLE] = IN_TABLE_ONLY if outcome.table else UNRECORDED
        # A playbook that a task of this one starts inherits the word, and must not take it for its own.
        self._environ[PRESENCE_VARIABLE] = presence(os.getpid())
        return outcome

    def _settle(self, recorder: Recorder) -> None:
        errors: list[str] = []
        try:
            for lost in recorder.reconcile(errors):
                self._warn(f"Run {lost.run_id} of {lost.playbook} is now a failed row: {lost.error}")
        except Exception as error:  # noqa: BLE001 - nothing of earlier runs may stop this one
            self._warn(f"Earlier runs could not be settled: {type(error).__name__}: {one_line(error)}")
        self._flush(recorder, errors)

    def _flush(self, recorder: Recorder, errors: list[str]) -> None:
        try:
            errors += recorder.flush().errors
        except Exception as error:  # noqa: BLE001 - nothing of earlier runs may stop this one
            self._warn(f"Earlier runs could not be flushed: {type(error).__name__}: {one_line(error)}")
        for message in dict.fromkeys(errors):
            self._warn(message)

    def _end(self, ending: Ending) -> None:
        if self._ended:
            return
        self._ended = True
        rows = judge(
            self._pending,
            self._reports,
            failures=causes(self._failures, rescued=ending.rescued),
            ending=ending,
        )
        with self._signals.deferred():
            outcome = self._write(rows)
            if not outcome.journal and not outcome.table:
                self._warn(
                    f"Failed to record the end of run {self.run_id}: neither the journal nor the runs table took it. "
                    "What it did is recorded nowhere: repair both and start it again."
                )
            elif not outcome.table:
                self._warn(
                    f"The end of run {self.run_id} waits in the journal: larapee-backup journal flush writes it."
                )
            if self._recorder is not None and outcome.table and ending.stopped is None:
                self._flush(self._recorder, [])

    def _on_signal(self, number: signal.Signals) -> None:
        self._stopped_by = number
        if number is signal.SIGINT:
            # Core turns it into an exception that a pause may answer; when it ends the run, the exit records it.
            return
        cause = f"Ended by signal {int(number)} ({number.name}){self._during()}{self._reason_of_launcher()}"
        self._end(Ending(stopped=f"{cause}. Start the run again."))
        if self._lock is not None:
            self._lock.release()

    def _reason_of_launcher(self) -> str:
        """Why the launcher sent the signal, where it left a word before."""
        place = self._environ.get("LARAPEE_BACKUP_STOP_REASON")
        try:
            words = one_line(read_regular_file(Path(place)).decode("utf-8", "replace")) if place else ""
        except (OSError, ValueError):
            return ""
        return f": {words}" if words else ""

    def _during(self) -> str:
        return f" during task {self._task!r}" if self._task else ""

    def _on_exit(self) -> None:
        if os.getpid() != self._pid:
            return
        if self._stopped_by is signal.SIGINT:
            cause = f"Aborted by signal 2 (SIGINT){self._during()}. Start the run again."
        elif self._task:
            cause = f"Aborted: ansible-playbook gave up{self._during()}. Its output says why; start the run again."
        else:
            cause = (
                "Aborted before the first task: no host matched, or the playbook has an error. Its output says which."
            )
        self._end(Ending(stopped=cause))
        if self._lock is not None:
            self._lock.release()


def _which(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: details[name] for name in _WHICH if name in details}


__all__ = ("STATS_KEY", "PlaybookRun")

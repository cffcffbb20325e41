# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder: every run leaves a row in ``backup_runs``, whatever dies.

Private to the collection and to larapee_runner, which ships these same files: relative imports only.

    settings = load_settings()
    recorder = Recorder(settings, witness="wrapper")
    with recorder.hold(run_id):                       # the lock says that the owner of the run is alive
        recorder.record([RunRecord.pending(run_id=run_id, playbook=..., launcher="cli")])
        ...
        recorder.conclude(failed_record)              # ends each row of the run that nobody saw the end of
        rows = recorder.rows(run_id)                  # table and journals together, the surest word on each row
"""

from __future__ import annotations

from ._errors import JournalError, RecorderError, RunOwnedError, SettingsError, StoreError
from ._journal import Journal, JournalEntry, owner_is_dead
from ._lock import OwnerLock
from ._playbook_run import PlaybookRun
from ._presence import recorder_of_this_process
from ._record import ARTIFACT_KINDS, BACKUP_KINDS, KINDS, Evidence, RunRecord, dump_json, one_line, parse_time, utc_now
from ._recorder import FlushResult, Recorder, RecordOutcome
from ._settings import Settings, load_settings
from ._store import RunStore, open_store, redacted_url
from ._store_sql import Glance
from ._verdict import Failure

__all__ = (
    "ARTIFACT_KINDS",
    "BACKUP_KINDS",
    "Evidence",
    "Failure",
    "FlushResult",
    "Glance",
    "Journal",
    "JournalEntry",
    "JournalError",
    "KINDS",
    "OwnerLock",
    "PlaybookRun",
    "RecordOutcome",
    "Recorder",
    "RecorderError",
    "RunOwnedError",
    "RunRecord",
    "RunStore",
    "Settings",
    "SettingsError",
    "StoreError",
    "dump_json",
    "load_settings",
    "one_line",
    "open_store",
    "owner_is_dead",
    "parse_time",
    "recorder_of_this_process",
    "redacted_url",
    "utc_now",
)

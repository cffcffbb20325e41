# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder, wherever this installation has it: taken into the wheel, or in the collection beside the checkout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.plugin_utils import _recorder as _found
else:
    try:
        from larapee_runner import _recorder as _found
    except ImportError:
        _checkout = Path(__file__).resolve().parents[3] / "collection"
        if _checkout.is_dir() and str(_checkout) not in sys.path:
            sys.path.append(str(_checkout))
        from ansible_collections.larapee.backup.plugins.plugin_utils import _recorder as _found

Evidence = _found.Evidence
FlushResult = _found.FlushResult
Journal = _found.Journal
JournalEntry = _found.JournalEntry
owner_is_dead = _found.owner_is_dead
Recorder = _found.Recorder
RecorderError = _found.RecorderError
RecordOutcome = _found.RecordOutcome
RunOwnedError = _found.RunOwnedError
RunRecord = _found.RunRecord
RunStore = _found.RunStore
Settings = _found.Settings
SettingsError = _found.SettingsError
StoreError = _found.StoreError
KINDS = _found.KINDS
load_settings = _found.load_settings
open_store = _found.open_store
redacted_url = _found.redacted_url
utc_now = _found.utc_now

__all__ = (
    "KINDS",
    "Evidence",
    "FlushResult",
    "Journal",
    "JournalEntry",
    "RecordOutcome",
    "Recorder",
    "RecorderError",
    "RunOwnedError",
    "RunRecord",
    "RunStore",
    "Settings",
    "SettingsError",
    "StoreError",
    "load_settings",
    "open_store",
    "owner_is_dead",
    "redacted_url",
    "utc_now",
)

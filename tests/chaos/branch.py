# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups of a branch's host in a process of their own: a log run every so many seconds, until it is killed.

    python -m tests.chaos.branch SETTINGS.json

Prints a line of JSON as each run begins and as it ends; a run that fails is told, and the next one comes in its time.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._seal import SealRequest, seal_binlogs


def tell(**words: Any) -> None:
    sys.stdout.write(json.dumps({"at": time.monotonic(), **words}) + "\n")
    sys.stdout.flush()


def log_run(settings: dict[str, Any]) -> dict[str, Any]:
    request = SealRequest(
        run_id=str(uuid.uuid4()), **{**settings["request"], "recipients": tuple(settings["request"]["recipients"])}
    )
    try:
        outcome = seal_binlogs(request)
    except BackupError as exc:
        return {"failed": str(exc)}
    if outcome.needs_full is not None:
        return {"failed": f"a full is needed: {outcome.needs_full}"}
    return {"artifact": outcome.manifest.artifact if outcome.manifest else None}


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    interval = float(settings["interval_s"])
    beginning = time.monotonic()
    tell(event="timer starts")
    tick = 0
    while True:
        # As a timer does: what was missed while a run took its time is not made up for.
        tick = max(tick + 1, int((time.monotonic() - beginning) / interval))
        time.sleep(max(0.0, beginning + tick * interval - time.monotonic()))
        tell(run=tick, event="begins")
        tell(run=tick, event="ends", **log_run(settings))


if __name__ == "__main__":
    main()

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked manifests of several runs, for what is decided from manifests alone. No files."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files, manifest_document

BEGIN = dt.datetime(2026, 11, 1, 0, 0, tzinfo=dt.timezone.utc)
NAMES = {
    "db_full": "db-{}.sql.gz",
    "db_increment": "db-{}.binlog.zst",
    "files_full": "public-uploads-{}.tar.zst",
    "files_increment": "public-uploads-{}.incr.tar.zst",
    "config": "config-{}.tar.zst",
}


def artifact(kind: str, *, hours: float, sequence: int = 1, **changes: Any) -> Manifest:
    """One artifact, made so many hours after the beginning."""
    time = BEGIN + dt.timedelta(hours=hours)
    name = NAMES[kind].format(time.strftime("%Y%m%d-%H%M"))
    return _manifest.check_manifest(manifest_document(name, sequence=sequence, **changes))


def full_run(number: int, *, hours: float, **changes: Any) -> list[Manifest]:
    """What a full run makes, all of it with the run's number."""
    return [
        artifact(kind, hours=hours, sequence=number, set=number, **changes)
        for kind in ("db_full", "files_full", "config")
    ]


def increment(number: int, *, hours: float, full: Manifest, previous: Manifest, **changes: Any) -> Manifest:
    chain = {"base": full.artifact, "previous": previous.artifact}
    return artifact("files_increment", hours=hours, sequence=number, set=number, **{**chain, **changes})


def stands(file: int, gtid: int, *, at: int = 100) -> dict[str, Any]:
    """What a full has that was taken at this place of the binary log."""
    place = {"file": f"mysql-bin.{file:06d}", "position": at, "gtid": f"1-1-{gtid}", "time": "2026-11-01T00:00:00Z"}
    return {"start": place, "end": place}


def sealed(number: int, *, hours: float, file: int, previous: str, **changes: Any) -> Manifest:
    """The increment that the run *number* made of one binary log file, whose number is also that of its last
    transaction.
    """
    fields = {**log_files(file, file, before=file - 1, after=file), "base": previous, "previous": previous}
    return artifact("db_increment", hours=hours, **{**fields, "sequence": number, "set": number, **changes})


def sealed_run(start: int, count: int, *, hours: float, step: float, file: int, after: Manifest) -> list[Manifest]:
    """As many increments in a row, by runs from *start*; *after* comes before them."""
    made = [after]
    for index in range(count):
        at = hours + index * step
        made.append(sealed(start + index, hours=at, file=file + index, previous=made[-1].artifact))
    return made[1:]

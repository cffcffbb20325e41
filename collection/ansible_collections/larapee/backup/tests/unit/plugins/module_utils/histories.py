# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked manifests of several runs, for what is decided from manifests alone. No files."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import manifest_document

BEGIN = dt.datetime(2026, 11, 1, 0, 0, tzinfo=dt.timezone.utc)
NAMES = {
    "db_full": "db-{}.sql.gz",
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

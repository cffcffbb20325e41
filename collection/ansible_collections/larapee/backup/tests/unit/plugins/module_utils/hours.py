# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests of a database's chain that fit together: a full and the increments after it. No files."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest, check_manifest
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files, manifest_document

BEGIN = dt.datetime(2026, 11, 22, tzinfo=dt.timezone.utc)


def name_at(minute: int, ending: str) -> str:
    return f"db-{BEGIN + dt.timedelta(minutes=minute):%Y%m%d-%H%M}{ending}"


def full(minute: int, *, file: int, gtid: int, sequence: int = 1, position: int = 400, **changes: Any) -> Manifest:
    stands = {"file": f"mysql-bin.{file:06d}", "position": position, "gtid": f"1-1-{gtid}", "time": "-"}
    facts = {"start": stands, "end": stands, **changes}
    return check_manifest(manifest_document(name_at(minute, ".sql.gz"), sequence=sequence, **facts))


def sealed(
    minute: int, first: int, last: int, *, gtids: tuple[int, int], base: Manifest, previous: Manifest, **changes: Any
) -> Manifest:
    """The files *first* to *last*; numbers rise with the minutes."""
    facts = {
        **log_files(first, last, before=gtids[0], after=gtids[1]),
        "base": base.artifact,
        "previous": previous.artifact,
        "companion": None,
        "fingerprint": None,
        **changes,
    }
    return check_manifest(manifest_document(name_at(minute, ".binlog.zst"), sequence=minute, **facts))


@dataclasses.dataclass(frozen=True)
class Hour:
    """A full in file 7, and three increments after it: files 7, 8 to 9, and 10."""

    full: Manifest
    first: Manifest
    second: Manifest
    third: Manifest

    def all(self) -> list[Manifest]:
        return [self.full, self.first, self.second, self.third]


def hour() -> Hour:
    stands = full(0, file=7, gtid=15)
    first = sealed(5, 7, 7, gtids=(10, 20), base=stands, previous=stands)
    second = sealed(10, 8, 9, gtids=(20, 40), base=stands, previous=first)
    return Hour(stands, first, second, sealed(15, 10, 10, gtids=(40, 50), base=stands, previous=second))


def changed(manifest: Manifest, **changes: Any) -> Manifest:
    return check_manifest({**manifest.document, **changes})

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._moment import LocalTime
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import utc


@pytest.fixture
def hosts_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


CASES = [
    ("Europe/Berlin", "20261122-1432", "2026-11-22 13:32:00"),
    ("Europe/Berlin", "20260722-1432", "2026-07-22 12:32:00"),
    ("Europe/Berlin", "20261122-0030", "2026-11-21 23:30:00"),
    # The clock shows 02:30 twice on that night: the first one counts.
    ("Europe/Berlin", "20261025-0230", "2026-10-25 00:30:00"),
    ("Europe/Berlin", "20261025-0300", "2026-10-25 02:00:00"),
    # And never on that one.
    ("Europe/Berlin", "20260329-0230", "2026-03-29 01:30:00"),
    ("Asia/Jakarta", "20261122-0500", "2026-11-21 22:00:00"),
    ("America/New_York", "20261122-2315", "2026-11-23 04:15:00"),
    ("UTC", "20261122-1432", "2026-11-22 14:32:00"),
]


@pytest.mark.parametrize(("zone", "shown", "moment"), CASES)
def test_a_name_tells_the_moment_in_the_hosts_own_time(zone: str, shown: str, moment: str) -> None:
    found = LocalTime(zone).begun(f"db-{shown}.sql.gz")
    assert found == utc(moment)
    assert found.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(("zone", "shown", "moment"), [case for case in CASES if case[0] == "Europe/Berlin"])
def test_without_a_zone_it_is_the_hosts(hosts_zone: pytest.MonkeyPatch, zone: str, shown: str, moment: str) -> None:
    assert LocalTime("").begun(f"public-uploads-{shown}.tar.zst") == utc(moment)
    assert LocalTime("UTC").begun("db-20261122-1432.sql.gz") == utc("2026-11-22 14:32:00")


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "/etc/passwd", "CEST+1 or so", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(BackupError, match="Failed to use the time zone") as caught:
        LocalTime(zone)
    assert caught.value.reason == "bad_time_zone"


def test_only_artifacts_have_a_moment() -> None:
    with pytest.raises(ValueError, match=r"notes\.txt"):
        LocalTime("UTC").begun("notes.txt")

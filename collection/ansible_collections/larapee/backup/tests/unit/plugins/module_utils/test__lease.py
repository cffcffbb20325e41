# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _lease
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program, descriptors

FULL = "db-20261122-1432.sql.gz"
MANIFEST = ".manifest.json"

READ = """
from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _lease
with _lease.hold(_catalog.read_catalogue(sys.argv[1]).entries):
    say("held")
    wait()
say("ended")
"""
REMOVE = """
from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _lease
(entry,) = _catalog.read_catalogue(sys.argv[1]).entries
with _lease.claim(entry) as claimed:
    say("claimed" if claimed else "refused")
    wait()
"""


def entry(place: Place) -> _catalog.Entry:
    (found,) = _catalog.read_catalogue(str(place.directory)).entries
    return found


def claimed(found: _catalog.Entry) -> bool:
    with _lease.claim(found) as right:
        return right


def refused(*entries: _catalog.Entry) -> str:
    with pytest.raises(BackupError) as caught, _lease.hold(entries):
        pass
    assert caught.value.reason == "artifact_gone"
    return str(caught.value)


def test_readers_share_and_retention_waits_for_the_last_of_them(place: Place) -> None:
    place.put(FULL)
    found = entry(place)
    with Program(READ, str(place.directory)) as one, Program(READ, str(place.directory)) as other:
        assert (one.hear(), other.hear()) == ("held", "held")
        assert not claimed(found)
        one.go_on()
        assert one.hear() == "ended"
        assert not claimed(found)
        other.kill()
        assert claimed(found), "a lease dies with its process"


def test_nobody_reads_what_is_being_removed(place: Place) -> None:
    place.put(FULL)
    with Program(REMOVE, str(place.directory)) as retention:
        assert retention.hear() == "claimed"
        assert f"Failed to hold {FULL}" in refused(entry(place))
        assert not claimed(entry(place))
    with _lease.hold([entry(place)]):
        pass


def test_what_is_gone_is_said_and_nothing_stays_held(place: Place) -> None:
    first, second = place.put_days(1, 2)
    entries = _catalog.read_catalogue(str(place.directory)).entries
    Path(f"{second}{MANIFEST}").unlink()
    before = descriptors()
    assert second.name in refused(*entries)
    assert descriptors() == before
    assert claimed(entries[0])
    assert not claimed(entries[1])
    assert first.exists()


def test_a_manifest_that_is_removed_between_opening_and_locking_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.put(FULL)
    found = entry(place)
    manifest = Path(f"{path}{MANIFEST}")
    flock = _lease.fcntl.flock

    def removed_first(descriptor: int, mode: int) -> None:
        manifest.unlink(missing_ok=True)
        flock(descriptor, mode)

    monkeypatch.setattr(_lease.fcntl, "flock", removed_first)
    refused(found)


def test_a_manifest_that_is_replaced_between_opening_and_locking_is_not_held(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.put(FULL)
    found = entry(place)
    flock = _lease.fcntl.flock

    def replaced_first(descriptor: int, mode: int) -> None:
        shutil.copy(f"{path}{MANIFEST}", f"{path}.copy")
        os.replace(f"{path}.copy", f"{path}{MANIFEST}")
        flock(descriptor, mode)

    monkeypatch.setattr(_lease.fcntl, "flock", replaced_first)
    refused(found)
    assert not claimed(found)

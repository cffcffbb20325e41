# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import (
    _adopt,
    _catalog,
    _choose,
    _clock,
    _lock,
    _publish,
    _verify,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils import cron_files as cron
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, RUN_ID, Place

DUMP, UPLOADS = "db-20261121-2315.sql.gz", "public-uploads-20261121-2315.tar.zst"
CONFIG, LATER_DUMP = "config-20261121-2330.tar.zst", "db-20261122-0900.sql.gz"
AT = "2026-11-22T14:32:10Z"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "now", lambda: cron.NOW)


def request(place: Place, **changes: Any) -> _adopt.AdoptRequest:
    return dataclasses.replace(
        _adopt.AdoptRequest(
            branch=BRANCH,
            local_path=str(place.directory),
            state_path=str(place.directory.parent / "state"),
            run_id=RUN_ID,
            signing_key=str(place.keys / BRANCH),
            allowed_signers=place.allowed_signers,
            database="larapos",
            time_zone="Europe/Berlin",
        ),
        **changes,
    )


def adopt(place: Place, *, check_mode: bool = False, **changes: Any) -> _adopt.AdoptOutcome:
    return _adopt.adopt_place(request(place, **changes), check_mode=check_mode)


def put_all(place: Place) -> dict[str, bytes]:
    """A place as the plan's cron lines leave it; return its files."""
    cron.put(place.directory / DUMP, cron.gzip(cron.DUMP))
    cron.put(place.directory / LATER_DUMP, cron.gzip(cron.DUMP))
    cron.put(place.directory / UPLOADS, cron.zstd(cron.archive()))
    cron.put(place.directory / CONFIG, cron.zstd(cron.archive()))
    return contents(place)


def contents(place: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.directory.iterdir()}


def verify(place: Place) -> _verify.VerifyOutcome:
    return _verify.verify_place(
        _verify.VerifyRequest(
            branch=BRANCH,
            directory=str(place.directory),
            allowed_signers=place.allowed_signers,
            state_path=str(place.directory.parent / "state"),
            run_id=RUN_ID,
        )
    )


def refused(place: Place, **changes: Any) -> BackupError:
    with pytest.raises(BackupError) as caught:
        adopt(place, **changes)
    return caught.value


def test_what_cron_left_is_in_the_catalogue_intact_opened_and_unproven(place: Place) -> None:
    before = put_all(place)
    outcome = adopt(place)
    assert outcome.failure is None
    assert {each.artifact for each in outcome.adopted} == set(before)
    verified = verify(place)
    assert verified.failures == []
    assert {check.level: check.status for check in verified.checks if check.artifact == DUMP} == {
        "intact": _verify.OK,
        "opened": _verify.OK,
        "proven": _verify.NOT_HERE,
    }
    assert verified.recovery_point == "2026-11-21T22:15:00Z"
    assert verified.unmanaged == ()
    command = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    assert subprocess.run(command, cwd=place.directory, capture_output=True, check=False).returncode == 0


def test_no_byte_of_a_file_and_nothing_about_it_changes(place: Place) -> None:
    before = put_all(place)
    statuses = {name: os.stat(place.directory / name) for name in before}
    adopt(place)
    after = contents(place)
    assert {name: after[name] for name in before} == before
    for name, status in statuses.items():
        now = os.stat(place.directory / name)
        assert (now.st_ino, now.st_mode, now.st_mtime_ns, now.st_nlink, now.st_uid) == (
            status.st_ino,
            status.st_mode,
            status.st_mtime_ns,
            status.st_nlink,
            status.st_uid,
        )
    suffixes = {".manifest.json", ".manifest.json.sig"}
    assert set(after) == {"SHA256SUMS", *before, *(name + suffix for name in before for suffix in suffixes)}


def test_the_manifest_says_that_it_was_adopted_and_when_it_was_begun(place: Place) -> None:
    put_all(place)
    by_name = {each.artifact: each for each in adopt(place).adopted}
    dump = by_name[DUMP]
    assert (dump.sequence, dump.set_number, dump.encrypted, dump.run_id) == (0, 0, False, RUN_ID)
    assert dump.document["adopted"] == {"moment": "2026-11-21T22:15:00Z", "at": AT}
    assert dump.document["created_at"] == AT
    assert dump.document["end"] == {"time": "2026-11-21T22:15:00Z"}
    assert (dump.document["ddl_guard"], dump.document["server_id"]) == ("none", 0)
    assert (dump.document["schema_character_set"], dump.document["schema_collation"]) == (
        "utf8mb4",
        "utf8mb4_unicode_ci",
    )
    assert {each.epoch for each in by_name.values()} == {dump.epoch}
    assert by_name[UPLOADS].document["entries"] == 4
    assert by_name[CONFIG].kind == "config"


def test_a_second_run_adopts_nothing_and_is_green(place: Place) -> None:
    put_all(place)
    adopt(place)
    before = contents(place)
    outcome = adopt(place)
    assert (outcome.adopted, outcome.refused, outcome.later, outcome.warnings) == ([], {}, {}, [])
    assert outcome.failure is None
    assert contents(place) == before


def test_check_mode_tells_and_writes_nothing(place: Place) -> None:
    before = put_all(place)
    cron.put(place.directory / "db-20261120-0000.sql.gz", b"broken")
    with _lock.hold(str(place.directory.parent / "state"), f"adopt-{BRANCH}", run_id="other"):
        outcome = adopt(place, check_mode=True)
    assert {each.artifact for each in outcome.adopted} == set(before)
    assert set(outcome.refused) == {"db-20261120-0000.sql.gz"}
    assert set(contents(place)) == {*before, "db-20261120-0000.sql.gz"}
    assert outcome.report(check_mode=True)["artifacts"] == []


def test_a_broken_file_is_refused_by_name_and_the_rest_is_adopted(place: Place) -> None:
    put_all(place)
    broken = cron.put(place.directory / "db-20261120-2315.sql.gz", cron.gzip(cron.HEADER + cron.BODY))
    cron.put(place.directory / "public-uploads-20261120-2315.tar.zst", cron.zstd(cron.archive())[:-9])
    for _number in range(2):
        outcome = adopt(place)
        assert set(outcome.refused) == {broken.name, "public-uploads-20261120-2315.tar.zst"}
        failure = outcome.failure
        assert failure is not None
        assert failure.reason == "not_adopted"
        assert f"Failed to adopt 2 of the files in {place.directory}" in str(failure)
        assert f"{broken.name}: it ends without '-- Dump completed', so it is cut short" in str(failure)
    assert {each.name for each in _catalog.read_catalogue(str(place.directory)).entries} == {
        DUMP,
        LATER_DUMP,
        UPLOADS,
        CONFIG,
    }
    assert outcome.report(check_mode=False)["details"]["refused"] == outcome.refused


def test_many_refusals_are_one_line(place: Place) -> None:
    for day in range(10, 20):
        cron.put(place.directory / f"db-202611{day}-2315.sql.gz", b"")
    failure = adopt(place).failure
    assert failure is not None
    assert "db-20261112-2315" in str(failure)
    assert "db-20261113-2315" not in str(failure)
    assert "and 7 more" in str(failure)


def test_what_may_still_be_written_is_left_for_the_next_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cron.put(place.directory / DUMP, cron.gzip(cron.DUMP)[:50], age=dt.timedelta(minutes=2))
    outcome = adopt(place)
    assert (outcome.adopted, outcome.refused) == ([], {})
    assert outcome.failure is None
    assert outcome.warnings == [f"Left for the next run: {DUMP}: it was written to in the last 10 minutes."]
    path.write_bytes(cron.gzip(cron.DUMP))
    cron.touch(path, age=dt.timedelta(minutes=1))
    monkeypatch.setattr(_clock, "now", lambda: cron.NOW + dt.timedelta(minutes=10))
    assert [each.artifact for each in adopt(place).adopted] == [DUMP]


def test_a_moment_after_the_last_change_is_not_believed(place: Place) -> None:
    cron.put(place.directory / "db-20261122-1300.sql.gz", cron.gzip(cron.DUMP))
    (manifest,) = adopt(place, check_mode=True).adopted
    assert manifest.recovery_point == dt.datetime(2026, 11, 22, 12, tzinfo=dt.timezone.utc)
    outcome = adopt(place, time_zone="America/New_York")
    assert outcome.adopted[0].document["adopted"]["moment"] == "2026-11-22T13:32:10Z"
    (warning,) = outcome.warnings
    assert "in America/New_York its name says 2026-11-22T18:00:00Z" in warning
    assert "2026-11-22T13:32:10Z counts" in warning


def test_a_clock_of_another_year_gives_no_moment_to_come(place: Place) -> None:
    cron.put(place.directory / "db-20281122-1300.sql.gz", cron.gzip(cron.DUMP), age=dt.timedelta(days=-730))
    assert adopt(place).adopted[0].recovery_point == cron.NOW


def test_adopted_fulls_come_before_all_own_ones_and_are_reached_by_their_moment(place: Place) -> None:
    put_all(place)
    place.put("db-20261101-0300.sql.gz", sequence=1, created_at="2026-11-01T03:00:00Z")
    adopt(place)
    catalogue = _catalog.read_catalogue(str(place.directory))

    def choose(to: str) -> str:
        choice = _choose.choose(catalogue, branch=BRANCH, to=to, allowed_signers=place.allowed_signers)
        return choice.entry.name

    assert choose("latest") == "db-20261101-0300.sql.gz"
    assert choose("2026-11-21T22:15:00Z") == DUMP
    assert choose("2026-11-22T08:00:00Z") == LATER_DUMP
    with pytest.raises(BackupError, match=r"The nearest that can be had is 2026-11-21T22:15:00Z\."):
        choose("2026-11-22T00:00:00Z")
    with pytest.raises(BackupError, match="nothing here reaches that point"):
        choose(AT)


def test_a_dump_of_another_database_is_adopted_only_under_its_name(place: Place) -> None:
    cron.put(place.directory / DUMP, cron.gzip(cron.DUMP))
    assert "it is of the database larapos, not of shop" in adopt(place, database="shop").refused[DUMP]
    assert adopt(place).refused == {}


def test_another_adoption_or_a_restore_at_work_holds_it_off(place: Place) -> None:
    put_all(place)
    state = str(place.directory.parent / "state")
    for name in (f"adopt-{BRANCH}", f"restore-{BRANCH}"):
        with _lock.hold(state, name, run_id="other"):
            assert refused(place).reason == "lock_held"
    with _lock.hold(state, f"full-{BRANCH}", run_id="other"):
        assert len(adopt(place).adopted) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"branch": "../x"}, "bad_branch"),
        ({"branch": "branch-002"}, "signature_not_accepted"),
        ({"time_zone": "Europe/Nowhere"}, "bad_time_zone"),
        ({"schema_collation": "x; DROP"}, "bad_collation"),
        ({"schema_character_set": ""}, "bad_collation"),
        ({"local_path": "/nonexistent"}, "no_directory"),
    ],
)
def test_what_could_not_be_restored_later_is_not_begun(place: Place, changes: dict[str, str], reason: str) -> None:
    before = put_all(place)
    assert refused(place, **changes).reason == reason
    assert contents(place) == before


def test_foreign_files_beside_it_are_never_overwritten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    cron.put(place.directory / DUMP, cron.gzip(cron.DUMP))
    sign = _adopt._making.sign
    foreign = Path(f"{place.directory / DUMP}.manifest.json")

    def meanwhile(*arguments: Any, **options: Any) -> bytes:
        if arguments[1]:
            foreign.write_bytes(b"foreign")
        return sign(*arguments, **options)

    monkeypatch.setattr(_adopt._making, "sign", meanwhile)
    assert refused(place).reason == "publish_failed"
    assert foreign.read_bytes() == b"foreign"
    assert set(contents(place)) == {DUMP, foreign.name}


def test_two_at_work_on_one_file_never_mix(place: Place) -> None:
    cron.put(place.directory / DUMP, cron.gzip(cron.DUMP))
    with _publish.reserve_beside(str(place.directory), DUMP, run_id="other"):
        assert _catalog.read_catalogue(str(place.directory)).unmanaged == ()
        with pytest.raises(BackupError, match="another process works on it"):
            _publish.reserve_beside(str(place.directory), DUMP, run_id="r")
        assert adopt(place).adopted == []
    assert len(adopt(place).adopted) == 1


def test_what_a_crashed_adoption_left_is_adopted_by_the_next(place: Place) -> None:
    cron.put(place.directory / DUMP, cron.gzip(cron.DUMP))
    crashed = _publish.reserve_beside(str(place.directory), DUMP, run_id="crashed")
    os.close(crashed._descriptor)
    assert [each.artifact for each in adopt(place).adopted] == [DUMP]
    assert verify(place).failures == []

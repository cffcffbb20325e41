# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _lock, _sequence, _verify
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._verify import FAILED, NOT_HERE, NOT_RUN, OK
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import (
    BRANCH,
    RUN_ID,
    Place,
    log_files,
)

FULL = "db-20261122-1432.sql.gz"


def verify(place: Place, *, check_mode: bool = False, **changes: Any) -> _verify.VerifyOutcome:
    options = {
        "branch": BRANCH,
        "directory": str(place.directory),
        "allowed_signers": place.allowed_signers,
        "state_path": str(state(place)),
        "run_id": RUN_ID,
        **changes,
    }
    return _verify.verify_place(_verify.VerifyRequest(**options), check_mode=check_mode)


def state(place: Place) -> Path:
    return place.directory.parent / "state"


def given(place: Place, number: int, *, kind: str = "db_full") -> None:
    _sequence.remember(str(state(place)), branch=BRANCH, kind=kind, number=number)


def statuses(outcome: _verify.VerifyOutcome, name: str = FULL) -> dict[str, str]:
    return {check.level: check.status for check in outcome.checks if check.artifact == name}


def test_a_full_in_clear_is_intact_and_opens(place: Place) -> None:
    place.put(FULL)
    outcome = verify(place)
    assert statuses(outcome) == {"intact": OK, "opened": OK, "proven": NOT_HERE}
    assert outcome.failures == []
    assert outcome.recovery_point == "2026-11-22T14:32:00Z"
    assert outcome.counts()["proven"] == {OK: 0, FAILED: 0, NOT_RUN: 0, NOT_HERE: 1}


def test_an_encrypted_full_without_identity_is_not_opened_here(place: Place) -> None:
    place.put(f"{FULL}.age")
    outcome = verify(place)
    assert statuses(outcome, f"{FULL}.age") == {"intact": OK, "opened": NOT_HERE, "proven": NOT_HERE}
    assert outcome.failures == []


def test_nothing_to_verify_is_a_failure(place: Place) -> None:
    (failure,) = verify(place).failures
    assert "there is nothing to verify" in failure.reason
    (place.directory / "db-20260101-0000.sql.gz").write_bytes(b"an older cron line's dump")
    outcome = verify(place)
    assert outcome.failures == [failure]
    assert outcome.unmanaged == ("db-20260101-0000.sql.gz",)


def test_what_is_not_intact_is_not_opened_and_gives_no_recovery_point(place: Place) -> None:
    _older, newer = place.put_days(1, 2)
    newer.write_bytes(b"changed")
    outcome = verify(place)
    assert statuses(outcome, newer.name) == {"intact": FAILED, "opened": NOT_RUN, "proven": NOT_HERE}
    assert outcome.recovery_point == "2026-11-01T03:00:00Z"
    assert [entry.manifest.sequence for entry in outcome.verified] == [1]


def test_a_check_that_could_not_run_is_not_run_and_not_green(place: Place) -> None:
    place.put(FULL)
    outcome = verify(place, allowed_signers="/nonexistent")
    assert statuses(outcome) == {"intact": NOT_RUN, "opened": NOT_RUN, "proven": NOT_HERE}
    assert len(outcome.failures) == 2
    assert outcome.recovery_point is None


@pytest.mark.parametrize(
    ("identity", "status"),
    [("not an identity", NOT_RUN), ("AGE-SECRET-KEY-1" + "Q" * 58, FAILED)],
)
def test_a_wrong_identity_never_opens(place: Place, identity: str, status: str) -> None:
    place.put(f"{FULL}.age")
    assert statuses(verify(place, identity=identity), f"{FULL}.age")["opened"] == status


def test_plain_bytes_that_are_not_those_of_the_manifest_are_found_on_opening(place: Place) -> None:
    place.put(FULL, plain_sha256="0" * 64)
    outcome = verify(place)
    assert statuses(outcome) == {"intact": OK, "opened": FAILED, "proven": NOT_HERE}
    assert "what came out is not what was backed up" in outcome.failures[0].reason


@pytest.mark.parametrize(
    ("present", "last_given", "reasons"),
    [
        ([1, 2, 3], 3, {}),
        ([7, 8], 8, {}),
        ([], 0, {"local": "nothing to verify"}),
        ([1, 3], 3, {"db_full 2": "number 2 of kind db_full is missing: its manifest was removed"}),
        ([1, 2], 3, {"db_full 3": "number 3 of kind db_full is missing: its manifest was removed"}),
        ([1, 2], 6, {"db_full 3": "numbers 3 to 6 of kind db_full are missing: their manifests were removed"}),
        ([1, 3, 6], 0, {"db_full 2": "number 2 of", "db_full 4": "numbers 4 to 5 of"}),
        ([], 4, {"db_full 4": "number 4 of kind db_full is missing", "local": "nothing to verify"}),
        ([3, 4], 2, {}),
    ],
)
def test_a_missing_number_is_found_wherever_it_was(
    place: Place, present: list[int], last_given: int, reasons: dict[str, str]
) -> None:
    place.put_days(*present)
    if last_given:
        given(place, last_given)
    found = {os.path.basename(check.artifact): check.reason for check in verify(place).failures}
    assert found.keys() == reasons.keys()
    assert all(part in found[name] for name, part in reasons.items())


def test_a_number_that_is_there_twice_is_found(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", sequence=1)
    place.put("db-20261122-1500.sql.gz", sequence=2)
    place.put("db-20261122-1600.sql.gz", sequence=2)
    place.put("db-20261122-1700.sql.gz", sequence=4)
    found = {check.artifact: check.reason for check in verify(place).failures}
    assert found == {
        "db_full 2": "number 2 of kind db_full is there more than once",
        "db_full 3": "number 3 of kind db_full is missing: its manifest was removed",
    }


def test_adopted_fulls_have_no_number_and_reach_to_their_own_moment(place: Place) -> None:
    for day in (20, 21):
        moment = {"moment": f"2026-11-{day}T14:30:00Z", "at": "2026-11-22T12:00:00Z"}
        place.put(f"db-202611{day}-1530.sql.gz", sequence=0, adopted=moment)
    outcome = verify(place)
    assert outcome.failures == []
    assert outcome.recovery_point == "2026-11-21T14:30:00Z"
    place.put(FULL, sequence=1)
    assert verify(place).recovery_point == "2026-11-22T14:32:00Z"


def test_an_absurd_number_is_one_gap(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", sequence=1)
    place.put("db-20261122-1500.sql.gz", sequence=10**15)
    (failure,) = verify(place).failures
    assert failure.reason.startswith("numbers 2 to 999999999999999 of kind db_full")


def test_each_kind_is_numbered_by_itself(place: Place) -> None:
    place.put(FULL, sequence=1)
    given(place, 1)
    given(place, 2, kind="config")
    assert [check.artifact for check in verify(place).failures] == ["config 2"]


def test_another_branchs_numbers_fill_no_gap(place: Place) -> None:
    place.put("db-20261122-1432.sql.gz", sequence=1)
    place.put("db-20261122-1500.sql.gz", sequence=2, branch="branch-002", signer="branch-002")
    place.put("db-20261122-1600.sql.gz", sequence=3)
    assert "db_full 2" in [check.artifact for check in verify(place).failures]


def test_results_are_kept_beside_the_artifact(place: Place) -> None:
    place.put(FULL)
    verify(place)
    document = json.loads((place.directory / f"{FULL}.verified.json").read_text())
    assert document["artifact"] == FULL
    assert {level: kept["status"] for level, kept in document["levels"].items()} == {"intact": OK, "opened": OK}
    assert document["levels"]["intact"]["run_id"] == RUN_ID


def test_a_result_of_another_place_stays_while_the_artifact_is_the_same(place: Place) -> None:
    path = place.put(f"{FULL}.age")
    verify(place)
    results = place.directory / f"{FULL}.age.verified.json"
    document = json.loads(results.read_text())
    document["levels"]["opened"] = {"status": OK, "at": "2026-11-22T15:00:00Z"}
    results.write_text(json.dumps(document))
    verify(place)
    assert json.loads(results.read_text())["levels"]["opened"]["at"] == "2026-11-22T15:00:00Z"
    results.write_text(json.dumps({**document, "sha256": "0" * 64}))
    verify(place)
    assert set(json.loads(results.read_text())["levels"]) == {"intact"}
    assert statuses(verify(place), path.name)["opened"] == NOT_HERE


def test_a_proof_that_nobody_signed_is_not_believed(place: Place) -> None:
    place.put(FULL)
    verify(place)
    results = place.directory / f"{FULL}.verified.json"
    document = json.loads(results.read_text())
    document["levels"]["proven"] = {"status": OK, "at": "2026-11-22T16:00:00Z"}
    results.write_text(json.dumps(document))
    assert statuses(verify(place))["proven"] == NOT_HERE
    assert set(json.loads(results.read_text())["levels"]) == {"intact", "opened"}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"db_full": "4"}', b'{"config": -1}', pytest.param(b"[" * 200_000, id="deep")]
)
def test_a_damaged_memory_of_numbers_is_a_check_that_did_not_run(place: Place, content: bytes) -> None:
    place.put(FULL)
    given(place, 1)
    (state(place) / "sequences" / f"{BRANCH}.json").write_bytes(content)
    (failure,) = verify(place).failures
    assert (failure.artifact, failure.level, failure.status) == ("sequence", "intact", NOT_RUN)
    assert "the last number given" in failure.reason


def test_a_pipe_in_place_of_a_result_is_replaced_and_not_waited_for(place: Place) -> None:
    place.put(FULL)
    os.mkfifo(place.directory / f"{FULL}.verified.json")
    assert verify(place).failures == []
    assert (place.directory / f"{FULL}.verified.json").is_file()


@pytest.mark.parametrize("content", [b"{", b'{"levels": []}', b'{"levels": {"proven": "yes"}, "sha256": "SHA"}'])
def test_a_damaged_result_proves_nothing(place: Place, content: bytes) -> None:
    place.put(FULL)
    verify(place)
    results = place.directory / f"{FULL}.verified.json"
    sha256 = json.loads(results.read_text())["sha256"]
    results.write_bytes(content.replace(b"SHA", sha256.encode()))
    assert statuses(verify(place)) == {"intact": OK, "opened": OK, "proven": NOT_HERE}


def test_check_mode_writes_nothing_and_takes_no_lock(place: Place) -> None:
    place.put(FULL)
    before = sorted(path.name for path in place.directory.iterdir())
    with _lock.hold(str(state(place)), f"verify-{BRANCH}", run_id="other"):
        assert verify(place, check_mode=True).failures == []
        with pytest.raises(BackupError, match="Failed to take the lock"):
            verify(place)
    assert sorted(path.name for path in place.directory.iterdir()) == before


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_signature_that_is_no_file_is_a_missing_one(place: Place, make: Any) -> None:
    path = Path(f"{place.put(FULL)}.manifest.json.sig")
    path.unlink()
    make(path)
    assert verify(place).failures[0].reason == "its signature is missing"


def full_of(
    place: Place, name: str, file: int, *, sequence: int = 1, at: int = 100, ending: str = ".sql.gz.age"
) -> str:
    """A full that stands in the binary log file *file*; of its transactions it has all before that file."""
    where = {"file": f"mysql-bin.{file:06d}", "position": at, "gtid": f"1-1-{file - 1}", "time": "2026-11-22T00:00:00Z"}
    place.put(name + ending, sequence=sequence, start=where, end=where)
    return name + ending


def chain_of(place: Place, *files: int, full: str, minute: int = 0) -> list[str]:
    """An increment of one binary log file every five minutes, with the file's number as its own."""
    made: list[str] = []
    for file in files:
        name = f"db-20261122-{minute // 60:02d}{minute % 60:02d}.binlog.zst.age"
        before = {"base": full, "previous": made[-1] if made else full}
        place.put(name, sequence=file, **{**log_files(file, file, before=file - 1, after=file), **before})
        made.append(name)
        minute += 5
    return made


def gone(place: Place, name: str) -> None:
    for path in place.directory.glob(f"{name}*"):
        path.unlink()


def reasons(place: Place) -> dict[str, str]:
    return {check.artifact: check.reason for check in verify(place).failures if check.level == "intact"}


def test_a_chain_of_the_database_reaches_to_its_last_increment(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain_of(place, 1, 2, 3, full=full, minute=5)
    given(place, 3, kind="db_increment")
    outcome = verify(place)
    assert outcome.failures == []
    assert outcome.recovery_point == "2026-11-22T00:15:00Z"


def test_an_increment_of_the_database_that_is_missing_is_found_and_so_is_what_it_costs(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, 2, 3, 4, full=full, minute=5)
    gone(place, chain[1])
    found = reasons(place)
    assert found.pop("db_increment 2") == "number 2 of kind db_increment is missing: its manifest was removed"
    assert list(found) == chain[2:]
    assert chain[1] in found[chain[2]]
    assert verify(place).recovery_point == "2026-11-22T00:05:00Z"


def test_the_first_increment_after_a_full_is_missing_though_no_number_tells(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, 2, full=full, minute=5)
    gone(place, chain[0])
    assert list(reasons(place)) == [chain[1]]


def test_a_damaged_increment_ends_the_chain_before_it_and_no_other_is_blamed(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, 2, 3, full=full, minute=5)
    (place.directory / chain[1]).write_bytes(b"changed")
    assert list(reasons(place)) == [chain[1]]
    assert verify(place).recovery_point == "2026-11-22T00:05:00Z"


def test_past_a_bad_full_the_chain_of_the_one_before_goes_on(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain_of(place, 1, 2, full=full, minute=5)
    newer = full_of(place, "db-20261122-0011", 3, sequence=2)
    chain_of(place, 3, 4, full=newer, minute=20)
    (place.directory / newer).write_bytes(b"changed")
    assert list(reasons(place)) == [newer]
    assert verify(place).recovery_point == "2026-11-22T00:25:00Z"


def test_a_full_that_the_stream_went_past_is_not_intact(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain_of(place, 1, 2, full=full, minute=5)
    ahead = full_of(place, "db-20261122-0011", 3, sequence=2, at=9000)
    assert reasons(place) == {}
    chain_of(place, 3, 4, full=full, minute=20)
    found = reasons(place)
    assert list(found) == [ahead]
    assert "no increment follows it" in found[ahead]
    assert verify(place).recovery_point == "2026-11-22T00:25:00Z"


def test_a_gap_that_no_number_tells_is_named_although_a_later_full_stands_behind_it(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, full=full, minute=5)
    full_of(place, "db-20261122-0011", 5, sequence=2)
    late = {**log_files(5, 5, before=4, after=5), "base": full, "previous": chain[0]}
    place.put("db-20261122-0020.binlog.zst.age", sequence=2, **late)
    assert list(reasons(place)) == [f"after {chain[0]}"]


def test_an_increment_that_was_lost_elsewhere_and_sealed_again_is_no_fault(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, 2, full=full, minute=5)
    again = {**log_files(2, 3, before=1, after=3), "base": full, "previous": chain[0]}
    place.put("db-20261122-0015.binlog.zst.age", sequence=3, **again)
    assert reasons(place) == {}
    assert verify(place).recovery_point == "2026-11-22T00:15:00Z"
    # With another content it is no copy: the server was rolled back, and the later life counts.
    other = {**again, **log_files(2, 2, before=1, after=2), "previous": chain[0]}
    other["files"][0]["sha256"] = "7" * 64
    place.put("db-20261122-0016.binlog.zst.age", sequence=4, **other)
    assert list(reasons(place)) == [chain[1], "db-20261122-0015.binlog.zst.age"]


def test_an_increment_that_another_branch_signed_is_in_no_chain(place: Place) -> None:
    full = full_of(place, "db-20261121-2315", 1)
    chain = chain_of(place, 1, 2, full=full, minute=5)
    foreign = "db-20261122-0015.binlog.zst.age"
    fields = {**log_files(3, 3, before=2, after=3), "base": full, "previous": chain[-1]}
    place.put(foreign, sequence=3, signer="branch-002", **fields)
    assert list(reasons(place)) == [foreign]
    assert verify(place).recovery_point == "2026-11-22T00:10:00Z"


def test_an_increment_that_holds_no_binary_log_does_not_open(place: Place) -> None:
    full_of(place, "db-20261121-2315", 7, ending=".sql.gz")
    plain = b"not a container"
    stored = subprocess.run(["zstd", "-qc"], input=plain, check=True, capture_output=True).stdout
    digests = {"plain_size": len(plain), "plain_sha256": hashlib.sha256(plain).hexdigest()}
    name = "db-20261122-0005.binlog.zst"
    place.put(name, stored=stored, **{**log_files(7, 7, before=6, after=7), **digests})
    assert statuses(verify(place), name)["opened"] == FAILED

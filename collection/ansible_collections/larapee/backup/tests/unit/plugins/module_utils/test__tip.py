# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import threading
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _current, _sequence, _tip
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import (
    BRANCH,
    RUN_ID,
    STORED,
    Place,
    manifest_document,
    utc,
)

DATABASE = "db-20261122-1432.sql.gz"
UPLOADS = "public-uploads-20261122-0000.tar.zst"
INCREMENT = "public-uploads-20261122-1430.incr.tar.zst"
CONFIG = "config-20261122-1433.tar.zst"
TIMES = {"database": "2026-11-22T14:32:00Z", "uploads": "2026-11-22T14:35:00Z", "config": "2026-11-22T14:31:00Z"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def branch(place: Place, state: Path) -> Place:
    """A place with a whole set: the uploads' newest is an increment, the config the oldest of what is known."""
    place.put(DATABASE, set=7)
    place.put(UPLOADS, set=6)
    place.put(INCREMENT, set=7)
    place.put(CONFIG, set=7)
    note(state, "uploads", INCREMENT)
    note(state, "config", CONFIG)
    return place


def note(state: Path, family: str, artifact: str) -> None:
    at = utc(TIMES[family].replace("T", " ").rstrip("Z"))
    _current.note(str(state), BRANCH, family, artifact=artifact, at=at)


def request(place: Place, state: Path, **changes: Any) -> _tip.TipRequest:
    options: dict[str, Any] = {
        "branch": BRANCH,
        "kind": "log",
        "local_path": str(place.directory),
        "state_path": str(state),
        "run_id": RUN_ID,
        "signing_key": str(place.keys / BRANCH),
        "allowed_signers": place.allowed_signers,
        **changes,
    }
    return _tip.TipRequest(**options)


def read(place: Place) -> dict[str, Any]:
    return _tip.read_tip(str(place.directory), branch=BRANCH, allowed_signers=place.allowed_signers)


def test_tip_states_the_parts_and_the_least_of_them(branch: Place, state: Path) -> None:
    outcome = _tip.write_tip(request(branch, state, kind="full"))
    tip = read(branch)
    assert tip == outcome.document
    assert (tip["schema"], tip["branch"], tip["run_id"], tip["set"]) == (1, BRANCH, RUN_ID, 7)
    assert tip["parts"] == {
        "database": {"artifact": DATABASE, "current_at": TIMES["database"]},
        "uploads": {"artifact": INCREMENT, "current_at": TIMES["uploads"]},
        "config": {"artifact": CONFIG, "current_at": TIMES["config"]},
    }
    assert outcome.recovery_point == TIMES["config"]
    assert (outcome.lacking, outcome.warnings) == ({}, ())
    report = outcome.report()
    (artifact,) = report["artifacts"]
    assert artifact["size"] == (branch.directory / "tip.json").stat().st_size
    assert report["recovery_point"] == TIMES["config"]


def test_check_mode_states_and_writes_nothing(branch: Place, state: Path) -> None:
    before = sorted(os.listdir(branch.directory))
    outcome = _tip.write_tip(request(branch, state, kind="full"), check_mode=True)
    assert outcome.document["parts"]["database"]["artifact"] == DATABASE
    assert outcome.report()["artifacts"] == []
    assert sorted(os.listdir(branch.directory)) == before


def harm(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        (path if how == "artifact" else Path(f"{path}.manifest.json")).unlink()


@pytest.mark.parametrize(("gone", "family"), [(DATABASE, "database"), (UPLOADS, "uploads"), (CONFIG, "config")])
@pytest.mark.parametrize("how", ["artifact", "manifest", "cut"])
def test_what_is_not_there_is_not_claimed(branch: Place, state: Path, gone: str, family: str, how: str) -> None:
    harm(branch.directory / gone, how)
    outcome = _tip.write_tip(request(branch, state, kind="increment"))
    assert read(branch)["parts"][family] is None
    assert outcome.recovery_point is None
    assert outcome.lacking == {family: "there is no backup of it"}
    assert f"{family}: there is no backup of it" in outcome.describe_lacking()


@pytest.mark.parametrize("how", ["artifact", "manifest", "cut"])
def test_without_its_newest_increment_the_uploads_are_as_old_as_the_one_before(
    branch: Place, state: Path, how: str
) -> None:
    harm(branch.directory / INCREMENT, how)
    outcome = _tip.write_tip(request(branch, state))
    assert read(branch)["parts"]["uploads"] == {"artifact": UPLOADS, "current_at": "2026-11-22T00:00:00Z"}
    assert outcome.recovery_point == "2026-11-22T00:00:00Z"


@pytest.mark.parametrize("noted", [True, False])
def test_an_archive_with_gaps_does_not_count_until_one_without_follows(branch: Place, state: Path, noted: bool) -> None:
    gaps, later = "public-uploads-20261122-1440.incr.tar.zst", "public-uploads-20261122-1445.incr.tar.zst"
    problems = {"changed": 0, "vanished": 0, "unreadable": 2, "skipped": 0}
    branch.put(gaps, sequence=2, previous=INCREMENT, problems=problems)
    if noted:
        note(state, "uploads", gaps)
    outcome = _tip.write_tip(request(branch, state))
    assert read(branch)["parts"]["uploads"]["artifact"] == INCREMENT
    assert f"{gaps} does not count: it lacks 2 that could not be read." in outcome.warnings
    branch.put(later, sequence=3, previous=gaps)
    _tip.write_tip(request(branch, state))
    assert read(branch)["parts"]["uploads"] == {"artifact": later, "current_at": "2026-11-22T14:45:00Z"}


def put_chain(place: Place, increments: int) -> list[str]:
    """A full and its increments, without signatures; the names, oldest first."""
    begin = utc("2026-11-22 00:00:00")
    names = [UPLOADS]
    for number in range(1, increments + 1):
        names.append(f"public-uploads-{begin + dt.timedelta(minutes=number):%Y%m%d-%H%M}.incr.tar.zst")
    for number, name in enumerate(names):
        (place.directory / name).write_bytes(STORED)
        changes = {"sequence": number, "base": UPLOADS, "previous": names[number - 1]} if number else {}
        raw = json.dumps(manifest_document(name, **changes)).encode()
        (place.directory / f"{name}.manifest.json").write_bytes(raw)
    return names


def test_long_chain_takes_no_more_memory_than_its_names(
    place: Place, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = put_chain(place, 1500)
    catalogue = _catalog.read_catalogue(str(place.directory))
    monkeypatch.setattr(_catalog, "read_catalogue", lambda _directory: catalogue)
    tracemalloc.start()
    try:
        outcome = _tip.write_tip(request(place, state, allowed_signers=None), check_mode=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.document["parts"]["uploads"]["artifact"] == names[-1]
    assert peak < 3 * 1024 * 1024


def test_each_of_a_long_chain_is_looked_at_once_when_all_stand_on_nothing(
    place: Place, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = put_chain(place, 300)
    harm(place.directory / UPLOADS, "cut")
    harm(place.directory / names[150], "artifact")
    looked: list[str] = []
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: (looked.append(os.path.basename(path)), real(path))[1])
    outcome = _tip.write_tip(request(place, state, allowed_signers=None), check_mode=True)
    assert outcome.document["parts"]["uploads"] is None
    assert [each for each in outcome.warnings if "does not count" in each] == [
        f"{UPLOADS} does not count: it has {len(STORED) - 1} bytes, its manifest says {len(STORED)}.",
        f"{names[150]} does not count: it cannot be read: No such file or directory.",
    ]
    assert len(looked) < 2 * len(names)


def test_the_longest_state_that_is_whole_is_stated(place: Place, state: Path) -> None:
    names = put_chain(place, 9)
    harm(place.directory / names[6], "cut")
    harm(place.directory / names[8], "cut")
    outcome = _tip.write_tip(request(place, state, allowed_signers=None), check_mode=True)
    assert outcome.document["parts"]["uploads"]["artifact"] == names[5]


def test_databases_that_an_older_state_does_not_know_count_when_signed(branch: Place, state: Path) -> None:
    later, forged = "db-20261122-1500.sql.gz", "db-20261122-1600.sql.gz"
    branch.put(later, sequence=9, set=9)
    branch.put(forged, sequence=99, set=99, signer="branch-002")
    _sequence.remember(str(state), branch=BRANCH, kind="db_full", number=1)
    assert _tip.write_tip(request(branch, state)).document["parts"]["database"]["artifact"] == later


def test_forged_and_adopted_databases_do_not_count(branch: Place, state: Path) -> None:
    branch.put("db-20261122-1500.sql.gz", sequence=2, signer="branch-002")
    moment = "2026-11-22T16:00:00Z"
    branch.put("db-20261122-1600.sql.gz", sequence=0, adopted={"moment": moment, "at": moment})
    outcome = _tip.write_tip(request(branch, state))
    assert read(branch)["parts"]["database"]["artifact"] == DATABASE
    (warning,) = outcome.warnings
    assert "db-20261122-1500.sql.gz does not count: not signed by branch-001" in warning


@pytest.mark.parametrize(
    ("kind", "lacking"), [("full", ["config", "database", "uploads"]), ("increment", ["database"]), ("log", [])]
)
def test_a_run_that_did_not_make_its_parts_lacks_them(
    branch: Place, state: Path, kind: str, lacking: list[str]
) -> None:
    """Else a run that left the dump out by a tag would be a success: its tip is an artifact."""
    outcome = _tip.write_tip(request(branch, state, kind=kind, run_id=str(uuid.uuid4())))
    assert sorted(outcome.lacking) == lacking
    assert all("this run did not back it up" in why for why in outcome.lacking.values())
    assert read(branch)["parts"]["database"]["artifact"] == DATABASE


def test_a_full_is_complete_although_a_log_beside_it_went_on(branch: Place, state: Path) -> None:
    """A log is shorter than a full and does not wait for it: every night one ends while the full is taken."""
    full = str(uuid.uuid4())
    for name in ("db-20261122-1500.sql.gz", "public-uploads-20261122-1500.tar.zst", "config-20261122-1500.tar.zst"):
        branch.put(name, set=8, sequence=2, run_id=full)
    branch.put("public-uploads-20261122-1501.incr.tar.zst", set=8, sequence=2, run_id=str(uuid.uuid4()))
    branch.put("config-20261122-1501.tar.zst", set=8, sequence=3, run_id=str(uuid.uuid4()))
    outcome = _tip.write_tip(request(branch, state, kind="full", run_id=full))
    assert read(branch)["parts"]["config"]["artifact"] == "config-20261122-1501.tar.zst"
    assert outcome.lacking == {}


def test_a_full_whose_own_part_is_damaged_is_not_complete_by_a_newer_one(branch: Place, state: Path) -> None:
    full = str(uuid.uuid4())
    for name in ("db-20261122-1500.sql.gz", "public-uploads-20261122-1500.tar.zst", "config-20261122-1500.tar.zst"):
        branch.put(name, set=8, sequence=2, run_id=full)
    branch.put("config-20261122-1501.tar.zst", set=8, sequence=3, run_id=str(uuid.uuid4()))
    (branch.directory / "config-20261122-1500.tar.zst").write_bytes(b"")
    outcome = _tip.write_tip(request(branch, state, kind="full", run_id=full))
    assert sorted(outcome.lacking) == ["config"]


def test_a_log_of_a_branch_without_a_database_backup_says_so(place: Place, state: Path) -> None:
    place.put(UPLOADS)
    note(state, "uploads", UPLOADS)
    outcome = _tip.write_tip(request(place, state))
    assert outcome.lacking == {}
    assert any("there is none of its database" in warning for warning in outcome.warnings)
    assert read(place)["parts"]["database"] is None
    assert outcome.report()["recovery_point"] is None


def test_key_that_nobody_accepts_leaves_the_tip_as_it_was(branch: Place, state: Path) -> None:
    _tip.write_tip(request(branch, state))
    before = read(branch)
    with pytest.raises(BackupError) as caught:
        _tip.write_tip(request(branch, state, signing_key=str(branch.keys / "branch-002")))
    assert caught.value.reason == "signature_not_accepted"
    assert read(branch) == before


def test_stock_ssh_keygen_verifies_the_newest_of_several(branch: Place, state: Path) -> None:
    for _turn in range(5):
        _tip.write_tip(request(branch, state, run_id=str(uuid.uuid4())))
    signatures = (branch.directory / "tip.json.sig").read_text()
    assert signatures.count("BEGIN SSH SIGNATURE") == 3
    argv = ["ssh-keygen", "-Y", "verify", "-f", branch.allowed_signers, "-I", BRANCH, "-n", "larapee-backup"]
    with (branch.directory / "tip.json").open("rb") as tip:
        subprocess.run([*argv, "-s", str(branch.directory / "tip.json.sig")], stdin=tip, check=True)


@pytest.mark.parametrize("point", [1, 2])
def test_crash_between_the_two_files_leaves_a_pair_that_fits(
    branch: Place, state: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    _tip.write_tip(request(branch, state))
    before = read(branch)
    real, done = os.replace, []

    def crash(source: str, target: str) -> None:
        done.append(target)
        if len(done) == point:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            _tip.write_tip(request(branch, state, run_id=str(uuid.uuid4())))
    assert [Path(target).name for target in done] == ["tip.json.sig", "tip.json"][:point]
    assert read(branch) == before
    _tip.write_tip(request(branch, state, run_id=before["run_id"]))
    assert read(branch)["run_id"] == before["run_id"]


def test_full_disk_leaves_the_pair_as_it_was(branch: Place, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tip.write_tip(request(branch, state))
    before = {name: (branch.directory / name).read_bytes() for name in ("tip.json", "tip.json.sig")}
    real = os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BackupError, match="No space left"):
            _tip.write_tip(request(branch, state, run_id=str(uuid.uuid4())))
    assert {name: (branch.directory / name).read_bytes() for name in before} == before
    assert not [name for name in os.listdir(branch.directory) if name.endswith(".new")]


def test_reader_never_takes_a_pair_that_does_not_fit(branch: Place, state: Path) -> None:
    """Two writers at once, and a reader: every tip that is read is one that was signed."""
    _tip.write_tip(request(branch, state))
    runs = [[str(uuid.uuid4()) for _turn in range(8)] for _turn in range(2)]

    def write(ids: list[str]) -> None:
        for run_id in ids:
            _tip.write_tip(request(branch, state, run_id=run_id, allowed_signers=None))

    writers = [threading.Thread(target=write, args=[ids]) for ids in runs]
    for writer in writers:
        writer.start()
    seen = []
    while any(writer.is_alive() for writer in writers):
        seen.append(read(branch)["run_id"])
    for writer in writers:
        writer.join()
    assert len(seen) > 3
    assert set(seen) <= {RUN_ID, *runs[0], *runs[1]}


@pytest.mark.parametrize("what", ["tip", "other branch", "no signature", "absent", "not a tip"])
def test_tip_that_the_branch_did_not_sign_is_refused(
    branch: Place, state: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(_tip, "_PAUSE_S", 0)
    _tip.write_tip(request(branch, state))
    path, signature = branch.directory / "tip.json", branch.directory / "tip.json.sig"
    if what == "tip":
        path.write_text(path.read_text().replace("14:31", "14:59"))
    elif what == "other branch":
        signature.write_bytes(branch.sign(path.read_bytes(), signer="branch-002"))
    elif what == "no signature":
        signature.write_bytes(b"")
    elif what == "absent":
        signature.unlink()
    else:
        raw = (branch.directory / f"{DATABASE}.manifest.json").read_bytes()
        path.write_bytes(raw)
        signature.write_bytes(branch.sign(raw))
    with pytest.raises(BackupError) as caught:
        read(branch)
    assert caught.value.reason == "bad_tip"


def test_signature_is_judged_at_the_time_of_the_tip(
    branch: Place, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first key of the branch ends with 2026."""
    monkeypatch.setattr(_tip._clock, "now", lambda: dt.datetime(2027, 1, 2, tzinfo=dt.timezone.utc))
    with pytest.raises(BackupError, match="is not accepted"):
        _tip.write_tip(request(branch, state))
    outcome = _tip.write_tip(request(branch, state, signing_key=str(branch.keys / "branch-001-next")))
    assert read(branch) == json.loads(outcome.raw or b"")

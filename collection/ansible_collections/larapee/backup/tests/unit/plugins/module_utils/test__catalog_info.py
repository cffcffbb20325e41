# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _io, _tip
from ansible_collections.larapee.backup.plugins.module_utils._catalog_info import InfoRequest, catalog_info
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, Place, log_files, utc

NOW = utc("2026-11-22 14:40:00")
FULL = "db-20261122-1400.sql.gz"
UPLOADS = "public-uploads-20261122-1401.tar.zst"
CONFIG = "config-20261122-1402.tar.zst"
LOGS = ("db-20261122-1410.binlog.zst", "db-20261122-1420.binlog.zst", "db-20261122-1430.binlog.zst")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "now", lambda: NOW)


@pytest.fixture
def shop(place: Place) -> Place:
    """A set of 14:00, and an increment of the database every ten minutes until 14:30."""
    stands = {"file": "mysql-bin.000006", "position": 4, "gtid": "", "time": "2026-11-22T14:00:00Z"}
    place.put(FULL, start=stands, end=stands, set=1)
    place.put(UPLOADS)
    place.put(CONFIG)
    previous = FULL
    for number, name in enumerate(LOGS):
        files = log_files(6 + number, 6 + number, before=number, after=number + 1)
        place.put(name, sequence=number + 1, **files, base=FULL, previous=previous)
        previous = name
    return place


def tell(place: Place, **changes: Any) -> dict[str, Any]:
    options = {"branch": BRANCH, "allowed_signers": place.allowed_signers, "rpo_seconds": 900, **changes}
    info = catalog_info(InfoRequest(directory=str(place.directory), **options))
    json.dumps(info)
    return info


def only(place: Place, **changes: Any) -> dict[str, Any]:
    (branch,) = tell(place, **changes)["branches"]
    return dict(branch)


def put_tip(place: Place, *, signer: str = BRANCH, **at: str) -> None:
    names = {"database": LOGS[-1], "uploads": UPLOADS, "config": CONFIG}
    parts = {
        family: {"artifact": name, "current_at": at.get(family, "2026-11-22T14:39:00Z")}
        for family, name in names.items()
    }
    document = {"schema": 1, "branch": BRANCH, "set": 1, "created_at": "2026-11-22T14:39:00Z", "parts": parts}
    raw = _io.json_bytes(document)
    (place.directory / _tip.NAME).write_bytes(raw)
    (place.directory / _tip.SIGNATURES).write_bytes(place.sign(raw, signer=signer))


def put_result(place: Place, name: str, **levels: str) -> None:
    sha256 = json.loads((place.directory / f"{name}.manifest.json").read_bytes())["sha256"]
    found = {
        level: {
            "status": status,
            "reason": "its SHA-256 is wrong" if status == "FAILED" else "",
            "at": "2026-11-22T03:00:00Z",
        }
        for level, status in levels.items()
    }
    document = {"schema": 1, "artifact": name, "sha256": sha256, "levels": found}
    (place.directory / f"{name}.verified.json").write_text(json.dumps(document))


def test_it_tells_from_when_until_when(shop: Place) -> None:
    branch = only(shop)
    assert branch["recoverable"] == {
        "from": "2026-11-22T14:00:00Z",
        "until": "2026-11-22T14:30:00Z",
        "full": FULL,
        "chain_length": 4,
        "gaps": [],
        "gap_count": 0,
        "spans": [{"from": "2026-11-22T14:00:00Z", "until": "2026-11-22T14:30:00Z", "full": FULL, "length": 4}],
    }
    assert branch["parts"] == {
        "database": {"artifact": LOGS[-1], "recovery_point": "2026-11-22T14:30:00Z"},
        "uploads": {"artifact": UPLOADS, "recovery_point": "2026-11-22T14:01:00Z"},
        "config": {"artifact": CONFIG, "recovery_point": "2026-11-22T14:02:00Z"},
    }
    assert (branch["recovery_point"], branch["age_s"], branch["within_rpo"]) == ("2026-11-22T14:01:00Z", 39 * 60, False)
    assert branch["tip"] is None
    assert "tip.json" in branch["tip_problem"]
    assert [each["name"] for each in branch["artifacts"] if each["kind"] == "db_increment"] == list(LOGS)


def test_the_tip_advances_an_idle_shop(shop: Place) -> None:
    put_tip(shop, uploads="2026-11-22T14:38:00Z")
    branch = only(shop)
    assert branch["tip"] == {"created_at": "2026-11-22T14:39:00Z", "set": 1, "signature_checked": True}
    assert branch["tip_problem"] is None
    assert branch["recoverable"]["until"] == "2026-11-22T14:39:00Z"
    assert (branch["recovery_point"], branch["age_s"], branch["within_rpo"]) == ("2026-11-22T14:38:00Z", 120, True)


def test_a_tip_of_another_signer_advances_nothing(shop: Place) -> None:
    put_tip(shop, signer="branch-002")
    branch = only(shop)
    assert branch["tip"] is None
    assert branch["tip_problem"]
    assert branch["recovery_point"] == "2026-11-22T14:01:00Z"
    unchecked = only(shop, allowed_signers=None)
    assert unchecked["tip"]["signature_checked"] is False
    assert unchecked["recovery_point"] == "2026-11-22T14:39:00Z"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"branch": "branch-002"}', b'{"created_at": 1}'])
def test_a_tip_that_is_none_is_told(shop: Place, raw: bytes) -> None:
    (shop.directory / _tip.NAME).write_bytes(raw)
    branch = only(shop, allowed_signers=None)
    assert branch["tip"] is None
    assert branch["tip_problem"]


@pytest.mark.parametrize("recovery", ["14:20", "14:50"])
def test_the_age_is_held_against_the_rpo(shop: Place, recovery: str) -> None:
    put_tip(shop, **dict.fromkeys(("database", "uploads", "config"), f"2026-11-22T{recovery}:00Z"))
    branch = only(shop, rpo_seconds=3600)
    assert branch["within_rpo"] is (recovery == "14:20")
    assert only(shop, rpo_seconds=60)["within_rpo"] is False


@pytest.mark.parametrize("damage", ["missing", "cut", "verified"])
def test_what_is_damaged_does_not_count(shop: Place, damage: str) -> None:
    path = shop.directory / LOGS[1]
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        put_result(shop, LOGS[1], intact="FAILED")
    branch = only(shop)
    assert branch["recoverable"]["until"] == "2026-11-22T14:10:00Z"
    (gap,) = branch["recoverable"]["gaps"]
    assert (gap["after"], gap["before"]) == ("2026-11-22T14:10:00Z", None)
    assert LOGS[1] in gap["why"]
    assert set(branch["unusable"]) == {LOGS[1]}
    assert set(branch["astray"]) == {LOGS[1], LOGS[2]}


def test_what_failed_for_its_chain_alone_is_not_damaged(shop: Place) -> None:
    put_result(shop, LOGS[2], intact="FAILED")
    (shop.directory / LOGS[1]).unlink()
    (shop.directory / f"{LOGS[1]}.manifest.json").unlink()
    branch = only(shop)
    assert branch["unusable"] == {}
    assert set(branch["astray"]) == {LOGS[2]}


def test_results_of_verification_are_told_and_counted(shop: Place) -> None:
    put_result(shop, FULL, intact="OK", opened="NOT RUN")
    put_result(shop, UPLOADS, intact="OK")
    (shop.directory / f"{CONFIG}.verified.json").write_text('{"sha256": "of another file"}')
    branch = only(shop)
    assert branch["verified"] == {
        "intact": {"last_at": "2026-11-22T03:00:00Z", "results": {"OK": 2}, "never": 4},
        "opened": {"last_at": "2026-11-22T03:00:00Z", "results": {"NOT RUN": 1}, "never": 5},
    }
    (full,) = [each for each in branch["artifacts"] if each["name"] == FULL]
    assert full["verified"]["intact"] == {"status": "OK", "reason": "", "at": "2026-11-22T03:00:00Z"}
    assert (full["set"], full["sequence"], full["created_at"]) == (1, 1, "2026-11-22T14:00:00Z")


@pytest.mark.parametrize("part", [FULL, UPLOADS, CONFIG])
def test_without_a_part_there_is_no_recovery_point(shop: Place, part: str) -> None:
    for path in shop.directory.glob(f"{part}*"):
        path.unlink()
    branch = only(shop)
    assert (branch["recovery_point"], branch["age_s"], branch["within_rpo"]) == (None, None, False)
    assert list(branch["parts"].values()).count(None) == 1


def test_of_several_branches_each_is_told_and_one_without_anything_when_asked_for(shop: Place) -> None:
    shop.put("db-20261122-1500.sql.gz", branch="branch-002", signer="branch-002")
    assert [each["branch"] for each in tell(shop, branch=None)["branches"]] == ["branch-001", "branch-002"]
    (nobody,) = tell(shop, branch="branch-003")["branches"]
    assert (nobody["recoverable"]["until"], nobody["artifacts"]) == (None, [])


def test_what_is_wrong_with_the_place_is_told(shop: Place) -> None:
    (shop.directory / f"{LOGS[0]}.manifest.json").write_text("{")
    (shop.directory / "db-20261101-0000.sql.gz").write_bytes(b"an older cron line's")
    info = tell(shop)
    assert list(info["problems"]) == [f"{LOGS[0]}.manifest.json"]
    assert info["unmanaged"] == ["db-20261101-0000.sql.gz"]


def test_nothing_is_changed(shop: Place) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in shop.directory.iterdir()}

    put_tip(shop)
    before = state()
    tell(shop)
    assert state() == before


def test_a_place_that_cannot_be_read_and_a_code_that_is_none_are_refused(shop: Place) -> None:
    with pytest.raises(BackupError) as caught:
        catalog_info(InfoRequest(str(shop.directory / "nowhere"), BRANCH, None, 900))
    assert caught.value.reason == "no_directory"
    with pytest.raises(BackupError) as caught:
        tell(shop, branch="../branch-002")
    assert caught.value.reason == "bad_branch"

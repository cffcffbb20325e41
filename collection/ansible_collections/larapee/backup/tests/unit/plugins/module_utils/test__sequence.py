# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _sequence, _signature
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import Program

B, FULL = "branch-001", "db_full"


def next_number(state: Path, place: Place, allowed_signers: str | None = None) -> int:
    last = _sequence.last_given(str(state), branch=B, kind=FULL)
    found = _catalog.read_catalogue(str(place.directory))
    catalogue = _sequence.credible(found, last=last, branch=B, kind=FULL, allowed_signers=allowed_signers)
    return _sequence.next_number(catalogue, last=last, branch=B, kind=FULL)


def test_the_first_number_is_one(tmp_path: Path, place: Place) -> None:
    assert next_number(tmp_path, place) == 1


def test_numbers_rise_from_what_the_place_holds(tmp_path: Path, place: Place) -> None:
    place.put_days(3, 9, 5)
    assert next_number(tmp_path, place) == 10


def test_numbers_rise_on_when_the_place_has_lost_its_newest(tmp_path: Path, place: Place) -> None:
    place.put_days(3)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=9)
    assert next_number(tmp_path, place) == 10


def test_another_branch_and_another_kind_have_numbers_of_their_own(tmp_path: Path, place: Place) -> None:
    place.put("db-20261122-0300.sql.gz", sequence=7, branch="branch-002", signer="branch-002")
    place.put("config-20261122-0300.tar.zst", sequence=8)
    _sequence.remember(str(tmp_path), branch=B, kind="config", number=20)
    _sequence.remember(str(tmp_path), branch="branch-002", kind=FULL, number=30)
    assert next_number(tmp_path, place) == 1


def test_each_kind_is_remembered_beside_the_others(tmp_path: Path) -> None:
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=4)
    _sequence.remember(str(tmp_path), branch=B, kind="config", number=2)
    assert _sequence.last_given(str(tmp_path), branch=B, kind=FULL) == 4
    assert _sequence.last_given(str(tmp_path), branch=B, kind="config") == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"db_full": "4"}', b'{"db_full": true}', b"\xff"])
def test_a_damaged_memory_is_said_and_mended(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences" / f"{B}.json").write_bytes(content)
    with pytest.raises(_sequence.SequenceError, match="the last number given"):
        _sequence.last_given(str(tmp_path), branch=B, kind=FULL)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=5)
    assert _sequence.last_given(str(tmp_path), branch=B, kind=FULL) == 5


def test_numbers_that_were_never_given_do_not_count(tmp_path: Path, place: Place) -> None:
    place.put_days(1, 2, 3)
    place.put("db-20261201-0300.sql.gz", sequence=30_000_000)
    place.put("config-20261201-0300.tar.zst", sequence=40_000_000)
    assert next_number(tmp_path, place) == 30_000_001
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=2)
    assert next_number(tmp_path, place) == 4
    found = _catalog.read_catalogue(str(place.directory))
    kept = _sequence.credible(found, last=2, branch=B, kind=FULL, allowed_signers=None)
    assert [entry.manifest.sequence for entry in kept.entries] == [40_000_000, 1, 2, 3]


def unsign(artifact: Path, how: str) -> None:
    signature = artifact.with_name(artifact.name + ".manifest.json.sig")
    signature.unlink()
    if how == "directory":
        signature.mkdir()
    elif how == "pipe":
        os.mkfifo(signature)
    elif how == "rubbish":
        signature.write_bytes(b"-----BEGIN SSH SIGNATURE-----\n")


def test_what_the_branch_signed_counts_when_an_older_state_was_put_back(tmp_path: Path, place: Place) -> None:
    place.put_days(*range(1, 10))
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=3)
    assert next_number(tmp_path, place, place.allowed_signers) == 10
    assert next_number(tmp_path, place, None) == 5, "only one after the last given, when nobody can judge signatures"


@pytest.mark.parametrize("how", ["missing", "directory", "pipe", "rubbish"])
def test_ahead_of_the_state_an_unsigned_number_does_not_count(tmp_path: Path, place: Place, how: str) -> None:
    place.put_days(1, 2, 3, 7)
    unsign(place.put("db-20261201-0300.sql.gz", sequence=30_000_000, set=30_000_000), how)
    place.put("db-20261202-0300.sql.gz", sequence=40_000_000, set=40_000_000, signer="branch-002")
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=2)
    assert next_number(tmp_path, place, place.allowed_signers) == 8
    place.put("db-20261203-0300.sql.gz", sequence=8, set=6)
    assert set_number(tmp_path / "knowing", Place(tmp_path / "empty", place.keys), "a") == 1
    assert set_number(tmp_path / "knowing", place, "b", allowed_signers=place.allowed_signers) == 7


def test_signatures_are_looked_at_only_ahead_of_the_state(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 6):
        place.put(f"db-202611{day:02d}-0300.sql.gz", sequence=day, set=day)
    looked: list[bytes] = []
    monkeypatch.setattr(_signature, "verify", lambda message, *_rest, **_options: looked.append(message))
    for number in range(1, 5):
        _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=number)
        assert set_number(tmp_path, Place(tmp_path / "empty", place.keys), f"run {number}") == number
    assert next_number(tmp_path, place, place.allowed_signers) == 6
    assert set_number(tmp_path, place, "next", allowed_signers=place.allowed_signers) == 6
    assert looked == []


def test_a_signature_that_this_user_may_not_read_counts_as_none(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put_days(1, 2, 9)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=2)

    def deny(_entry: _catalog.Entry) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_catalog.Entry, "signature", deny)
    assert next_number(tmp_path, place, place.allowed_signers) == 3


def test_signatures_that_cannot_be_judged_give_no_number(tmp_path: Path, place: Place) -> None:
    place.put_days(1, 2, 9)
    _sequence.remember(str(tmp_path), branch=B, kind=FULL, number=2)
    with pytest.raises(BackupError, match="allowed signers"):
        next_number(tmp_path, place, str(tmp_path / "none"))


GIVE_SETS = """
from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _sequence
state, place, who = sys.argv[1:]
say("ready")
wait()
catalogue = _catalog.read_catalogue(place)
for number in range(20):
    run = f"{who}-{number}"
    say(_sequence.set_number(catalogue, state, branch="branch-001", run_id=run, allowed_signers=None))
    _sequence.remember(state, branch="branch-001", kind=who, number=number + 1)
"""


def set_number(state: Path, place: Place, run_id: str, *, branch: str = B, allowed_signers: str | None = None) -> int:
    catalogue = _catalog.read_catalogue(str(place.directory))
    return _sequence.set_number(catalogue, str(state), branch=branch, run_id=run_id, allowed_signers=allowed_signers)


def test_all_artifacts_of_a_run_bear_one_number_and_the_next_run_the_next(tmp_path: Path, place: Place) -> None:
    assert [set_number(tmp_path, place, run) for run in ("a", "a", "b", "a", "c", "b")] == [1, 1, 2, 1, 3, 2]
    assert set_number(tmp_path, place, "x", branch="branch-002") == 1


def test_numbers_of_sets_go_on_from_the_place_when_the_state_is_lost(tmp_path: Path, place: Place) -> None:
    assert set_number(tmp_path / "one", place, "a") == 1
    place.put("db-20261122-0300.sql.gz", set=41)
    place.put("config-20261122-0300.tar.zst", set=99, branch="branch-002", signer="branch-002")
    assert set_number(tmp_path / "other", place, "a") == 42
    assert set_number(tmp_path / "one", place, "b") == 2, "what was given counts, not what anybody may have put there"
    assert set_number(tmp_path / "one", place, "c", allowed_signers=place.allowed_signers) == 42, (
        "what was signed counts"
    )
    assert set_number(tmp_path / "one", place, "b") == 2
    assert set_number(tmp_path / "one", place, "d") == 43


def test_runs_at_the_same_time_never_get_the_same_number_and_lose_no_other(tmp_path: Path, place: Place) -> None:
    arguments = str(tmp_path / "state"), str(place.directory)
    with Program(GIVE_SETS, *arguments, "one") as one, Program(GIVE_SETS, *arguments, "other") as other:
        for program in (one, other):
            assert program.hear() == "ready"
        one.go_on()
        other.go_on()
        given = [int(program.hear()) for program in (one, other) for _number in range(20)]
        assert (one.end(), other.end()) == (0, 0)
    assert sorted(given) == list(range(1, 41))
    for kind in ("one", "other"):
        assert _sequence.last_given(str(tmp_path / "state"), branch=B, kind=kind) == 20


def test_only_the_last_runs_are_kept_in_mind(tmp_path: Path, place: Place) -> None:
    numbers = [set_number(tmp_path, place, f"run {number}") for number in range(100)]
    assert numbers == list(range(1, 101))
    assert set_number(tmp_path, place, "run 99") == 100
    assert set_number(tmp_path, place, "run 36") == 37
    assert set_number(tmp_path, place, "run 35") == 101


def test_a_damaged_memory_of_sets_is_mended_from_the_place(tmp_path: Path, place: Place) -> None:
    place.put("db-20261122-0300.sql.gz", set=5)
    (tmp_path / "sequences").mkdir()
    for content in (b"", b'{"sets": []}', b'{"sets": 7}', b'{"sets": {"b": "9"}}'):
        (tmp_path / "sequences" / f"{B}.json").write_bytes(content)
        assert set_number(tmp_path, place, "a") == 6

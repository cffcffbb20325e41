# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _clock, _intact
from ansible_collections.larapee.backup.plugins.module_utils._proofs import Proofs, is_due, signers_of

from .places import BRANCH, Place

NOW = dt.datetime(2026, 11, 22, 2, 30, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)


@given(name=st.text(min_size=1), days=st.integers(1, 30), late=st.lists(st.integers(0, 180), min_size=70, max_size=70))
def test_no_byte_stays_unread_for_longer_than_its_days(name: str, days: int, late: list[int]) -> None:
    """Each night at half past two, or up to three hours later."""
    read = NOW - DAY
    for night, minutes in enumerate(late):
        now = NOW + night * DAY + dt.timedelta(minutes=minutes)
        if is_due(name, read, now=now, days=days):
            read = now
        assert now - read < days * DAY


def test_what_was_never_read_or_read_in_the_future_is_due() -> None:
    assert is_due("a", None, now=NOW, days=30)
    assert is_due("a", NOW + DAY, now=NOW, days=30)


def test_a_night_has_its_share() -> None:
    names = [f"db-20261122-{number:04d}.sql.gz.age" for number in range(1000)]
    due = [name for name in names if is_due(name, NOW - DAY, now=NOW, days=10)]
    assert 50 < len(due) < 150


@pytest.mark.parametrize(
    "line",
    [
        "branch-001 ssh-ed25519 AAAA",
        "branch-002,branch-001 ssh-ed25519 AAAA",
        'branch-* namespaces="larapee-backup" ssh-ed25519 AAAA',
        "branch-00? ssh-ed25519 AAAA",
        "!branch-002,*  ssh-ed25519 AAAA",
        '"branch-001" ssh-ed25519 AAAA',
        '"branch-002 branch-001" ssh-ed25519 AAAA',
        "* cert-authority ssh-ed25519 AAAA",
    ],
)
def test_what_may_speak_of_the_branch_counts(line: str) -> None:
    others = "# branch-001\n\nbranch-002 ssh-ed25519 BBBB\nbranch-0012,branch-00 ssh-ed25519 CCCC\n"
    assert signers_of(f"{others}  {line}\n".encode(), BRANCH) == [line.encode()]
    assert signers_of(others.encode(), BRANCH) == []


@pytest.fixture(autouse=True)
def the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "now", lambda: NOW)


def proofs(place: Place, state: Path) -> Proofs:
    return Proofs(str(state), branch=BRANCH, allowed_signers=place.allowed_signers)


def test_a_proof_ends_with_the_file_it_is_of(place: Place, tmp_path: Path) -> None:
    path = place.put("db-20261122-1432.sql.gz")
    (entry,) = _catalog.read_catalogue(str(place.directory)).entries
    first = proofs(place, tmp_path)
    assert first.read_at(entry) is None
    first.check_read(entry)
    first.save(str(place.directory))
    assert proofs(place, tmp_path).read_at(entry) == NOW
    content = path.read_bytes()
    path.unlink()
    assert proofs(place, tmp_path).read_at(entry) is None
    path.write_bytes(b"x" * len(content))
    again = proofs(place, tmp_path)
    assert again.read_at(entry) is None
    with pytest.raises(_intact.NotIntactError):
        again.check_read(entry)
    again.save(str(place.directory))
    path.write_bytes(content)
    assert proofs(place, tmp_path).read_at(entry) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"artifacts": 1}', '{"artifacts": {"a": 1}}'])
def test_a_damaged_file_proves_nothing(place: Place, tmp_path: Path, damage: str) -> None:
    place.put("db-20261122-1432.sql.gz")
    (entry,) = _catalog.read_catalogue(str(place.directory)).entries
    first = proofs(place, tmp_path)
    first.check_read(entry)
    first.save(str(place.directory))
    (tmp_path / "proofs" / f"{BRANCH}.json").write_text(damage)
    assert proofs(place, tmp_path).read_at(entry) is None


def test_what_two_processes_prove_at_a_time_stays_and_what_went_goes(place: Place, tmp_path: Path) -> None:
    names = ["db-20261122-1432.sql.gz", "db-20261122-1433.sql.gz"]
    for number, name in enumerate(names, start=1):
        place.put(name, sequence=number)
    entries = _catalog.read_catalogue(str(place.directory)).entries
    both = [proofs(place, tmp_path) for _each in entries]
    for each, entry in zip(both, entries):
        each.check_read(entry)
        each.save(str(place.directory))
    assert [proofs(place, tmp_path).read_at(entry) for entry in entries] == [NOW, NOW]
    (place.directory / f"{names[1]}.manifest.json").unlink()
    both[0].save(str(place.directory))
    assert [proofs(place, tmp_path).read_at(entry) for entry in entries] == [NOW, None]

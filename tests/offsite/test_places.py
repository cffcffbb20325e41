# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another bucket, another prefix, another disk: what is remembered of one place is not believed of the next."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _ledger, _place_memory
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store
from tests.central.central import Central, tree
from tests.offsite.test_copy import CODE, copied, entries
from tests.offsite.test_prune import numbers, pruned
from tests.offsite.test_verify import fulls, verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed
    from tests.retention.branch import Branch


@pytest.fixture
def branch(central: Central) -> Branch:
    """Five fulls, aged by the real clock, which the storage has too."""
    central.now = _clock.now().replace(microsecond=0)
    return central.branch(CODE, runs=5)


@pytest.fixture(params=["directory", "bucket", "prefix"])
def two(
    request: pytest.FixtureRequest, tmp_path: Path, seaweed: Seaweed, bucket: str, opened: Callable[..., Store]
) -> tuple[Callable[[], Store], Callable[[], Store]]:
    """Two places; each time opened anew, as each run does."""
    if request.param == "directory":
        return (lambda: at(tmp_path / "a")), (lambda: at(tmp_path / "b"))
    second = f"s3://{bucket}/other"
    if request.param == "bucket":
        second = f"s3://{bucket}-next/first"
        seaweed.bucket(f"{bucket}-next")
    return (lambda: opened(f"s3://{bucket}/first")), (lambda: opened(second))


def at(path: Path) -> Store:
    return open_store({"url": str(path)})


def names(store: Store) -> set[str]:
    return {version.key.split("/")[1] for version in store.list(f"{CODE}/")}


def manifests(branch: Branch) -> set[str]:
    return {f"{each.name}.manifest.json" for each in entries(branch)}


def test_what_went_from_one_place_gets_to_the_next(
    central: Central, branch: Branch, two: tuple[Callable[[], Store], Callable[[], Store]]
) -> None:
    first, second = two
    copied(central, first())
    assert numbers(pruned(central, first())) == [(1, 5), (2, 5)]
    left = names(first())
    assert copied(central, first()).sent == []
    before = tree(central.state / "offsite")
    assert len(copied(central, second(), check_mode=True).sent) == len(entries(branch))
    assert tree(central.state / "offsite") == before
    outcome = copied(central, second())
    assert len(outcome.sent) == len(entries(branch))
    assert manifests(branch) <= names(second())
    assert "error" not in verified(central, second())
    # What a run that was cut off, or somebody's hand, left of it: newer ones are there, and nobody pruned the old ones.
    for version in second().list(f"{CODE}/"):
        if version.key.split("/")[1].startswith(fulls(branch)[0]):
            second().delete(version)
    assert fulls(branch)[0] in verified(central, second())["error"]
    assert [each["name"] for each in copied(central, second()).sent] == fulls(branch)[:1]
    assert "error" not in verified(central, second())
    # Retention there has its own memory, and so does what comes after it.
    assert numbers(pruned(central, second())) == [(1, 5), (2, 5)]
    assert copied(central, second()).sent == []
    # Nothing of that was said of the first place, whose memory is whole when it is used again.
    assert names(first()) == left
    assert copied(central, first()).sent == []
    assert "error" not in verified(central, first())


def test_what_people_said_goes_along(central: Central, branch: Branch, tmp_path: Path) -> None:
    first, second = at(tmp_path / "a"), at(tmp_path / "b")
    copied(central, first)
    assert pruned(central, first, hold="tax office", pin=(2,), reason="asked for").failure is None
    copied(central, second)
    assert numbers(pruned(central, second)) == []
    assert numbers(pruned(central, second, release=True, unpin=(2,))) == [(1, 5), (2, 5)]
    # The last word counts, also where another was said before.
    copied(central, first)
    assert numbers(pruned(central, first)) == [(1, 5), (2, 5)]
    assert manifests(branch) - names(first) == manifests(branch) - names(second)


def test_a_damaged_ledger_lets_nothing_go_at_the_next_place(central: Central, branch: Branch, tmp_path: Path) -> None:
    first, second = at(tmp_path / "a"), at(tmp_path / "b")
    copied(central, first)
    pruned(central, first)
    (central.state / "offsite" / "hot" / CODE / _ledger.NAME).write_text("{")
    copied(central, second)
    with pytest.raises(Exception, match=r"retention\.json|ledger"):
        pruned(central, second)
    assert manifests(branch) <= names(second)


def test_the_memory_of_an_earlier_version_is_that_of_its_place(
    central: Central, branch: Branch, tmp_path: Path
) -> None:
    """It has no list of places: the URL that it noted tells."""
    first, second = at(tmp_path / "a"), at(tmp_path / "b")
    copied(central, first)
    pruned(central, first)
    listed = central.state / "offsite" / f"hot-{CODE}.places.json"
    listed.unlink()
    assert copied(central, first).sent == []
    listed.unlink()
    assert len(copied(central, second).sent) == len(entries(branch))
    assert copied(central, first).sent == []


def test_a_bucket_of_the_same_name_elsewhere_is_another_place(
    central: Central, branch: Branch, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is there to be asked.
    monkeypatch.setattr(type(opened(f"s3://{bucket}")), "list", lambda _self, _prefix: [])

    def memory(endpoint: str) -> _place_memory.PlaceMemory:
        request: Any = _Request(CODE, str(central.state), "x")
        store = opened(f"s3://{bucket}", endpoint=endpoint)
        return _place_memory.open_memory(store, request, "hot", write=True)

    first, second = memory("https://one.example"), memory("https://two.example")
    assert first != second
    assert (memory("https://one.example/"), memory("https://two.example")) == (first, second)
    assert not os.path.exists(second.mirror)
    listed = json.loads((central.state / "offsite" / f"hot-{CODE}.places.json").read_text())
    assert [each["place"]["endpoint"] for each in listed["places"]] == ["https://one.example", "https://two.example"]


class _Request:
    def __init__(self, branch: str, state_path: str, run_id: str) -> None:
        self.branch = branch
        self.state_path = state_path
        self.run_id = run_id

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of the hot place: the rules of any other place, in a real bucket."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _ledger, _offsite_prune, _prune_request
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central, tree
from tests.central.playing import play, rows
from tests.offsite.test_copy import copied, entries
from tests.offsite.test_verify import fulls, verified, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._prune import PruneOutcome
    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed

CODE = CODES[0]


@pytest.fixture
def central(central: Central) -> Central:
    """Sets are aged by the real clock, which the storage has too."""
    central.now = _clock.now().replace(microsecond=0)
    return central


def pruned(central: Central, store: Store, *, check_mode: bool = False, **changes: Any) -> PruneOutcome:
    own = {"directory": "", "results": str(central.path / "branches" / CODE), "keep_days": 3}
    request = _prune_request.PruneRequest(**central.common(CODE, **{**own, **changes}))
    return _offsite_prune.prune_offsite(store, request, read_days=30, check_mode=check_mode)


def numbers(outcome: PruneOutcome) -> list[tuple[int, int]]:
    return [(drop.backup_set.number, drop.replaced_by.number) for drop in outcome.drops]


def test_what_is_over_age_goes_with_all_its_versions_and_is_not_sent_again(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=5)
    gone, *_kept = fulls(branch)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    seaweed.client().put_object(Bucket=bucket, Key=f"{CODE}/{gone}", Body=b"another version")
    before = (tree(central.state), list(store.list(f"{CODE}/")))
    preview = pruned(central, store, check_mode=True)
    assert (tree(central.state), list(store.list(f"{CODE}/"))) == before
    outcome = pruned(central, store)
    assert numbers(preview) == numbers(outcome) == [(1, 5), (2, 5)]
    assert outcome.failure is None
    left = {version.key.split("/")[1] for version in store.list(f"{CODE}/")}
    assert not any(name.startswith(gone) for name in left)
    # Central keeps it longer, and does not send it once more.
    again = copied(central, store)
    assert again.sent == []
    assert {version.key.split("/")[1] for version in store.list(f"{CODE}/")} == left
    assert "error" not in verified(central, store)
    assert pruned(central, store).changed is False


def test_nothing_goes_for_a_successor_that_is_not_whole_there(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    for name in fulls(branch)[1:]:
        store.delete(version_of(store, name))
    before = list(store.list(f"{CODE}/"))
    outcome = pruned(central, store)
    assert numbers(outcome) == []
    assert outcome.failure is not None
    assert outcome.failure.reason == "no_replacement"
    assert list(store.list(f"{CODE}/")) == before


def test_a_run_that_was_cut_off_is_ended_by_the_next(
    central: Central, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    known = type(store).delete
    deleted = []

    def until_the_third(self: Store, version: Any) -> None:
        if len(deleted) == 3:
            raise BackupError("Failed to remove it: the way there is cut.", reason="store_failed")
        deleted.append(version)
        known(self, version)

    with monkeypatch.context() as context:
        context.setattr(type(store), "delete", until_the_third)
        with pytest.raises(BackupError):
            pruned(central, store)
    copied(central, store)
    pruned(central, store)
    left = {version.key.split("/")[1] for version in store.list(f"{CODE}/")}
    names = sorted(each.name for each in entries(branch) if each.manifest.set_number > 2)
    assert {name for name in left if name.endswith(".manifest.json")} == {f"{name}.manifest.json" for name in names}
    assert not any(name.startswith(each.name) for name in left for each in entries(branch) if each.name not in names)
    assert "error" not in verified(central, store)


@pytest.mark.parametrize("first", ["copy", "verification", "retention"])
def test_what_was_pinned_outlives_the_loss_of_centrals_memory(
    central: Central, bucket: str, opened: Callable[..., Store], first: str
) -> None:
    central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert numbers(pruned(central, store, check_mode=True)) == [(1, 5), (2, 5)], "a first copy holds nothing"
    before = list(store.list(f"{CODE}/"))
    shutil.rmtree(central.state)
    assert numbers(pruned(central, store, check_mode=True)) == []
    {"copy": copied, "verification": verified, "retention": pruned}[first](central, store)
    outcome = pruned(central, store)
    assert numbers(outcome) == []
    assert "pin it anew, then release" in outcome.kept[0].why
    assert list(store.list(f"{CODE}/")) == before
    assert numbers(pruned(central, store, pin=(1,), reason="the tax office asks", release=True)) == [(2, 5)]


def test_a_death_before_the_hold_is_written_leaves_it_to_the_next_run(
    central: Central, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    shutil.rmtree(central.state)

    def full(_directory: str, _ledger: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as context:
        context.setattr(_ledger, "write_ledger", full)
        with pytest.raises(OSError, match="No space left"):
            pruned(central, store)
    assert numbers(pruned(central, store)) == []


def test_what_is_held_stays(central: Central, bucket: str, opened: Callable[..., Store]) -> None:
    central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    before = list(store.list(f"{CODE}/"))
    outcome = pruned(central, store, hold="the tax office asks")
    assert numbers(outcome) == []
    assert list(store.list(f"{CODE}/")) == before
    assert numbers(pruned(central, store, release=True)) == [(1, 5), (2, 5)]


def test_what_was_opened_at_central_stays_with_all_after_it(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    branch.open(1)
    outcome = pruned(central, store)
    assert numbers(outcome) == []
    assert {each.backup_set.number: each.code for each in outcome.kept} == {1: "opened", 2: "opened"}
    # A result about other bytes says nothing of those that are there, and one that is gone nothing at all.
    results = branch.directory / f"{fulls(branch)[0]}.verified.json"
    known = results.read_text()
    results.write_text(known.replace('"sha256": "', '"sha256": "0'))
    assert numbers(pruned(central, store, check_mode=True)) == [(1, 5), (2, 5)]
    results.unlink()
    assert numbers(pruned(central, store, check_mode=True)) == [(1, 5), (2, 5)]
    shutil.rmtree(central.path)
    assert numbers(pruned(central, store, check_mode=True)) == [(1, 5), (2, 5)]


def test_the_playbook_looks_at_central_for_what_was_opened(
    central: Central, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=5)
    copied(central, opened(str(tmp_path / "hot")))
    branch.open(1)
    facts = {"larapee_backup_offsite_hot_url": str(tmp_path / "hot"), "larapee_backup_offsite_hot_retention_days": 3}
    code, output = play(central, [CODE], playbook="larapee.backup.retention_offsite", **facts)
    assert code == 0, output
    (row,) = rows(central).values()
    assert [each["code"] for each in row.details["kept_over_age"]] == ["opened", "opened"]

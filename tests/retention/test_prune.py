# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of a place with real files and signatures: what goes, what stays, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _ledger, _lock, _sequence
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH
from tests.retention.branch import PARTS, RUNS, deleted, kept, reason

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retention.branch import Branch


def refused(branch: Branch, changes: dict[str, Any] | None = None) -> BackupError:
    before = branch.tree()
    with pytest.raises(BackupError) as caught:
        branch.prune(**(changes or {}))
    after = {name: each for name, each in branch.tree().items() if "/state/locks" not in name and name in before}
    assert after == {name: each for name, each in before.items() if name in after}
    return caught.value


def test_sets_over_age_go_and_the_newest_replaces_them(shop: Branch) -> None:
    outcome = shop.prune()
    assert deleted(outcome) == {1: 10, 2: 10, 3: 10}
    assert (kept(outcome), reason(outcome), outcome.changed) == ({}, None, True)
    assert shop.sets() == [4, 5, 6, 7, 8, 9, 10]
    facts = outcome.facts()
    assert facts["freed"] == sum(each["bytes"] for each in facts["deleted"]) > 0
    assert facts["deleted"][0]["time"] == "2026-03-02T23:15:00Z"
    for name in facts["deleted"][0]["artifacts"]:
        assert not any((shop.directory / (name + part)).exists() for part in PARTS)
    assert shop.ledger()["pruned"] == {"config": [[1, 3]], "db_full": [[1, 3]], "files_full": [[1, 3]]}
    assert shop.ledger()["going"] == {}
    assert shop.verify() == []
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=shop.directory, check=True)
    again = shop.prune()
    assert (again.drops, again.changed) == ([], False)


def test_a_chain_stays_whole_as_long_as_one_set_stands_on_it(branch: Branch) -> None:
    first = branch.run()
    for _run in range(3):
        branch.pass_hours(6)
        branch.run("increment")
    branch.pass_hours(6)
    branch.days(1)
    branch.pass_hours(-12)
    assert deleted(branch.prune(keep_days=1)) == {first: 5, 2: 5}
    # The dumps went, the uploads are what the increments of others begin with.
    assert branch.names(first) == ["config-20260302-2315.tar.zst", "public-uploads-20260302-2315.tar.zst"]
    assert branch.verify() == []
    branch.pass_hours(24)
    outcome = branch.prune(keep_days=1)
    assert branch.sets() == [5]
    assert outcome.failure is None
    assert branch.verify() == []


def test_check_mode_tells_all_and_changes_nothing(shop: Branch) -> None:
    before = shop.tree()
    outcome = shop.prune(check_mode=True, pin=(2,), acknowledge=(5,), hold="", reason="before the migration")
    assert shop.tree() == before
    assert (deleted(outcome), kept(outcome), outcome.changed) == ({1: 10, 3: 10}, {2: "pinned"}, True)
    shop.prune(check_mode=True, hold="stocktaking")
    assert shop.tree() == before
    assert deleted(shop.prune()) == {1: 10, 2: 10, 3: 10}


def test_when_every_set_is_corrupt_nothing_goes(branch: Branch) -> None:
    for number in branch.days(10):
        branch.damage(number)
    before = branch.tree()
    outcome = branch.prune()
    assert (deleted(outcome), outcome.changed) == ({}, False)
    assert kept(outcome) == dict.fromkeys((1, 2, 3), "no_replacement")
    assert reason(outcome) == "no_replacement"
    assert "(set 10 (2026-03-11T23:15:00Z): db-20260311-2315.sql.gz: " in str(outcome.failure)
    assert {name for name in branch.tree() if "/locks" not in name} == {name for name in before if "/locks" not in name}


@pytest.mark.parametrize("kind", ["db_full", "files_full", "config"])
def test_a_corrupt_set_replaces_nothing_and_may_go_itself(shop: Branch, kind: str) -> None:
    shop.damage(10, kind)
    shop.damage(1, kind)
    outcome = shop.prune()
    assert deleted(outcome) == {1: 9, 2: 9, 3: 9}
    assert 10 in shop.sets()


def test_a_set_that_this_branch_did_not_sign_replaces_nothing(shop: Branch) -> None:
    path = shop.directory / f"{shop.name(10, 'files_full')}.manifest.json"
    path.with_name(f"{path.name}.sig").write_bytes(shop.place.sign(path.read_bytes(), signer="branch-002"))
    assert deleted(shop.prune()) == {1: 9, 2: 9, 3: 9}


def test_the_last_good_set_stays_whatever_is_asked(shop: Branch) -> None:
    for number in range(3, 11):
        shop.damage(number)
    outcome = shop.prune(keep_days=1, acknowledge=(9,), reason="somebody insists")
    assert deleted(outcome) == {1: 2}
    assert reason(outcome) == "no_replacement"
    assert 2 in shop.sets()


@pytest.mark.parametrize("jump", [365 * 24, -365 * 24, 30 * 24])
def test_a_clock_that_jumps_deletes_nothing(branch: Branch, jump: int) -> None:
    branch.days(6)
    branch.pass_hours(jump)
    assert deleted(branch.prune()) == {}
    branch.days(2)
    outcome = branch.prune()
    assert (deleted(outcome), kept(outcome), reason(outcome)) == ({}, {}, None)
    branch.pass_hours(-jump)
    branch.run()
    assert deleted(branch.prune()) == {}
    assert branch.sets() == list(range(1, 10))


def test_a_clock_put_right_takes_back_what_it_aged(branch: Branch) -> None:
    for _day in range(8):
        branch.run()
        branch.pass_hours(47)
        branch.run()
        branch.pass_hours(-35)
    # Seven days by the sum of all steps forward, four by the sun.
    assert deleted(branch.prune()) == {}


def test_a_shop_closed_for_weeks_keeps_more(branch: Branch) -> None:
    branch.days(5)
    branch.pass_hours(24 * 21)
    branch.days(3)
    assert deleted(branch.prune()) == {}


def test_a_new_epoch_replaces_nothing_until_somebody_acknowledges_it(branch: Branch) -> None:
    branch.days(3)
    branch.days(9, epoch="11111111-2222-4333-8444-555555555555")
    outcome = branch.prune()
    # Within the old epoch the newest replaces the others; it stays itself.
    assert deleted(outcome) == {1: 3, 2: 3, 4: 12, 5: 12}
    assert kept(outcome) == {3: "needs_acknowledgement"}
    assert reason(outcome) == "needs_acknowledgement"
    assert "set 12 (2026-03-13T23:15:00Z) is of a new epoch" in str(outcome.failure)
    outcome = branch.prune(acknowledge=(12,), reason="the server was replaced")
    assert (deleted(outcome), kept(outcome), reason(outcome)) == ({3: 12}, {}, None)
    assert branch.ledger()["acknowledged"]["12"]["reason"] == "the server was replaced"


def test_a_new_epoch_replaces_when_it_was_opened_and_all_after_it_stay(branch: Branch) -> None:
    branch.days(3)
    branch.days(9, epoch="11111111-2222-4333-8444-555555555555")
    branch.open(4)
    outcome = branch.prune()
    assert deleted(outcome) == {1: 4, 2: 4, 3: 4}
    assert kept(outcome) == {4: "opened", 5: "opened"}
    assert branch.sets() == list(range(4, 13))


def test_a_result_of_other_bytes_opens_nothing(branch: Branch) -> None:
    branch.days(3)
    branch.days(9, epoch="11111111-2222-4333-8444-555555555555")
    branch.open(4)
    path = branch.directory / f"{branch.name(4, 'db_full')}.verified.json"
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
    assert 3 not in deleted(branch.prune())


@pytest.mark.parametrize("lost", [{"rows": 500}, {"entries": 50}])
def test_half_of_it_gone_replaces_nothing_until_somebody_acknowledges_it(branch: Branch, lost: dict[str, int]) -> None:
    branch.days(4)
    branch.days(8, **lost)
    outcome = branch.prune()
    assert deleted(outcome) == {1: 4, 2: 4, 3: 4, 5: 12}
    assert (kept(outcome), reason(outcome)) == ({4: "needs_acknowledgement"}, "needs_acknowledgement")
    assert "set 12 (2026-03-13T23:15:00Z) has lost 50 % of the" in str(outcome.failure)
    assert deleted(branch.prune(acknowledge=(12,), reason="old orders were archived")) == {4: 12}


def test_what_a_day_increments_lost_counts_for_the_sets_of_that_day_only(branch: Branch) -> None:
    branch.run()
    branch.pass_hours(6)
    branch.run("increment")
    branch.pass_hours(6)
    branch.run("increment", entries=40)
    branch.pass_hours(12)
    branch.days(3, entries=40)
    outcome = branch.prune(keep_days=1)
    assert deleted(outcome) == {1: 2, 3: 6, 4: 6, 5: 6}
    assert kept(outcome) == {2: "needs_acknowledgement"}


@pytest.mark.parametrize("problem", [{"unreadable": 1}, {}])
def test_a_set_that_lacks_unreadable_files_replaces_nothing(branch: Branch, problem: dict[str, int]) -> None:
    branch.days(9)
    branch.run(problems={"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0, **problem})
    assert set(deleted(branch.prune()).values()) == {9 if problem else 10}


def test_a_set_whose_increment_does_not_join_replaces_nothing(branch: Branch) -> None:
    branch.days(9)
    branch.run()
    for _run in range(2):
        branch.pass_hours(1)
        branch.run("increment")
    os.unlink(branch.directory / f"{branch.name(11, 'files_increment')}.manifest.json")
    assert set(deleted(branch.prune()).values()) == {11}


def test_a_pin_stays_until_it_is_unpinned(shop: Branch) -> None:
    outcome = shop.prune(pin=(2,), reason="before the migration")
    assert (deleted(outcome), kept(outcome)) == ({1: 10, 3: 10}, {2: "pinned"})
    assert set(shop.ledger()["pinned"]["2"]) == {"reason", "at", "by"}
    assert deleted(shop.prune()) == {}
    assert deleted(shop.prune(unpin=(2,))) == {2: 10}
    assert shop.ledger()["pinned"] == {}


def test_while_the_branch_is_on_hold_nothing_goes(shop: Branch) -> None:
    outcome = shop.prune(hold="the tax office asks")
    assert (deleted(outcome), reason(outcome)) == ({}, None)
    assert kept(outcome) == dict.fromkeys((1, 2, 3), "held")
    assert "the tax office asks" in outcome.facts()["kept_over_age"][0]["why"]
    assert deleted(shop.prune()) == {}
    assert deleted(shop.prune(release=True)) == {1: 10, 2: 10, 3: 10}


def test_what_central_has_not_acknowledged_stays_until_the_quota_is_reached(shop: Branch) -> None:
    acknowledged = shop.state / "acknowledged/branch-001.json"
    acknowledged.parent.mkdir()
    hashes = [line.split("  ") for line in (shop.directory / "SHA256SUMS").read_text().splitlines()]
    known = {name: digest for digest, name in hashes if name in shop.names(2)}
    acknowledged.write_text(json.dumps({"artifacts": known}))
    outcome = shop.prune(require_acknowledgement=True)
    assert deleted(outcome) == {2: 10}
    assert kept(outcome) == {1: "not_at_central", 3: "not_at_central"}
    used = sum(path.stat().st_size for path in shop.directory.iterdir())
    outcome = shop.prune(require_acknowledgement=True, quota_bytes=used + 10**6)
    assert (deleted(outcome), reason(outcome)) == ({}, None)
    # As much as is needed, the oldest first.
    expected = sum(int(1.3 * (shop.directory / name).stat().st_size) for name in shop.names(10))
    outcome = shop.prune(require_acknowledgement=True, quota_bytes=used + expected - 10)
    assert (deleted(outcome), kept(outcome)) == ({1: 10}, {3: "not_at_central"})
    assert reason(outcome) == "unacknowledged_pruned"
    assert "from 2026-03-02T23:15:00Z to 2026-03-02T23:15:00Z" in str(outcome.failure)


def test_what_central_has_under_another_hash_it_does_not_have(shop: Branch) -> None:
    acknowledged = shop.state / "acknowledged/branch-001.json"
    acknowledged.parent.mkdir()
    names = ", ".join(f'"{name}": "{"0" * 64}"' for name in shop.names(1))
    acknowledged.write_text(f'{{"artifacts": {{{names}}}}}')
    assert deleted(shop.prune(require_acknowledgement=True)) == {}
    acknowledged.write_text("[]")
    outcome = shop.prune(require_acknowledgement=True)
    assert deleted(outcome) == {}
    assert "unusable" in outcome.warnings[0]


def test_what_is_not_of_this_branch_or_not_in_order_is_not_touched(shop: Branch) -> None:
    foreign = shop.place.put("db-20260101-0000.sql.gz", branch="branch-002", signer="branch-002", set=1)
    others = {"db-20260101-0030.sql.gz": b"cron", "db-20260101-0100.sql.gz.age": b"no manifest", "notes": b"!"}
    others["db-20260101-0200.sql.gz.manifest.json"] = b"damaged"
    for name, content in others.items():
        (shop.directory / name).write_bytes(content)
    assert deleted(shop.prune()) == {1: 10, 2: 10, 3: 10}
    assert {name: (shop.directory / name).read_bytes() for name in others} == others
    assert all((foreign.with_name(foreign.name + part)).exists() for part in PARTS[:3])


def test_a_set_with_a_number_that_was_never_given_decides_nothing(shop: Branch) -> None:
    forged = shop.place.put("db-20260313-0000.sql.gz", sequence=99, set=99, signer="branch-002")
    outcome = shop.prune()
    assert deleted(outcome) == {1: 10, 2: 10, 3: 10}
    assert "never given" in outcome.warnings[0]
    assert forged.exists()


def test_sets_that_an_older_state_does_not_know_replace_others(shop: Branch) -> None:
    for kind in RUNS["full"]:
        _sequence.remember(str(shop.state), branch=BRANCH, kind=kind, number=3)
    outcome = shop.prune()
    assert deleted(outcome) == {1: 10, 2: 10, 3: 10}
    assert outcome.warnings == []


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"keep_days": 0}, "bad_request"),
        ({"keep_days": -7}, "bad_request"),
        ({"hold": "a", "release": True}, "bad_request"),
        ({"pin": (2,), "unpin": (2,), "reason": "a"}, "bad_request"),
        ({"pin": (2,)}, "bad_request"),
        ({"acknowledge": (2,), "reason": " "}, "bad_request"),
        ({"pin": (77,), "reason": "a"}, "no_such_set"),
        ({"acknowledge": (77,), "reason": "a"}, "no_such_set"),
        ({"unpin": (77,)}, "no_such_set"),
        ({"branch": "../x"}, "bad_branch"),
        ({"allowed_signers": "/nonexistent"}, "no_allowed_signers"),
    ],
    ids=lambda each: each if isinstance(each, str) else "-".join(each),
)
def test_what_cannot_be_done_is_refused(shop: Branch, changes: dict[str, Any], slug: str) -> None:
    assert refused(shop, changes).reason == slug
    assert shop.sets() == list(range(1, 11))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "branch": "branch-002"}'], ids=range(5)
)
def test_with_a_damaged_ledger_nothing_is_removed(shop: Branch, content: bytes) -> None:
    (shop.directory / _ledger.NAME).write_bytes(content)
    error = refused(shop)
    assert error.reason == "bad_ledger"
    assert "another place" in str(error)
    assert any(each.startswith("retention.json: damaged") for each in shop.verify())


def test_another_retention_or_a_restore_goes_first(shop: Branch) -> None:
    for lock in ("retention-branch-001", "restore-branch-001"):
        with _lock.hold(str(shop.state), lock, run_id="r"):
            assert refused(shop).reason == "lock_held"
            assert deleted(shop.prune(check_mode=True)) == {1: 10, 2: 10, 3: 10}


def test_what_cannot_be_removed_is_said_and_the_next_run_goes_on(shop: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = shop.name(2, "db_full")
    unlink = os.unlink

    def failing(path: str | Path) -> None:
        if str(path).endswith(stuck):
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", failing)
        with pytest.raises(BackupError, match="Operation not permitted") as caught:
            shop.prune()
    assert caught.value.reason == "remove_failed"
    assert list(shop.ledger()["going"]) == [stuck]
    assert shop.verify() == []
    shop.prune()
    assert shop.sets() == list(range(4, 11))
    assert not (shop.directory / stuck).exists()
    assert shop.ledger()["pruned"]["db_full"] == [[1, 3]]


def test_the_ledger_excuses_what_was_pruned_and_not_what_was_lost(shop: Branch) -> None:
    shop.prune()
    lost = shop.name(7, "db_full")
    for part in PARTS:
        (shop.directory / (lost + part)).unlink(missing_ok=True)
    assert shop.verify() == ["db_full 7: number 7 of kind db_full is missing: its manifest was removed"]


def test_a_ledger_that_says_the_newest_was_pruned_is_not_believed(shop: Branch) -> None:
    shop.prune()
    for name in shop.names(10):
        for part in PARTS:
            (shop.directory / (name + part)).unlink(missing_ok=True)
    path = shop.directory / _ledger.NAME
    path.write_text(path.read_text().replace("3\n", "10\n"))
    assert shop.ledger()["pruned"]["db_full"] == [[1, 10]]
    assert "db_full 10: number 10 of kind db_full is missing: its manifest was removed" in shop.verify()

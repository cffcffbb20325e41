# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification and retention of what was sealed of a real server's binary logs."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _manifest, _prune, _signature
from ansible_collections.larapee.backup.plugins.module_utils._verify import FAILED, OK
from tests.database.estate import BRANCH
from tests.pitr.sealing import SealingBranch

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from larapee_runner.demo.server import ThrowawayServer
    from tests.database.estate import Keys


@pytest.fixture
def branch(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=source, target=target, keys=keys, root=tmp_path)


def sold_and_sealed(branch: SealingBranch, **changes: Any) -> Manifest:
    branch.sell(2)
    return branch.increment(**changes)


def resigned(branch: SealingBranch, made: Manifest, **changes: Any) -> None:
    """The branch's own key, and a manifest that says something else."""
    path = branch.local / f"{made.artifact}.manifest.json"
    raw = json.dumps({**json.loads(path.read_bytes()), **changes}).encode()
    path.write_bytes(raw)
    signature = _signature.sign(raw, key=str(branch.keys.signing_key))
    path.with_name(f"{path.name}.sig").write_bytes(signature)


def prune(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch, *, hours: float) -> _prune.PruneOutcome:
    now = _clock.now()
    request = _prune.PruneRequest(
        branch=BRANCH,
        directory=str(branch.local),
        allowed_signers=str(branch.keys.allowed_signers),
        state_path=str(branch.state),
        run_id=str(uuid.uuid4()),
        keep_days=1,
    )
    with monkeypatch.context() as patch:
        patch.setattr(_clock, "now", lambda: now + dt.timedelta(hours=hours))
        return _prune.prune_place(request)


def test_increments_open_and_a_fingerprint_with_them(branch: SealingBranch) -> None:
    branch.full()
    made = [sold_and_sealed(branch), sold_and_sealed(branch, fingerprint=True)]
    branch.restart(kill=True)
    made.append(sold_and_sealed(branch))
    outcome = branch.verify(identity=branch.keys.identity)
    assert outcome.failures == []
    assert {check.status for check in outcome.checks if check.level == "opened"} == {OK}
    assert outcome.recovery_point == _manifest.format_time(made[-1].recovery_point)


def test_a_signed_manifest_that_the_binary_log_contradicts_does_not_open(branch: SealingBranch) -> None:
    branch.full()
    made = sold_and_sealed(branch)
    resigned(branch, made, transactions=made.document["transactions"] + 1)
    assert branch.verify().failures == []
    (failure,) = branch.verify(identity=branch.keys.identity).failures
    assert (failure.artifact, failure.level, failure.status) == (made.artifact, "opened", FAILED)
    assert "transactions is" in failure.reason


def test_a_missing_increment_fails_and_the_recovery_point_lies_before_it(branch: SealingBranch) -> None:
    branch.full()
    made = [sold_and_sealed(branch) for _number in range(3)]
    for path in branch.local.glob(f"{made[1].artifact}*"):
        path.unlink()
    outcome = branch.verify()
    assert [check.artifact for check in outcome.failures] == ["db_increment 2", made[2].artifact]
    assert made[1].artifact in outcome.failures[1].reason
    assert outcome.recovery_point == _manifest.format_time(made[0].recovery_point)


def test_old_increments_go_with_their_full_and_what_is_left_reaches_as_far(
    branch: SealingBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.full()
    old = [sold_and_sealed(branch) for _number in range(2)]
    branch.sell()
    newer = branch.full()
    # The newer full stands in the middle of what this one holds.
    shared = sold_and_sealed(branch)
    last = sold_and_sealed(branch)
    outcome = prune(branch, monkeypatch, hours=30)
    assert outcome.failure is None
    assert [drop.replaced_by.members[0].artifact for drop in outcome.drops] == [newer.artifact]
    assert set(branch.files()) & {each.artifact for each in (*old, newer, shared, last)} == {
        newer.artifact,
        shared.artifact,
        last.artifact,
    }
    verified = branch.verify()
    assert verified.failures == []
    assert verified.recovery_point == _manifest.format_time(last.recovery_point)
    # And the stream goes on.
    following = sold_and_sealed(branch)
    assert following.document["previous"] == last.artifact
    assert branch.verify().recovery_point == _manifest.format_time(following.recovery_point)


def test_while_the_newer_full_is_bad_the_older_one_stays_with_all_increments(
    branch: SealingBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = branch.full()
    made = [sold_and_sealed(branch)]
    second = branch.full()
    made += [sold_and_sealed(branch), sold_and_sealed(branch)]
    path = branch.local / second.artifact
    path.write_bytes(path.read_bytes()[:-1])
    outcome = prune(branch, monkeypatch, hours=30)
    assert outcome.drops == []
    assert outcome.failure is not None
    assert outcome.failure.reason == "no_replacement"
    assert set(branch.files()) >= {each.artifact for each in (first, *made)}
    verified = branch.verify()
    assert [check.artifact for check in verified.failures] == [second.artifact]
    assert verified.recovery_point == _manifest.format_time(made[-1].recovery_point)


def test_an_idle_shop_outlives_its_last_increment(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.full()
    old = sold_and_sealed(branch)
    second = branch.full()
    assert branch.seal().unchanged
    assert len(prune(branch, monkeypatch, hours=30).drops) == 1
    assert old.artifact not in branch.files()
    made = sold_and_sealed(branch)
    assert branch.verify().failures == []
    assert branch.verify().recovery_point == _manifest.format_time(made.recovery_point)
    assert made.epoch == second.epoch

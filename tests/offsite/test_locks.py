# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verification of the archive says of its locks, as real buckets have them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.offsite.test_copy import CODE, copied
from tests.offsite.test_verify import fulls, verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.central.central import Central


def test_what_nothing_locks_fails_though_its_bytes_are_right(
    central: Central, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store, "cold", unlocked=True)
    assert "error" not in verified(central, store, "cold", unlocked=True)
    with pytest.raises(BackupError) as caught:
        verified(central, store, "cold")
    assert caught.value.reason == "no_object_lock"
    # A bucket that got its lock later than its content.
    monkeypatch.setattr(type(store), "require_lock", lambda _store: None)
    report = verified(central, store, "cold")
    assert "nothing locks" in report["error"]
    assert (report["recovery_point"], report["details"]["intact"]) == (None, 0)


def test_the_newest_artifacts_are_locked_as_long_as_is_set(
    central: Central, locked: str, opened: Callable[..., Store]
) -> None:
    central.now = _clock.now().replace(microsecond=0)
    central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold", lock_days=100)
    assert "error" not in verified(central, store, "cold", lock_days=100)
    report = verified(central, store, "cold", lock_days=120)
    assert "not 120 days after it was made" in report["error"]
    assert "not 120 days after it was made" in verified(central, store, "cold", lock_days=120)["error"]
    for version in store.list(f"{CODE}/"):
        store.lock(version, _clock.now() + dt.timedelta(days=130))
    assert "error" not in verified(central, store, "cold", lock_days=120), "the storage is asked again"
    assert "it is the newest, and its lock ends at" in verified(central, store, "cold", days=131)["error"]


def test_a_base_that_is_let_go_before_its_increments_fails(
    central: Central, locked: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _offsite

    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    branch.run("log")
    with monkeypatch.context() as context:
        context.setattr(_offsite._Copying, "_lock_bases", lambda *_given, **_named: None)
        copied(central, store, "cold", lock_days=100)
    report = verified(central, store, "cold")
    assert "its lock ends before that of" in report["error"]
    name = fulls(branch)[0]
    assert name in {each["artifact"] for each in report["details"]["failures"]}
    for version in store.list(f"{CODE}/"):
        store.lock(version, _clock.now() + dt.timedelta(days=101))
    assert "error" not in verified(central, store, "cold")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each identity may do in a bucket, and what a thief of its key cannot: real requests, the shipped policies."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _offsite
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES
from tests.offsite.test_copy import copied
from tests.offsite.test_prune import pruned
from tests.offsite.test_verify import verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.central.central import Central
    from tests.offsite.seaweed import Seaweed

POLICIES = (
    Path(__file__).resolve().parents[2] / "collection/ansible_collections/larapee/backup/roles/offsite/files/policies"
)
KEY = f"{CODES[0]}/config-20261122-0300.tar.zst.age"
_numbers = itertools.count(1)


def identity(seaweed: Seaweed, name: str, bucket: str) -> tuple[str, str]:
    policy: dict[str, Any] = json.loads((POLICIES / f"{name}.json").read_text().replace("BUCKET", bucket))
    return seaweed.identity(f"{name}-{next(_numbers)}", policy)


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, caught.value.response


def stored(seaweed: Seaweed, bucket: str) -> dict[str, str]:
    """One object, as the administrator put it."""
    version = seaweed.client().put_object(Bucket=bucket, Key=KEY, Body=b"ciphertext")["VersionId"]
    return {"Bucket": bucket, "Key": KEY, "VersionId": version}


def test_the_writers_policy_is_enough_for_both_places(
    central: Central, bucket: str, locked: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODES[0], runs=1)
    branch.run("log")
    for name, target in ((bucket, _offsite.HOT), (locked, _offsite.COLD)):
        key = identity(seaweed, "writer", name)
        outcome = copied(central, opened(f"s3://{name}", key=key), target)
        assert "error" not in outcome.report()
        assert outcome.sent


def test_a_stolen_writers_key_neither_deletes_nor_unlocks(locked: str, seaweed: Seaweed) -> None:
    where = stored(seaweed, locked)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=100)
    seaweed.client().put_object_retention(**where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    thief = seaweed.client(*identity(seaweed, "writer", locked))
    refused(thief.delete_object, **where)
    refused(thief.delete_object, **where, BypassGovernanceRetention=True)
    refused(thief.delete_object, Bucket=locked, Key=KEY)
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": until - dt.timedelta(days=50)}
    refused(thief.put_object_retention, **where, Retention=sooner)
    refused(thief.put_bucket_versioning, Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    refused(
        thief.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    )
    refused(thief.delete_bucket, Bucket=locked)
    refused(thief.create_bucket, Bucket=f"{locked}-of-the-thief")
    assert seaweed.client().get_object(**where)["Body"].read() == b"ciphertext"


def test_a_stolen_writers_key_deletes_nothing_in_the_hot_place(bucket: str, seaweed: Seaweed) -> None:
    where = stored(seaweed, bucket)
    thief = seaweed.client(*identity(seaweed, "writer", bucket))
    refused(thief.delete_object, **where)
    refused(thief.delete_object, Bucket=bucket, Key=KEY)
    refused(thief.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_what_a_thief_puts_over_an_artifact_is_not_taken_for_it(
    central: Central, bucket: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    central.branch(CODES[0], runs=1)
    store = opened(f"s3://{bucket}")
    first = copied(central, store)
    for each in first.sent:
        seaweed.client().put_object(Bucket=bucket, Key=f"{CODES[0]}/{each['name']}", Body=b"of a thief")
    again = copied(central, store)
    assert (again.sent, again.present) == ([], len(first.sent))
    (central.state / "offsite" / f"hot-{CODES[0]}.json").unlink()
    assert copied(central, store).sent == []


@pytest.mark.parametrize("name", ["auditor", "restorer"])
def test_readers_read_and_change_nothing(bucket: str, seaweed: Seaweed, name: str) -> None:
    where = stored(seaweed, bucket)
    reader = seaweed.client(*identity(seaweed, name, bucket))
    assert reader.get_object(**where)["Body"].read() == b"ciphertext"
    assert reader.list_object_versions(Bucket=bucket)["Versions"]
    refused(reader.put_object, Bucket=bucket, Key=KEY, Body=b"x")
    refused(reader.delete_object, **where)


def test_the_auditors_and_the_pruners_policies_are_enough(
    central: Central, bucket: str, locked: str, seaweed: Seaweed, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODES[0], runs=5)
    branch.run("log")
    for name, target in ((bucket, _offsite.HOT), (locked, _offsite.COLD)):
        copied(central, opened(f"s3://{name}"), target)
        auditor = opened(f"s3://{name}", key=identity(seaweed, "auditor", name))
        assert "error" not in verified(central, auditor, target)
    central.now = _clock.now()
    pruner = opened(f"s3://{bucket}", key=identity(seaweed, "pruner", bucket))
    assert pruned(central, pruner).drops
    with pytest.raises(BackupError, match="refuses this identity"):
        pruned(central, opened(f"s3://{bucket}", key=identity(seaweed, "auditor", bucket)), keep_days=1)


def test_the_pruner_removes_from_hot_and_not_what_is_locked(bucket: str, locked: str, seaweed: Seaweed) -> None:
    hot, cold = stored(seaweed, bucket), stored(seaweed, locked)
    pruner = seaweed.client(*identity(seaweed, "pruner", bucket))
    refused(pruner.put_object, Bucket=bucket, Key=KEY, Body=b"x")
    refused(pruner.delete_object, **cold)
    pruner.delete_object(**hot)
    # The lock holds by itself, also against one that the policy would let.
    refused(seaweed.client(*identity(seaweed, "pruner", locked)).delete_object, **cold)

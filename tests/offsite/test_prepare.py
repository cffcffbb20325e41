# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets as the administrator makes them, and the lock that has to refuse him."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store._administrator import ABORT_DAYS, Administrator
from tests.central.central import CODES, Central
from tests.offsite.seaweed import ADMIN
from tests.offsite.test_copy import copied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import S3Store
    from tests.offsite.seaweed import Seaweed

_numbers = itertools.count(1)


def prepared(store: S3Store, *, locked: bool = True, write: bool = True) -> list[str]:
    return Administrator(store, "us-east-1", write=write).prepare(locked=locked, lock_days=90)


@pytest.fixture
def name() -> str:
    return f"prepared-{next(_numbers)}"


def test_what_is_made_takes_copies_and_is_made_once(
    central: Central, seaweed: Seaweed, opened: Callable[..., Any], name: str
) -> None:
    central.branch(CODES[0])
    for target, locked in (("hot", False), ("cold", True)):
        store = opened(f"s3://{name}-{target}/estate")
        assert prepared(store, locked=locked, write=False) == ["bucket"]
        changes = prepared(store, locked=locked)
        assert {"bucket", "lifecycle"} <= set(changes)
        assert prepared(store, locked=locked) == []
        assert copied(central, store, target).sent
        client = seaweed.client()
        (rule,) = client.get_bucket_lifecycle_configuration(Bucket=f"{name}-{target}")["Rules"]
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": ABORT_DAYS}
        assert client.get_bucket_versioning(Bucket=f"{name}-{target}")["Status"] == "Enabled"
    retention = client.get_object_lock_configuration(Bucket=f"{name}-cold")["ObjectLockConfiguration"]["Rule"]
    assert retention == {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 90}}


def test_rules_and_defaults_of_others_stay(seaweed: Seaweed, opened: Callable[..., Any], name: str) -> None:
    seaweed.bucket(name, locked=True, days=400)
    client = seaweed.client()
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})
    assert prepared(opened(f"s3://{name}")) == ["lifecycle"]
    rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    # In the storage's order: Ceph's is that of their names.
    assert {each["ID"] for each in rules} == {"theirs", "larapee-abort-unfinished-uploads"}
    assert len(rules) == 2
    assert [each["Expiration"]["Days"] for each in rules if each["ID"] == "theirs"] == [3]
    lock = client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"]["Days"] == 400


def test_a_bucket_without_lock_is_no_archive(seaweed: Seaweed, opened: Callable[..., Any], name: str) -> None:
    seaweed.bucket(name)
    with pytest.raises(BackupError) as caught:
        prepared(opened(f"s3://{name}"))
    assert caught.value.reason == "no_object_lock"


def test_the_canary_is_refused_by_the_lock_and_stays(seaweed: Seaweed, opened: Callable[..., Any], name: str) -> None:
    store = opened(f"s3://{name}")
    prepared(store)
    left = seaweed.client().list_object_versions(Bucket=name)["Versions"]
    assert [each["Key"].split("-")[0] for each in left] == [".canary/compliance"]


def test_a_refusal_by_policy_proves_nothing(seaweed: Seaweed, opened: Callable[..., Any], name: str) -> None:
    """The same answer as the lock's, from an identity that may not remove anything at all."""
    prepared(opened(f"s3://{name}"))
    every = {"Effect": "Allow", "Resource": ["arn:aws:s3:::*"]}
    actions = ["s3:Get*", "s3:List*", "s3:Put*", "s3:CreateBucket"]
    key = seaweed.identity(f"half-{name}", {"Version": "2012-10-17", "Statement": [{**every, "Action": actions}]})
    with pytest.raises(BackupError) as caught:
        prepared(opened(f"s3://{name}", key=key))
    assert caught.value.reason == "canary_not_tried"


def test_a_lock_that_does_not_hold_is_found(
    opened: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that takes a lock and does not keep it: simulated, as none of those at hand does that."""
    store = opened(f"s3://{name}")
    prepared(store)
    put = store.client.put_object

    def weak(**given: Any) -> Any:
        return put(**{**given, "ObjectLockMode": "GOVERNANCE"})

    monkeypatch.setattr(store.client, "put_object", weak)
    with pytest.raises(BackupError) as caught:
        prepared(store)
    assert caught.value.reason == "lock_broken"


def test_the_playbook_prepares_both(seaweed: Seaweed, tmp_path: Path, name: str) -> None:
    credentials = tmp_path / "administrator.ini"
    credentials.write_text(f"[s3]\naccess_key = {ADMIN[0]}\nsecret_key = {ADMIN[1]}\n")
    credentials.chmod(0o600)
    settings = {
        "larapee_backup_offsite_hot_url": f"s3://{name}-h/b",
        "larapee_backup_offsite_cold_url": f"s3://{name}-c/b",
        "larapee_backup_s3_endpoint": seaweed.endpoint,
        "larapee_backup_s3_ca_file": str(seaweed.certificate),
    }
    variables = {
        "larapee_backup_central_settings": settings,
        "larapee_backup_s3_administrator_credentials_file": str(credentials),
    }
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(json.dumps({"central": {"hosts": {"unreachable.example": {}}}}))
    argv = ["ansible-playbook", "-i", str(inventory), "playbooks/offsite_prepare.yml", "-e", json.dumps(variables)]
    for changed in ("changed=1", "changed=0"):
        done = subprocess.run(argv, env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert changed in done.stdout
        assert ADMIN[1] not in done.stdout + done.stderr
    assert seaweed.client().get_object_lock_configuration(Bucket=f"{name}-c")

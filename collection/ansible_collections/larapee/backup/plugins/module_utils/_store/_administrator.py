# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket as its administrator makes it: versions, a lock, a lifecycle; and the proof that the lock refuses him too.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import typing as t
import uuid

from .. import _clock
from .._errors import BackupError
from ._s3 import S3Store

_CANARY = ".canary/"
# The shortest that a lock of a day can last, whatever the clocks of both sides are.
_LOCKED = dt.timedelta(days=1)
_RULE = "larapee-abort-unfinished-uploads"
ABORT_DAYS: t.Final = 7


class Administrator:
    """Whoever may make and change the bucket of *store*. Each ``ensure_`` tells what it changed, or would."""

    def __init__(self, store: S3Store, region: str, *, write: bool) -> None:
        self._store = store
        self._client = store.client
        self._bucket = store.bucket
        self._region = region
        self._write = write

    def prepare(self, *, locked: bool, lock_days: int) -> list[str]:
        """What was changed; raise BackupError for a bucket that cannot be what it is to be."""
        with self._store.errors("prepare", ""):
            changes = self._ensure_bucket(locked=locked)
            if changes and not self._write:
                return changes
            changes += self._ensure_versions()
            if locked:
                changes += self._ensure_retention(lock_days)
            changes += self._ensure_lifecycle()
        if locked and self._write:
            self._store.require_lock()
            self._prove_lock()
        return changes

    def _ensure_bucket(self, *, locked: bool) -> list[str]:
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except self._client.exceptions.ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
        else:
            return []
        if self._write:
            # The provider's first region is the one that must not be named.
            where = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
            self._client.create_bucket(
                Bucket=self._bucket,
                ObjectLockEnabledForBucket=locked,
                **({"CreateBucketConfiguration": where} if where else {}),
            )
        return ["bucket"]

    def _ensure_versions(self) -> list[str]:
        if self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled":
            return []
        if self._write:
            self._client.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration={"Status": "Enabled"})
        return ["versioning"]

    def _ensure_retention(self, lock_days: int) -> list[str]:
        lock: dict[str, t.Any] = {}
        with contextlib.suppress(self._client.exceptions.ClientError):
            answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
            lock = answer["ObjectLockConfiguration"]
        if lock.get("ObjectLockEnabled") != "Enabled" or lock.get("Rule", {}).get("DefaultRetention"):
            # What has no lock is refused below; another default is somebody's decision.
            return []
        if self._write:
            self._client.put_object_lock_configuration(
                Bucket=self._bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": lock_days}},
                },
            )
        return ["default retention"]

    def _ensure_lifecycle(self) -> list[str]:
        """Have unfinished uploads aborted; rules of others stay."""
        rules: list[dict[str, t.Any]] = []
        try:
            rules = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)["Rules"]
        except self._client.exceptions.ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                raise
        if any(each.get("ID") == _RULE for each in rules):
            return []
        if self._write:
            ours = {
                "ID": _RULE,
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
            }
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket, LifecycleConfiguration={"Rules": [*rules, ours]}
            )
        return ["lifecycle"]

    def _prove_lock(self) -> None:
        """Remove what only a GOVERNANCE lock holds, so that what refuses the other can be nothing but its lock."""
        with self._store.errors("try the lock of", ""):
            if not self._is_removed("GOVERNANCE"):
                raise BackupError(
                    f"Failed to try the lock of {self._store.url}: this identity may not remove versions and bypass "
                    "governance, so that a refusal would prove nothing. Give it both rights for this time "
                    "(s3:DeleteObjectVersion, s3:BypassGovernanceRetention).",
                    reason="canary_not_tried",
                )
            if self._is_removed("COMPLIANCE"):
                raise BackupError(
                    f"Failed to trust the lock of {self._store.url}: the storage removed a version that was locked in "
                    "COMPLIANCE mode until tomorrow. Use another storage for the immutable archive.",
                    reason="lock_broken",
                )
            self._sweep()

    def _is_removed(self, mode: str) -> bool:
        where = {"Bucket": self._bucket, "Key": f"{_CANARY}{mode.lower()}-{uuid.uuid4()}"}
        until = _clock.now() + _LOCKED
        answer = self._client.put_object(
            Body=b"canary\n", ObjectLockMode=mode, ObjectLockRetainUntilDate=until, **where
        )
        try:
            self._client.delete_object(VersionId=answer["VersionId"], BypassGovernanceRetention=True, **where)
        except self._client.exceptions.ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
            return False
        left = self._client.list_object_versions(Bucket=self._bucket, Prefix=where["Key"]).get("Versions", [])
        return not left

    def _sweep(self) -> None:
        """Remove earlier canaries that nothing locks any more."""
        now = _clock.now()
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=_CANARY)
        for page in pages:
            for each in page.get("Versions", ()):
                if each["LastModified"] < now - 2 * _LOCKED:
                    with contextlib.suppress(self._client.exceptions.ClientError):
                        self._client.delete_object(Bucket=self._bucket, Key=each["Key"], VersionId=each["VersionId"])


__all__ = ("ABORT_DAYS", "Administrator")

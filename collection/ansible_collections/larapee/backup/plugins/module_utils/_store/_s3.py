# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket as a place offsite, by boto3, which only central has.

Servers differ: none is believed about a lock before it was read back, checksums are sent as headers and never as
trailers, which Ceph 16 refuses over TLS, and the SHA-256 lies in the metadata because not every server keeps checksums.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import base64
import configparser
import contextlib
import datetime as dt
import importlib
import os
import ssl
import stat
import typing as t
import urllib.parse

from .._errors import BackupError
from ._base import NotAsRecordedError, UnreadableError, Version, blocks
from ._uploads import PART_SIZE, Begun, Upload, part_size

_METADATA = "larapee-sha256"
_SECTION = "s3"
_SHA256_BYTES = 32
# Encrypted with a key that the one who stored it has, or in a class of storage that has to be asked in advance.
_UNREADABLE = ("InvalidArgument", "InvalidRequest", "InvalidObjectState")
# Of this version, and of the whole bucket.
_UNLOCKED = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError")


class S3Store:
    """``bucket``, as one identity, which is that of ``client``. ``prefix`` goes before every key."""

    keeps_versions = True

    def __init__(self, client: t.Any, bucket: str, prefix: str, begun: Begun, *, endpoint: str = "") -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.endpoint = endpoint.rstrip("/")
        self.client = client
        self._begun = begun
        self.bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def list(self, prefix: str) -> t.Sequence[Version]:
        found = []
        with self.errors("list", prefix):
            pages = self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for each in page.get("Versions", ()):
                    key = each["Key"][len(self._prefix) :]
                    found.append(Version(key, each["VersionId"], each["Size"]))
        return found

    def put(self, key: str, path: str, *, size: int, sha256: str) -> Version:
        with self.errors("store", key), open(path, "rb") as handle:
            content = blocks(handle, part_size(size), size=size, sha256=sha256)
            if size <= PART_SIZE:
                answer = self.client.put_object(
                    Body=b"".join(content),
                    ChecksumSHA256=_base64(bytes.fromhex(sha256)),
                    Metadata={_METADATA: sha256},
                    **self._of(key),
                )
            else:
                upload = Upload(self.client, self._begun, self._of(key), {_METADATA: sha256})
                answer = upload.put(content, sha256)
        return Version(key, answer.get("VersionId", "null"), size)

    @contextlib.contextmanager
    def open(self, version: Version) -> t.Iterator[t.IO[bytes]]:
        with self.errors("read", version.key):
            try:
                answer = self.client.get_object(VersionId=version.version, **self._of(version.key))
            except self.client.exceptions.ClientError as exc:
                if exc.response["Error"]["Code"] in _UNREADABLE:
                    raise UnreadableError(f"the storage does not give it: {exc.response['Error']['Code']}") from exc
                raise
            with contextlib.closing(answer["Body"]) as body:
                yield body

    def link(self, version: Version, *, valid_seconds: int) -> str:
        """A URL that gives the bytes of *version* to whoever has it, as long as it is valid; nothing is asked."""
        parameters = {"VersionId": version.version, **self._of(version.key)}
        with self.errors("make a link to", version.key):
            link: str = self.client.generate_presigned_url("get_object", parameters, ExpiresIn=valid_seconds)
        return link

    def attested(self, version: Version) -> str | None:
        """Servers that keep checksums made them of the bytes they took; of parts they have none of the whole."""
        with self.errors("ask for the checksum of", version.key):
            answer = self.client.head_object(VersionId=version.version, ChecksumMode="ENABLED", **self._of(version.key))
        checksum = answer.get("ChecksumSHA256", "")
        try:
            digest = base64.b64decode(checksum, validate=True)
        except ValueError:
            return None
        return digest.hex() if len(digest) == _SHA256_BYTES else None

    def delete(self, version: Version) -> None:
        with self.errors("remove", version.key):
            self.client.delete_object(VersionId=version.version, **self._of(version.key))

    def abandon(self, wanted: t.Container[str]) -> None:
        for key, upload in self._begun.all():
            if key[len(self._prefix) :] not in wanted:
                # Whoever aborted it before us has done what is wanted.
                with self.errors("give up", key), contextlib.suppress(self.client.exceptions.NoSuchUpload):
                    self.client.abort_multipart_upload(UploadId=upload, Bucket=self.bucket, Key=key)
                self._begun.forget(key)

    def require_versions(self) -> None:
        with self.errors("read the versioning of", ""):
            versioning = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status")
        if versioning != "Enabled":
            raise BackupError(
                f"Failed to trust {self.url}: the bucket keeps no versions, and whoever holds the writer's key could "
                "replace what was stored. Enable its versioning.",
                reason="no_versions",
            )

    def require_lock(self) -> None:
        with self.errors("read the lock of", ""):
            versioning = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status")
            lock: dict[str, t.Any] = {}
            with contextlib.suppress(self.client.exceptions.ClientError):
                answer = self.client.get_object_lock_configuration(Bucket=self.bucket)
                lock = answer["ObjectLockConfiguration"]
        retention = lock.get("Rule", {}).get("DefaultRetention", {})
        missing = [
            name
            for name, there in (
                ("versioning", versioning == "Enabled"),
                ("Object Lock", lock.get("ObjectLockEnabled") == "Enabled"),
                ("a default retention in COMPLIANCE mode", retention.get("Mode") == "COMPLIANCE"),
            )
            if not there
        ]
        if missing:
            raise BackupError(
                f"Failed to lock what is stored in {self.url}: it has no {', no '.join(missing)}. Make a bucket "
                "with Object Lock and a default retention; a lock cannot be added to what has none.",
                reason="no_object_lock",
            )

    def locked_until(self, version: Version) -> dt.datetime | None:
        with self.errors("read the lock of", version.key):
            try:
                answer = self.client.get_object_retention(VersionId=version.version, **self._of(version.key))
            except self.client.exceptions.ClientError as exc:
                if exc.response["Error"]["Code"] in _UNLOCKED:
                    return None
                raise
        retention = answer.get("Retention", {})
        until = retention.get("RetainUntilDate")
        return until if retention.get("Mode") == "COMPLIANCE" and isinstance(until, dt.datetime) else None

    def lock(self, version: Version, until: dt.datetime) -> None:
        with self.errors("lock", version.key):
            self.client.put_object_retention(
                VersionId=version.version,
                Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until},
                **self._of(version.key),
            )

    def _of(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._prefix + key}

    @contextlib.contextmanager
    def errors(self, verb: str, key: str) -> t.Iterator[None]:
        """Raise as BackupError what is the storage's fault, or the way's; *key* may be empty."""
        try:
            yield
        except (BackupError, NotAsRecordedError, UnreadableError):
            raise
        except Exception as exc:
            # Some of theirs are OSErrors as well.
            theirs = type(exc).__module__.startswith(("botocore", "boto3", "urllib3"))
            if theirs or isinstance(exc, (ConnectionError, TimeoutError, ssl.SSLError)):
                raise self._store_error(verb, key, exc) from exc
            if not isinstance(exc, OSError):
                raise
            raise BackupError(f"Failed to {verb} {key}: {exc}. Check central's disk.", reason="store_failed") from exc

    def _store_error(self, verb: str, key: str, exc: Exception) -> BackupError:
        response = getattr(exc, "response", None)
        code = response["Error"].get("Code", "") if isinstance(response, dict) and "Error" in response else ""
        what = f"{key} in {self.url}" if key else self.url
        if code == "RequestTimeTooSkewed":
            return BackupError(
                f"Failed to {verb} {what}: the clocks of central and of the storage differ too much. Set both by NTP.",
                reason="clock_skew",
            )
        if code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"):
            return BackupError(
                f"Failed to {verb} {what}: the storage refuses this identity ({code}). Check the credentials file and "
                "the identity's policy.",
                reason="store_refused",
            )
        return BackupError(
            f"Failed to {verb} {what}: {code or exc}. Check the storage and the way to it; the next run goes on.",
            reason="store_failed",
        )


def open_bucket(
    url: str,
    *,
    endpoint: str,
    credentials_file: str,
    region: str,
    ca_file: str | None,
    allow_plain: bool,
    uploads_path: str | None = None,
) -> S3Store:
    """Open ``s3://bucket/prefix``; raises BackupError. Nothing is asked of the server yet."""
    parts = urllib.parse.urlsplit(url)
    if endpoint and not endpoint.startswith("https://") and not allow_plain:
        raise BackupError(
            f"Failed to use {endpoint}: it is without TLS. Use https, or allow it by larapee_backup_s3_allow_plain.",
            reason="plain_store",
        )
    key, secret = read_credentials(credentials_file)
    try:
        session = importlib.import_module("boto3.session").Session(
            aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
        )
        config = importlib.import_module("botocore.config").Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
        )
    except ImportError as exc:
        raise BackupError(
            f"Failed to use {url}: boto3 is missing ({exc}). Install it for the Python that runs the modules.",
            reason="tool_missing",
        ) from exc
    client = session.client("s3", endpoint_url=endpoint or None, config=config, verify=ca_file or True)
    return S3Store(client, parts.netloc, parts.path.strip("/"), Begun(uploads_path), endpoint=endpoint)


def read_credentials(path: str) -> tuple[str, str]:
    """``access_key`` and ``secret_key`` of the section ``[s3]``; the file is nobody's but ours."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as handle:
            status = os.fstat(handle.fileno())
            if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o077:
                raise ValueError("others can read it; make it 0600")
            parser.read_file(handle)
        section = parser[_SECTION]
        return section["access_key"], section["secret_key"]
    except (OSError, ValueError, KeyError, configparser.Error) as exc:
        # The parser's own message quotes the line, and with it what stands there.
        cause = str(exc) if isinstance(exc, (OSError, ValueError)) and not isinstance(exc, UnicodeError) else "no [s3]"
        raise BackupError(
            f"Failed to read the credentials {path}: {cause}. It has a section [s3] with access_key and secret_key.",
            reason="bad_credentials",
        ) from exc


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


__all__ = ("S3Store", "open_bucket", "read_credentials")

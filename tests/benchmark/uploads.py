# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One large artifact into a bucket: boto3's own transfer, which checks no SHA-256, and this project's copy offsite."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._store._uploads import PART_SIZE
from tests.offsite.seaweed import ADMIN, Seaweed

from .estate import process
from .measure import Contestant, Stage, makes_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .estate import Estate

BARE = "boto3's upload_file"
OURS = "ours, the copy"
_BUCKET = "bench"


@contextmanager
def stage(estate: Estate, *, mebibytes: int) -> Iterator[Stage]:
    root = estate.root / "upload"
    root.mkdir()
    path = root / "artifact"
    stored = os.urandom(mebibytes << 20)
    path.write_bytes(stored)
    digest = hashlib.sha256(stored).hexdigest()
    del stored
    credentials = root / "credentials"
    credentials.touch(mode=0o600)
    credentials.write_text(f"[s3]\naccess_key = {ADMIN[0]}\nsecret_key = {ADMIN[1]}\n")
    (root / "seaweed").mkdir()
    server = Seaweed(root / "seaweed")
    try:
        server.bucket(_BUCKET)
        # The first object of a bucket waits until the server has made room for it on its disk.
        server.client().put_object(Bucket=_BUCKET, Key="first", Body=b"first")

        def request() -> dict[str, Any]:
            return {
                "store": {
                    "url": f"s3://{_BUCKET}/central",
                    "endpoint": server.endpoint,
                    "credentials_file": str(credentials),
                    "region": "us-east-1",
                    "ca_file": str(server.certificate),
                    "allow_plain": False,
                },
                "uploads_path": str(root / "uploads.json"),
                # What lies there already is never sent again.
                "key": str(uuid.uuid4()),
                "path": str(path),
                "size": mebibytes << 20,
                "sha256": digest,
                "part_size": PART_SIZE,
                "keys": ADMIN,
            }

        yield Stage(
            (
                Contestant(BARE, process("upload-bare", request), size=makes_nothing, server_pid=lambda: server.pid),
                Contestant(OURS, process("upload", request), size=makes_nothing, server_pid=lambda: server.pid),
            ),
            prepare=lambda _round: _empty(server),
        )
    finally:
        server.stop()


def _empty(server: Seaweed) -> None:
    """The disk holds no more than one round's."""
    client = server.client()
    for each in client.list_object_versions(Bucket=_BUCKET).get("Versions", ()):
        client.delete_object(Bucket=_BUCKET, Key=each["Key"], VersionId=each["VersionId"])


__all__ = ("BARE", "OURS", "stage")

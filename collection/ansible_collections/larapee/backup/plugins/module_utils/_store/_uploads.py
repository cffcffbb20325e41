# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large objects in parts: an upload that was cut off goes on with the parts that the server still has.

Which uploads were begun is kept on central's disk and never asked of the server: whoever holds the writer's key can
begin others. A part there counts only when its MD5, which is its ETag, is that of the bytes here.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import os
import typing as t

from .. import _io
from ._base import NotAsRecordedError

PART_SIZE: t.Final = 16 * 1024 * 1024
# S3 takes no more (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
MOST_PARTS: t.Final = 10_000
_IN_FLIGHT = 4
_LIMIT = _io.BLOCK_SIZE
# The server has forgotten the upload, or somebody has changed it: the next run begins anew.
_LOST = ("NoSuchUpload", "InvalidPart", "InvalidRequest", "BadDigest")


def part_size(size: int) -> int:
    """The bytes of one part of an object of *size* bytes; memory is bounded by five of them."""
    return max(PART_SIZE, -(-size // MOST_PARTS))


class Begun:
    """By key, the uploads that were begun and not ended; at *path*, or for this process only."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, str]] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
                document = _io.read_json(path, limit=_LIMIT)
                self._known = {key: {"id": str(each["id"]), "of": str(each["of"])} for key, each in document.items()}

    def find(self, key: str, of: str) -> str | None:
        """The upload of *key* that was begun with *of*, which names the bytes and the bucket."""
        known = self._known.get(key)
        return known["id"] if known is not None and known["of"] == of else None

    def all(self) -> list[tuple[str, str]]:
        """Each key with its upload."""
        return [(key, known["id"]) for key, known in self._known.items()]

    def note(self, key: str, of: str, upload: str) -> None:
        self._known[key] = {"id": upload, "of": of}
        self._save()

    def forget(self, key: str) -> None:
        if self._known.pop(key, None) is not None:
            self._save()

    def _save(self) -> None:
        if self._path is not None:
            _io.ensure_directory(os.path.dirname(self._path))
            _io.write_json(self._path, self._known, durable=False)


class Upload:
    """One object, in parts. ``where`` is its bucket and key, ``metadata`` goes with it."""

    def __init__(self, client: t.Any, begun: Begun, where: t.Mapping[str, str], metadata: t.Mapping[str, str]) -> None:
        self._client = client
        self._begun = begun
        self._where = where
        self._metadata = metadata

    def put(self, content: t.Iterator[bytes], sha256: str) -> t.Any:
        """Send the parts that the server lacks and end the upload; what was sent stays for the next try."""
        key, of = self._where["Key"], f"{self._where['Bucket']} {sha256}"
        upload = self._begun.find(key, of)
        there = None if upload is None else self._there(upload)
        if upload is None or there is None:
            answer = self._client.create_multipart_upload(
                Metadata=self._metadata, ChecksumAlgorithm="SHA256", **self._where
            )
            upload, there = answer["UploadId"], {}
            self._begun.note(key, of, upload)
        try:
            with concurrent.futures.ThreadPoolExecutor(_IN_FLIGHT) as pool:
                parts = self._send(pool, upload, content, there)
            done = self._client.complete_multipart_upload(
                UploadId=upload, MultipartUpload={"Parts": parts}, **self._where
            )
        except (NotAsRecordedError, self._client.exceptions.ClientError) as exc:
            if isinstance(exc, NotAsRecordedError) or exc.response["Error"]["Code"] in _LOST:
                with contextlib.suppress(Exception):
                    self._client.abort_multipart_upload(UploadId=upload, **self._where)
                self._begun.forget(key)
            raise
        self._begun.forget(key)
        return done

    def _there(self, upload: str) -> dict[int, dict[str, t.Any]] | None:
        """The parts that the server has, by number; None when it knows nothing of the upload."""
        pages = self._client.get_paginator("list_parts").paginate(UploadId=upload, **self._where)
        try:
            return {each["PartNumber"]: each for page in pages for each in page.get("Parts", ())}
        except self._client.exceptions.ClientError as exc:
            # Ceph 16 says the second of an upload that somebody has aborted.
            if exc.response["Error"]["Code"] in ("NoSuchUpload", "NoSuchKey"):
                return None
            raise

    def _send(
        self,
        pool: concurrent.futures.Executor,
        upload: str,
        content: t.Iterator[bytes],
        there: t.Mapping[int, t.Mapping[str, t.Any]],
    ) -> list[dict[str, t.Any]]:
        running: collections.deque[concurrent.futures.Future[dict[str, t.Any]]] = collections.deque()
        done = []
        for number, block in enumerate(content, start=1):
            if len(running) == _IN_FLIGHT:
                done.append(running.popleft().result())
            running.append(pool.submit(self._part, upload, number, block, there.get(number)))
        done += [each.result() for each in running]
        # One that knows no checksums refuses them here; one that knows them may not list those of earlier parts.
        names = ["PartNumber", "ETag"] + ["ChecksumSHA256"] * any(each["answered"] for each in done)
        return [{name: each[name] for name in names} for each in done]

    def _part(self, upload: str, number: int, block: bytes, known: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
        checksum = base64.b64encode(hashlib.sha256(block).digest()).decode()
        if known is not None and known["ETag"].strip('"') == hashlib.md5(block, usedforsecurity=False).hexdigest():
            answer = known
        else:
            answer = self._client.upload_part(
                UploadId=upload, PartNumber=number, Body=block, ChecksumSHA256=checksum, **self._where
            )
        answered = "ChecksumSHA256" in answer
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum, "answered": answered}


__all__ = ("MOST_PARTS", "PART_SIZE", "Begun", "Upload", "part_size")

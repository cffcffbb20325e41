# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of a bucket by links, each good for one version and for some hours: whoever has them needs no key.

Only the standard library: this is read on the host that is restored.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
import typing as t
import urllib.error
import urllib.request

from .._errors import BackupError
from ._base import UnreadableError, Version

_TIMEOUT_SECONDS = 60
_TRIES = 5
_PAUSE_SECONDS = 1.0
_BROKEN = (OSError, http.client.HTTPException)


class LinkedSource:
    """What *links* lead to: by version the URL that gives it. *ca*: certificates to trust, as text."""

    def __init__(
        self, url: str, links: t.Mapping[Version, str], *, ca: str | None = None, allow_plain: bool = False
    ) -> None:
        self.url = url
        self._links = links
        if any(not link.startswith("https://") for link in links.values()) and not allow_plain:
            raise BackupError(
                f"Failed to use the links to {url}: they are without TLS. Use https, or allow it by "
                "larapee_backup_s3_allow_plain.",
                reason="plain_store",
            )
        try:
            context = ssl.create_default_context(cadata=ca)
        except (ssl.SSLError, ValueError) as exc:
            raise BackupError(
                f"Failed to trust the server of {url}: larapee_backup_s3_ca_file holds no certificate ({exc}). Name a "
                "file with certificates in PEM form.",
                reason="bad_credentials",
            ) from exc
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def list(self, prefix: str) -> t.Sequence[Version]:
        return [version for version in self._links if version.key.startswith(prefix)]

    @contextlib.contextmanager
    def open(self, version: Version) -> t.Iterator[t.IO[bytes]]:
        stream = _Stream(self, version)
        try:
            yield t.cast("t.IO[bytes]", stream)
        finally:
            stream.close()

    def request(self, version: Version, offset: int) -> t.Any:
        """The answer that begins at *offset*; raises OSError and HTTPException where trying again may help."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = urllib.request.Request(self._links[version], headers=headers)  # noqa: S310 - looked at above
        try:
            answer = self._opener.open(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 400:
                raise UnreadableError("the storage does not give it") from exc
            if exc.code < 500:
                raise BackupError(
                    f"Failed to read {version.key} in {self.url}: the storage refuses the link ({exc.code}). It is "
                    "good for some hours only, by the clocks of both sides; start the restore again.",
                    reason="link_refused",
                ) from exc
            raise
        if offset and answer.status != 206:
            answer.close()
            raise BackupError(
                f"Failed to read {version.key} in {self.url}: the connection broke, and the storage cannot go on in "
                "the middle. Start the restore again.",
                reason="store_failed",
            )
        return answer


class _Stream:
    """The bytes of one version; when the connection breaks it goes on where it was."""

    def __init__(self, source: LinkedSource, version: Version) -> None:
        self._source = source
        self._version = version
        self._offset = 0
        self._answer: t.Any = None

    def read(self, size: int = -1) -> bytes:
        if self._offset == self._version.size:
            return b""
        tries = 0
        while True:
            try:
                if self._answer is None:
                    self._answer = self._source.request(self._version, self._offset)
                block: bytes = self._answer.read(size) if size >= 0 else self._answer.read()
                if not block:
                    raise ConnectionError("it ended early")
            except _BROKEN as exc:
                self.close()
                tries += 1
                if tries == _TRIES:
                    raise BackupError(
                        f"Failed to read {self._version.key} in {self._source.url}: {exc}. Check the storage and the "
                        "way to it; what came is kept, and a restore that is started again goes on.",
                        reason="store_failed",
                    ) from exc
                time.sleep(_PAUSE_SECONDS * tries)
            else:
                self._offset += len(block)
                return block

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None


__all__ = ("LinkedSource",)

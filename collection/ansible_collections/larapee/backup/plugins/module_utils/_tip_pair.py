# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two files of a tip: reading them so that they belong together, judging them, and replacing them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import typing as t

from . import _io, _manifest, _signature
from ._errors import BackupError

NAME: t.Final = "tip.json"
SIGNATURES: t.Final = "tip.json.sig"
SCHEMA_VERSION: t.Final = 1
_SIGNATURES_KEPT: t.Final = 3
_BLOCK: t.Final = re.compile(rb"-----BEGIN SSH SIGNATURE-----.*?-----END SSH SIGNATURE-----\n?", re.DOTALL)


def checked(raw: bytes, signatures: t.Sequence[bytes], *, branch: str, allowed_signers: str) -> dict[str, t.Any]:
    """The tip in *raw*; raises ValueError that says why it is not *branch*'s."""
    try:
        document = json.loads(raw.decode("utf-8"))
        created_at = _manifest.parse_time(document["created_at"])
        usable = document["schema"] == SCHEMA_VERSION and isinstance(document["parts"], dict)
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise ValueError(f"it is not a tip ({type(exc).__name__})") from exc
    if not usable or document.get("branch") != branch:
        raise ValueError(f"it is not a tip of {branch} that this version can read")
    return _signed(document, raw, signatures, at=created_at, allowed_signers=allowed_signers)


def _signed(
    document: dict[str, t.Any], raw: bytes, signatures: t.Sequence[bytes], *, at: dt.datetime, allowed_signers: str
) -> dict[str, t.Any]:
    why = "it has no signature"
    for signature in signatures:
        try:
            _signature.verify(raw, signature, principal=document["branch"], allowed_signers=allowed_signers, at=at)
            return document
        except _signature.SignatureError as exc:
            why = str(exc)
    raise ValueError(why)


def read_signatures(directory: str) -> list[bytes]:
    """The signatures beside a tip, the newest first; raises OSError or ValueError."""
    return _BLOCK.findall(_io.read_small(os.path.join(directory, SIGNATURES), limit=64 * 1024))


def place(directory: str, raw: bytes, signature: bytes) -> None:
    """Replace the tip in *directory*; raises BackupError."""
    try:
        earlier = read_signatures(directory)
    except (OSError, ValueError):
        earlier = []
    # ssh-keygen takes the first one.
    kept = [signature, *(each for each in earlier if each != signature)][:_SIGNATURES_KEPT]
    contents = {SIGNATURES: b"".join(kept), NAME: raw}
    try:
        # Both are on the disk before either takes its place: a full disk changes nothing.
        for name, content in contents.items():
            _write_aside(_aside(directory, name), content)
        for name in contents:
            os.replace(_aside(directory, name), os.path.join(directory, name))
            _io.fsync_directory(directory)
    except OSError as exc:
        raise BackupError(
            f"Failed to write {NAME} into {directory}: {exc.strerror}. Check the free space and the permissions.",
            reason="publish_failed",
        ) from exc
    finally:
        for name in contents:
            with contextlib.suppress(OSError):
                os.unlink(_aside(directory, name))


def _aside(directory: str, name: str) -> str:
    return os.path.join(directory, f".{name}.new")


def _write_aside(path: str, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


__all__ = ("NAME", "SCHEMA_VERSION", "SIGNATURES", "checked", "place", "read_signatures")

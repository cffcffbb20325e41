# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The level *intact* of one artifact: present, hash and signature right. Needs no key.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import stat
import typing as t

from . import _io, _signature
from ._catalog import Entry
from ._manifest import Manifest


class NotIntactError(Exception):
    """The artifact must not be used; the text says why."""


def check_intact(entry: Entry, *, branch: str, allowed_signers: str) -> None:
    """Raise NotIntactError unless *entry* is *branch*'s own, signed, present and unchanged, its companion too.

    Raises BackupError when the check itself could not run. Reads the artifact once.
    """
    check_signed(entry, branch=branch, allowed_signers=allowed_signers)
    check_bytes(entry)
    check_companion(entry)


def check_signed(entry: Entry, *, branch: str, allowed_signers: str) -> None:
    """The part of :func:`check_intact` that does not read the artifact."""
    check_signature(entry.manifest, entry.raw, entry.signature(), branch=branch, allowed_signers=allowed_signers)


def check_signature(
    manifest: Manifest, raw: bytes, signature: bytes | None, *, branch: str, allowed_signers: str
) -> None:
    """The same of a manifest that is in no place."""
    if manifest.branch != branch:
        raise NotIntactError(f"it belongs to {manifest.branch}, not to {branch}")
    if signature is None:
        raise NotIntactError("its signature is missing")
    try:
        _signature.verify(raw, signature, principal=branch, allowed_signers=allowed_signers, at=manifest.created_at)
    except _signature.SignatureError as exc:
        raise NotIntactError(str(exc)) from exc


def check_bytes(entry: Entry) -> None:
    """Raise NotIntactError unless the stored bytes are those of the manifest."""
    if not os.path.lexists(entry.path):
        raise NotIntactError("the artifact is missing, only its manifest is there")
    _check_file(entry.path, entry.manifest.document)


def check_companion(entry: Entry) -> None:
    """Raise NotIntactError unless the companion, where *entry* has one, is that of the manifest."""
    path = entry.companion_path
    if path is not None:
        try:
            _check_file(path, entry.manifest.document["companion"])
        except NotIntactError as exc:
            raise NotIntactError(f"its index {os.path.basename(path)}: {exc}") from exc


def _check_file(path: str, facts: t.Mapping[str, t.Any]) -> None:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise NotIntactError("it is not a regular file")
        if status.st_size != facts["size"]:
            raise NotIntactError(f"it has {status.st_size} bytes, its manifest says {facts['size']}")
        sha256, _size = _io.sha256_file(path)
    except OSError as exc:
        raise NotIntactError(f"it cannot be read: {exc.strerror}") from exc
    if sha256 != facts["sha256"]:
        raise NotIntactError("its SHA-256 is not that of its manifest")


__all__ = ("NotIntactError", "check_bytes", "check_companion", "check_intact", "check_signature", "check_signed")

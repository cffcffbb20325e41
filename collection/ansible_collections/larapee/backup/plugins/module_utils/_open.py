# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening an artifact: decrypt, decompress, and know that what came out is what went in.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from . import _compress, _encrypt, _pipeline
from ._catalog import Entry
from ._digest import Digest
from ._errors import BackupError
from ._pipeline import Command, Tap


def require_identity(entry: Entry, identity: str | None) -> None:
    """Raise BackupError when *entry* is encrypted and *identity* is not the text of an age identity."""
    if not entry.manifest.encrypted:
        return
    if not identity:
        raise BackupError(
            f"Failed to open {entry.name}: it is encrypted and no age identity was given. "
            "Set larapee_backup_restore_age_identity to the restorer's key file.",
            reason="no_identity",
        )
    if "AGE-SECRET-KEY-" not in identity and "PRIVATE KEY" not in identity:
        raise BackupError(
            f"Failed to open {entry.name}: the given identity is not an age identity. Give the restorer's private key "
            "file.",
            reason="bad_identity",
        )


def prove_identity(entry: Entry, identity: str | None) -> None:
    """Raise BackupError when *identity* does not open *entry*; reads no further than the first decrypted byte."""
    require_identity(entry, identity)
    if not entry.manifest.encrypted:
        return
    try:
        with open(entry.path, "rb") as source, _encrypt.decryptor(identity or "") as command:
            result = _pipeline.run_to_first_byte(command, source=source.fileno())
    except OSError as exc:
        raise BackupError(f"Failed to read {entry.path}: {exc.strerror}.", reason="unreadable") from exc
    _pipeline.require_success([result], what=f"open {entry.name}", advice="Nothing was changed.")


def open_artifact(entry: Entry, *, identity: str | None, following: t.Sequence[Command | Tap] = ()) -> Digest:
    """Stream the plain bytes of *entry* into *following* and return their digest.

    Raises BackupError when a stage failed, or when the bytes read, or the plain bytes, are not those of the manifest.
    By then *following* has seen the plain bytes.
    """
    compression = entry.manifest.compression
    return _open(entry, entry.path, entry.manifest.document, compression, identity=identity, following=following)


def open_companion(entry: Entry, *, identity: str | None, following: t.Sequence[Command | Tap] = ()) -> Digest:
    """The same for the companion: the index of an artifact of files, the fingerprint of one of the database."""
    path = entry.companion_path
    if path is None:
        raise BackupError(
            f"Failed to open the companion of {entry.name}: it has none. Name an artifact that was taken with one.",
            reason="no_index",
        )
    return _open(entry, path, entry.manifest.document["companion"], "zstd", identity=identity, following=following)


def _open(
    entry: Entry,
    path: str,
    facts: t.Mapping[str, t.Any],
    compression: str,
    *,
    identity: str | None,
    following: t.Sequence[Command | Tap],
) -> Digest:
    require_identity(entry, identity)
    name = os.path.basename(path)
    stored, plain = Digest(), Digest()
    with contextlib.ExitStack() as stack:
        elements: list[Command | Tap] = [stored]
        if entry.manifest.encrypted:
            elements.append(stack.enter_context(_encrypt.decryptor(identity or "")))
        elements += [_compress.decompressor(compression), plain, *following]
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            results = _pipeline.run_pipeline(elements, source=source)
        except OSError as exc:
            raise BackupError(f"Failed to read {path}: {exc.strerror}.", reason="unreadable") from exc
    _pipeline.require_success(results, what=f"{'load' if following else 'open'} {name}")
    if (stored.sha256, stored.size) != (facts["sha256"], facts["size"]):
        raise BackupError(f"Failed to open {name}: it changed while it was read.", reason="not_intact")
    if (plain.sha256, plain.size) != (facts["plain_sha256"], facts["plain_size"]):
        raise BackupError(
            f"Failed to open {name}: what came out is not what was backed up (SHA-256 of the plain bytes).",
            reason="not_intact",
        )
    return plain


__all__ = ("open_artifact", "open_companion", "prove_identity", "require_identity")

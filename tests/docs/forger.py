# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever holds the branch's signing key, and can write where its fulls lie."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _manifest, _signature

if TYPE_CHECKING:
    from tests.database.estate import Estate

OBJECTS = dict.fromkeys(("views", "sequences", "triggers", "routines", "events"), 0)


END = "-- Dump completed on 2026-11-22 23:15:41\n"


def forge(estate: Estate, statements: str, *, end: str = END, **changes: Any) -> str:
    """Put a full of these statements in the place of a true one, rightly encrypted and signed; return its name.

    *changes* go into its manifest before that is signed.
    """
    manifest = estate.dump().manifest
    assert manifest is not None
    plain = f"CREATE TABLE `t` (v TEXT);\n{statements}\n{end}".encode()
    recipients = [word for recipient in estate.keys.recipients for word in ("-r", recipient)]
    stored = subprocess.run(
        ["age", "--encrypt", *recipients], input=gzip.compress(plain), capture_output=True, check=True
    ).stdout
    document = {
        **manifest.document,
        "objects": {"tables": 1, **OBJECTS},
        "size": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
        "plain_size": len(plain),
        "plain_sha256": hashlib.sha256(plain).hexdigest(),
        **changes,
    }
    raw = _manifest.manifest_bytes(_manifest.check_manifest(document))
    path = estate.local / manifest.artifact
    path.write_bytes(stored)
    path.with_name(f"{path.name}.manifest.json").write_bytes(raw)
    signature = _signature.sign(raw, key=str(estate.keys.signing_key))
    path.with_name(f"{path.name}.manifest.json.sig").write_bytes(signature)
    return path.name


__all__ = ("forge",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures of manifests: ``ssh-keygen -Y``, namespace ``larapee-backup``, principal = the branch's code.

A signature is judged at the manifest's ``created_at`` against an ``allowed_signers`` file with validity times
(ssh-keygen(1), ALLOWED SIGNERS).

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile

from . import _io, _process
from ._errors import BackupError

NAMESPACE = "larapee-backup"


class SignatureError(Exception):
    """The signature is not good; the text says why."""


def sign(message: bytes, *, key: str) -> bytes:
    """Return the armoured signature of *message* by the SSH private key file *key*."""
    _io.require_private_file(key, what="signing key")
    result = _process.run(
        [_process.find_tool("ssh-keygen"), "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE], stdin=message
    )
    if result.returncode != 0 or not result.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise BackupError(
            f"Failed to sign with {key}: {_last_line(result.stderr)}. Give an SSH private key without passphrase.",
            reason="signing_failed",
        )
    return result.stdout


def verify(message: bytes, signature: bytes, *, principal: str, allowed_signers: str, at: dt.datetime) -> None:
    """Raise SignatureError unless *principal* signed *message* with a key that was valid *at* that time.

    Raises BackupError when the check itself could not run.
    """
    if not os.access(allowed_signers, os.R_OK):
        raise BackupError(
            f"Failed to read allowed signers {allowed_signers}: the file is missing or unreadable. "
            "Set larapee_backup_allowed_signers to the restorer's copy.",
            reason="no_allowed_signers",
        )
    # ssh-keygen takes the signature only from a named file.
    with tempfile.NamedTemporaryFile(prefix="larapee-backup-", suffix=".sig") as handle:
        handle.write(signature)
        handle.flush()
        result = _process.run(
            [
                _process.find_tool("ssh-keygen"),
                *("-Y", "verify", "-f", allowed_signers, "-I", principal, "-n", NAMESPACE, "-s", handle.name),
                f"-Overify-time={at.astimezone(dt.timezone.utc).strftime('%Y%m%d%H%M%SZ')}",
            ],
            stdin=message,
        )
    if result.returncode != 0:
        raise SignatureError(f"not signed by {principal} ({_last_line(result.stderr or result.stdout)})")


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "no message"


__all__ = ("NAMESPACE", "SignatureError", "sign", "verify")

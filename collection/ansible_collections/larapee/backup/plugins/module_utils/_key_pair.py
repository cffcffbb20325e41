# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs of SSH keys (ed25519, no passphrase) that are made where they are used and never leave.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import os
import pwd
import re
import tempfile

from . import _io, _process
from ._errors import BackupError

_PUBLIC = re.compile(
    r"(?P<kind>ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) (?P<blob>[A-Za-z0-9+/]+=*)(?: [^\r\n]*)?"
)


def make_pair(path: str, *, comment: str, owner: str | None = None) -> None:
    """Make the private key *path* (0600, of *owner*) unless it is there; a crash leaves all of it or nothing."""
    if os.path.lexists(path):
        return
    directory = os.path.dirname(path)
    try:
        # Beside its place, so that the rename stays on one filesystem; 0700 until then.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as scratch:
            fresh = os.path.join(scratch, "key")
            result = _process.run(
                [_process.find_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", fresh]
            )
            if result.returncode != 0:
                raise _failed(path, result.stderr.decode("utf-8", "replace").strip() or "no message")
            if owner is not None:
                account = pwd.getpwnam(owner)
                os.chown(fresh, account.pw_uid, account.pw_gid)
            descriptor = os.open(fresh, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(fresh, path)
        _io.fsync_directory(directory)
    except KeyError as exc:
        raise _failed(path, f"there is no account {owner}") from exc
    except OSError as exc:
        raise _failed(path, str(exc.strerror)) from exc


def public_half(path: str) -> str:
    """Return kind and key of the public half, without the comment, read from the private key itself."""
    _io.require_private_file(path, what="private key")
    result = _process.run([_process.find_tool("ssh-keygen"), "-y", "-P", "", "-f", path])
    if result.returncode != 0:
        raise BackupError(
            f"Failed to read private key {path}: ssh-keygen takes it for none without passphrase. Remove the file, and "
            "run the preparation again.",
            reason="unreadable",
        )
    return normal(result.stdout.decode("ascii", "replace").strip())


def normal(public: str) -> str:
    """Return *public*, one line of a public key file, as kind and key; raise BackupError when it is none."""
    match = _PUBLIC.fullmatch(public.strip())
    try:
        if match is None or not base64.b64decode(match["blob"], validate=True)[4:].startswith(match["kind"].encode()):
            raise ValueError("not an SSH public key")
    except (ValueError, binascii.Error) as exc:
        raise BackupError(
            f"Failed to use the public key {public[:24]!r}...: it is not one line of an SSH public key file. Read it "
            "again from the host that it belongs to.",
            reason="bad_request",
        ) from exc
    return f"{match['kind']} {match['blob']}"


def _failed(path: str, cause: str) -> BackupError:
    return BackupError(
        f"Failed to make SSH key {path}: {cause}. Run the preparation of this host again.", reason="key_not_made"
    )


__all__ = ("make_pair", "normal", "public_half")

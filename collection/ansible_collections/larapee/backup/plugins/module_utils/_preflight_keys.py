# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys and numbers that two branches share although each must have its own.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import os
import re
import typing as t

from . import _io
from ._preflight_request import REFUSED, CannotTell, Found, Missing, PreflightRequest

_OF_HOSTVARS = {
    "signing_key": "signing key",
    "host_key": "SSH host key",
    "pull_key": "pull key",
    "acknowledge_key": "acknowledge key",
    "server_id": "server_id",
}
# Type and blob; what follows is a comment and tells nothing.
_PUBLIC = re.compile(r"(?:^|[\s,])((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/]+={0,2})")
_PRIVATE = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END")
_MAGIC = b"openssh-key-v1\0"


def shared_keys(request: PreflightRequest) -> Found:
    held: dict[str, dict[str, list[str]]] = {}
    for branch in request.branches:
        for name, title in _OF_HOSTVARS.items():
            value = str(branch.get(name) or "")
            if value:
                identity = value if name == "server_id" else public_blob(value)
                held.setdefault(title, {}).setdefault(identity, []).append(str(branch.get("code")))
    _note(held, "signing key in allowed_signers", _of_lines(request.allowed_signers, separator=","))
    _note(held, "SSH host key in known_hosts", _of_lines(request.known_hosts, separator="\0"))
    _note(held, "SSH key", _of_directories(request))
    for title, owners in held.items():
        for names in owners.values():
            different = sorted(set(names))
            if len(different) > 1:
                yield (
                    REFUSED,
                    f"Failed to tell {' and '.join(different)} apart: they have the same {title}, so one may pass for "
                    "the other. Give each its own.",
                )
    for path in (request.allowed_signers, request.known_hosts, *request.key_directories):
        if path and not os.path.lexists(path):
            raise Missing(f"Failed to compare the keys in {path}: it does not exist. Prepare this host.")


def public_blob(text: str) -> str:
    """The key of one line of a ``.pub`` file, ``allowed_signers``, ``known_hosts`` or ``authorized_keys``."""
    match = _PUBLIC.search(text)
    return match[2] if match else text.strip()


def private_blob(content: bytes) -> str | None:
    """The public half that an OpenSSH private key file begins with; None for anything else."""
    match = _PRIVATE.search(content)
    if match is None:
        return None
    try:
        raw = base64.b64decode(b"".join(match[1].split()), validate=True)
    except binascii.Error:
        return None
    if not raw.startswith(_MAGIC):
        return None
    raw = raw[len(_MAGIC) :]
    # Cipher, key derivation and its options come before the number of keys, which is one.
    for _field in range(3):
        _value, raw = _string(raw)
    return base64.b64encode(_string(raw[4:])[0]).decode("ascii") or None


def _string(raw: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(raw[:4], "big")
    return raw[4 : 4 + size], raw[4 + size :]


def _note(held: dict[str, dict[str, list[str]]], title: str, found: t.Iterable[tuple[str, str]]) -> None:
    for blob, owner in found:
        held.setdefault(title, {}).setdefault(blob, []).append(owner)


def _of_lines(path: str, *, separator: str) -> t.Iterator[tuple[str, str]]:
    """Each key of the file with each of those that its line names."""
    for line in _read(path).splitlines():
        words = line.split(None, 1)
        if len(words) == 2 and not line.startswith(("#", "@revoked")):
            match = _PUBLIC.search(words[1])
            if match:
                yield from zip(itertools.repeat(match[2]), words[0].split(separator))


def _of_directories(request: PreflightRequest) -> t.Iterator[tuple[str, str]]:
    """Each key in the directories with the file that holds it: a pull key is no acknowledge key either."""
    for directory in request.key_directories:
        if not os.path.lexists(directory):
            continue
        for entry in sorted(os.scandir(directory), key=lambda each: each.name):
            if entry.is_file(follow_symlinks=False):
                blob = private_blob(_io.read_small(entry.path))
                if blob is not None:
                    yield blob, entry.path


def _read(path: str) -> str:
    if not path or not os.path.lexists(path):
        return ""
    try:
        return _io.read_small(os.path.realpath(path)).decode("utf-8")
    except (OSError, ValueError):
        raise CannotTell(f"Failed to compare the keys in {path}: it cannot be read. Correct the file.") from None


__all__ = ("private_blob", "public_blob", "shared_keys")

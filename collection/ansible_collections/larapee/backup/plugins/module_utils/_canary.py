# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary for each age recipient: whoever shall restore proves that he can, before backups rest on his key.

A random token is encrypted to the recipient and forgotten but for its hash; the restorer, who alone has the identity,
decrypts it and returns it. What was proved is kept in ``canaries.json`` of the state directory.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import typing as t

from . import _clock, _encrypt, _io, _manifest, _process
from ._errors import BackupError

_FILE = "canaries.json"
_TOKEN = re.compile(rb"[0-9a-f]{64}")
_LONGEST_CANARY = 8192


def make(state_path: str, recipients: t.Sequence[str], *, check_mode: bool) -> dict[str, str]:
    """Return a new canary (base64) for each of *recipients* that nobody has proved yet."""
    _encrypt.check_recipients(recipients)
    state = _read(state_path)
    canaries = {}
    for recipient in recipients:
        if "proved_at" in state.get(recipient, {}):
            continue
        token = secrets.token_hex(32)
        with_key = _encrypt.encryptor([recipient])
        result = _process.run(with_key.argv, stdin=token.encode(), pass_fds=with_key.pass_fds)
        if result.returncode != 0:
            raise BackupError(
                f"Failed to encrypt a canary to {recipient[:16]}...: age refused the key. Correct the age recipient.",
                reason="bad_recipient",
            )
        canaries[recipient] = base64.b64encode(result.stdout).decode()
        state[recipient] = {"token_sha256": hashlib.sha256(token.encode()).hexdigest()}
    if canaries and not check_mode:
        _io.write_json(os.path.join(state_path, _FILE), state)
    return canaries


def open_all(canaries: t.Mapping[str, str], identity: str) -> dict[str, str]:
    """Return the tokens of those of *canaries* that *identity* (the text of an identity file) opens.

    They come from hosts that somebody may have broken into: what opens to anything but a token is nobody's business,
    or a stolen backup would be read here for whoever sends it.
    """
    tokens = {}
    for recipient, canary in canaries.items():
        sealed = _sealed(canary)
        if not sealed:
            continue
        with _encrypt.decryptor(identity) as command:
            result = _process.run(command.argv, stdin=sealed, pass_fds=command.pass_fds)
        if result.returncode == 0 and _TOKEN.fullmatch(result.stdout):
            tokens[recipient] = result.stdout.decode("ascii")
    return tokens


def _sealed(canary: str) -> bytes:
    try:
        return base64.b64decode(canary, validate=True) if len(canary) <= _LONGEST_CANARY else b""
    except ValueError:
        return b""


def accept(state_path: str, recipients: t.Sequence[str], tokens: t.Mapping[str, str]) -> list[str]:
    """Note whose canaries came back; return those of *recipients* that were proved by this call."""
    state = _read(state_path)
    proved = []
    for recipient in recipients:
        known = state.get(recipient, {})
        if "proved_at" in known:
            continue
        found = hashlib.sha256(tokens.get(recipient, "").encode()).hexdigest()
        if hmac.compare_digest(found, known.get("token_sha256", "")):
            state[recipient] = {"proved_at": _manifest.format_time(_clock.now())}
            proved.append(recipient)
    if proved:
        _io.write_json(os.path.join(state_path, _FILE), state)
    missing = [recipient for recipient in recipients if "proved_at" not in state.get(recipient, {})]
    if missing:
        raise BackupError(
            f"Failed to accept {len(missing)} of {len(recipients)} age recipients, {missing[0][:16]}... the first: the "
            "restorer did not return the canary. Start the playbook where his identity is, and name its file in "
            "larapee_backup_restore_age_identity.",
            reason="canary_not_returned",
        )
    return proved


def proved_seconds(state_path: str, recipients: t.Sequence[str]) -> int:
    """For how long all of *recipients* have been proved."""
    state = _read(state_path)
    latest = max(_manifest.parse_time(state[recipient]["proved_at"]) for recipient in recipients)
    return max(0, int((_clock.now() - latest).total_seconds()))


def _read(state_path: str) -> dict[str, dict[str, str]]:
    path = os.path.join(state_path, _FILE)
    try:
        return _io.read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise BackupError(f"Failed to read {path}: {exc}. Remove it.", reason="unreadable") from exc


__all__ = ("accept", "make", "open_all", "proved_seconds")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption to public keys by age; the private identity reaches age through a descriptor, never a file.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from . import _io, _process
from ._errors import BackupError
from ._pipeline import Command

_RECIPIENT = re.compile(r"age1[0-9a-z]{10,}|(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/=]+( [^\r\n]*)?")
_SECRET_MARKS = ("AGE-SECRET-KEY-", "PRIVATE KEY")


def check_recipients(recipients: t.Sequence[str]) -> None:
    """Raise BackupError when *recipients* cannot be age recipients, or hold a private key."""
    if not recipients:
        raise BackupError(
            "Failed to encrypt: no age recipient is configured. Set larapee_backup_age_recipients to the restorer's "
            "public keys (the example inventory reads them from /etc/larapee-backup/recipients.txt, one a line, as "
            "age-keygen -y IDENTITY prints them), or switch encryption off by name.",
            reason="no_recipient",
        )
    for number, recipient in enumerate(recipients, start=1):
        if any(mark in recipient for mark in _SECRET_MARKS):
            raise BackupError(
                f"Failed to use age recipient {number}: it is a private key. Remove it from this host at once and give "
                "the public key (age1...).",
                reason="private_key",
            )
        if not _RECIPIENT.fullmatch(recipient):
            raise BackupError(
                f"Failed to use age recipient {number} ({recipient[:16]}...): it is not an age or SSH public key. "
                "Correct larapee_backup_age_recipients.",
                reason="bad_recipient",
            )


def is_alone(recipients: t.Sequence[str]) -> bool:
    """Whether one lost identity loses all; the same key twice, with another comment, is one."""
    return len({" ".join(recipient.split()[:2]) for recipient in recipients}) < 2


def encryptor(recipients: t.Sequence[str]) -> Command:
    """Return the stage that encrypts standard input to *recipients*."""
    check_recipients(recipients)
    arguments = [item for recipient in recipients for item in ("-r", recipient)]
    return Command("age", (_process.find_tool("age"), "--encrypt", *arguments))


@contextlib.contextmanager
def decryptor(identity: str) -> t.Iterator[Command]:
    """Give the stage that decrypts standard input with *identity* (the text of an age identity file)."""
    descriptor = _io.secret_descriptor(identity.encode())
    try:
        argv = (_process.find_tool("age"), "--decrypt", "-i", f"/dev/fd/{descriptor}")
        yield Command("age", argv, pass_fds=(descriptor,))
    finally:
        os.close(descriptor)


__all__ = ("check_recipients", "decryptor", "encryptor", "is_alone")

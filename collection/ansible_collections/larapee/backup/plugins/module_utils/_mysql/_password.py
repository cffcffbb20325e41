# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords as the servers store them, so that no statement, and no log of statements, ever holds one.

MariaDB: mysql_native_password. MySQL: caching_sha2_password, which is SHA-crypt with SHA-256 and 20 characters of salt;
the number of rounds, in thousands and hexadecimal, stands before it. 5000 are what every release can read.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import typing as t

_THOUSANDS: t.Final = 5
_SALT_LENGTH: t.Final = 20
_SHA2: t.Final = re.compile(rb"\$A\$([0-9A-F]{3})\$(.{20})", re.DOTALL)
_CRYPT_ALPHABET: t.Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def native_hash(password: bytes) -> str:
    # The server's own format, for accounts with long random passwords; nothing else logs in there everywhere.
    inner = hashlib.sha1(password).digest()  # noqa: S324
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324


def sha2_hash(password: bytes) -> bytes:
    """The stored form with a random salt."""
    letters = string.ascii_letters + string.digits
    salt = "".join(secrets.choice(letters) for _position in range(_SALT_LENGTH)).encode()
    return _stored(password, salt, thousands=_THOUSANDS)


def sha2_matches(password: bytes, stored: bytes) -> bool:
    match = _SHA2.match(stored)
    return match is not None and hmac.compare_digest(_stored(password, match[2], thousands=int(match[1], 16)), stored)


def _stored(password: bytes, salt: bytes, *, thousands: int) -> bytes:
    return b"$A$%03X$" % thousands + salt + _sha256_crypt(password, salt, rounds=1000 * thousands)


def _sha256_crypt(password: bytes, salt: bytes, *, rounds: int) -> bytes:
    """The digest of SHA-crypt in its own base 64, by its published description."""
    alternate = hashlib.sha256(password + salt + password).digest()
    first = hashlib.sha256(password + salt + _repeated(alternate, len(password)))
    length = len(password)
    while length:
        first.update(alternate if length & 1 else password)
        length >>= 1
    digest = first.digest()
    secret = _repeated(hashlib.sha256(password * len(password)).digest(), len(password))
    grain = _repeated(hashlib.sha256(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        step = hashlib.sha256(secret if number & 1 else digest)
        step.update(grain if number % 3 else b"")
        step.update(secret if number % 7 else b"")
        step.update(digest if number & 1 else secret)
        digest = step.digest()
    return _encoded(digest)


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(digest: bytes) -> bytes:
    groups = [(0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14), (15, 25, 5), (6, 16, 26), (27, 7, 17)]
    groups += [(18, 28, 8), (9, 19, 29)]
    values = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in groups]
    values.append((digest[31] << 8 | digest[30], 3))
    return bytes(_CRYPT_ALPHABET[value >> 6 * place & 63] for value, count in values for place in range(count))


__all__ = ("native_hash", "sha2_hash", "sha2_matches")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
from pathlib import Path

from ._errors import StoreError

_USED = frozenset(("user", "password", "host", "port", "socket", "ssl-ca", "ssl-cert", "ssl-key"))
# What clients of the engines write there and what changes nothing here.
_HARMLESS = frozenset(("default-character-set", "protocol", "ssl", "ssl-mode", "ssl-verify-server-cert"))
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\", "'": "'", '"': '"'}
_OFF = frozenset(("0", "off", "false", "disabled"))


def read_option_file(path: Path) -> dict[str, str]:
    """The [client] group of a client option file that nobody else can read; values never reach a message."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, encoding="utf-8") as stream:
            status = os.fstat(stream.fileno())
            _check_access(path, status)
            text = stream.read()
    except OSError as error:
        raise StoreError(
            f"Failed to read the option file {path}: {error.strerror}. Correct read_default_file in the runs URL."
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(f"Failed to read the option file {path}: it is not UTF-8. Write it anew.") from error
    return _parse(path, text)


def _check_access(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"Failed to read the option file {path}: it is not a regular file. Name a file.")
    if status.st_mode & 0o077:
        raise StoreError(
            f"Failed to read the option file {path}: its mode is {stat.S_IMODE(status.st_mode):04o}. "
            "It holds a password: chmod 0600 it."
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"Failed to read the option file {path}: it belongs to another account. Give it to the account of this run."
        )


def _parse(path: Path, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    group = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("!"):
            raise _refusal(path, number, "it includes other files", "Write everything into this one")
        if line.startswith("["):
            group = line.strip("[]").strip().lower()
            continue
        if group != "client":
            continue
        key, equals, value = line.partition("=")
        name = key.strip().lower().replace("_", "-")
        if name not in _USED | _HARMLESS:
            raise _refusal(path, number, f"option {name!r} is not known here", "Remove it")
        options[name] = _unquote(path, number, value.strip()) if equals else "1"
        if name == "port" and not options[name].isdecimal():
            raise _refusal(path, number, "the port is no number", "Correct it")
    if options.get("ssl-verify-server-cert", "1").lower() in _OFF or options.get("ssl-mode", "").lower() in _OFF:
        raise StoreError(
            f"Failed to use the option file {path}: it switches the check of the server off. "
            "Remove that, or allow plain text by name with allow_plaintext=1 in the runs URL."
        )
    return {name: value for name, value in options.items() if name in _USED}


def _unquote(path: Path, number: int, value: str) -> str:
    if value[:1] in ("'", '"'):
        if len(value) < 2 or value[-1] != value[0]:
            raise _refusal(path, number, "a quote is not closed", "Close it")
        value = value[1:-1]
    elif "#" in value:
        # Clients end an unquoted value at the sign, others keep it: the same file would mean two passwords.
        raise _refusal(path, number, "an unquoted value holds #", "Put the value into quotes")
    characters = []
    escaped = False
    for character in value:
        if escaped:
            # An unknown escape keeps its backslash, as the engines' clients do.
            characters.append(_ESCAPES.get(character, f"\\{character}"))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            characters.append(character)
    if escaped:
        characters.append("\\")
    return "".join(characters)


def _refusal(path: Path, number: int, cause: str, remedy: str) -> StoreError:
    return StoreError(f"Failed to read the option file {path}: in line {number} {cause}. {remedy}.")


__all__ = ("read_option_file",)

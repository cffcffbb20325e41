# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An SQL account's password, made where it is used and nowhere else, and the option file that holds it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import secrets

from . import _io
from ._errors import BackupError
from ._mysql._option_file import parse_option_file

_PASSWORD_BYTES = 24


@dataclasses.dataclass(frozen=True)
class LoginRequest:
    """``socket``, or else ``host`` and ``port``, is where the server is reached."""

    path: str
    password_file: str
    user: str
    socket: str | None = None
    host: str | None = None
    port: int | None = None
    ssl_ca: str | None = None


@dataclasses.dataclass(frozen=True)
class LoginOutcome:
    """Whether a password was, or would be, made; and whether the option file was, or would be, written."""

    made: bool
    written: bool


def settle_login(request: LoginRequest, *, check_mode: bool = False) -> LoginOutcome:
    """Make the password unless it is there, and write the option file unless it says the same already."""
    made = not os.path.lexists(request.password_file)
    if made:
        password = secrets.token_hex(_PASSWORD_BYTES)
    else:
        _io.require_private_file(request.password_file, what="password file")
        password = _io.read_small(request.password_file, limit=4096).decode("utf-8").rstrip("\r\n")
    text = option_file(request, password)
    wanted = parse_option_file(text, name=request.path)
    written = made or _present(request.path) != wanted
    if not check_mode:
        if made:
            _io.write_file(request.password_file, f"{password}\n".encode())
        if written:
            _io.write_file(request.path, text.encode())
    return LoginOutcome(made=made, written=written)


def option_file(request: LoginRequest, password: str) -> str:
    """The option file's text; values are quoted as MySQL's clients unquote them."""
    options = {
        "user": request.user,
        "password": password,
        "socket": request.socket,
        "host": request.host,
        "port": request.port,
        "ssl-ca": request.ssl_ca,
    }
    lines = [f"{name} = {_quoted(str(value))}" for name, value in options.items() if value is not None]
    return "\n".join(["[client]", *lines, ""])


def _quoted(value: str) -> str:
    if not value.isprintable():
        raise BackupError("Failed to write an option file: a value is not of printable characters.", reason="bad_name")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _present(path: str) -> dict[str, str] | None:
    try:
        return parse_option_file(_io.read_small(path).decode("utf-8"), name=path)
    except (BackupError, OSError, UnicodeDecodeError):
        # Whatever it is, it is not what it should be.
        return None


__all__ = ("LoginOutcome", "LoginRequest", "option_file", "settle_login")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client option files, read strictly: one ``[client]`` group that says how to connect, and nothing that changes a dump.

The clients get the same file by ``--defaults-file``, so that no other file is read; a ``[mysqldump]`` group with
``skip-triggers`` would leave the triggers out with exit status 0.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .. import _io
from .._errors import BackupError

_FLAGS = ("ssl", "ssl_verify_server_cert", "skip_ssl")
_KEYS = (
    *("user", "password", "host", "port", "socket"),
    *("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_mode", "tls_version"),
    *_FLAGS,
)
# What separates words in these files; other spaces are part of a value.
_SPACE = " \t\r\v\f"
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}


def read_option_file(path: str) -> dict[str, str]:
    """Return the connection options in *path*, dashes as underscores; raise BackupError for anything else in it."""
    _io.require_private_file(path, what="option file")
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise BackupError(f"Failed to read option file {path}: {exc}.") from exc
    return parse_option_file(text, name=path)


def parse_option_file(text: str, *, name: str) -> dict[str, str]:
    """The options in *text* by MySQL's rules: quotes, backslash escapes, ``#`` starts a comment outside quotes."""
    options: dict[str, str] = {}
    group = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _without_comment(raw).strip(_SPACE)
        if not line or line.startswith(";"):
            continue
        if line.startswith("["):
            group = line.partition("]")[0][1:].strip(_SPACE)
            if group != "client":
                raise _refuse(name, number, f"the group [{group}] is not allowed, it can change what is dumped")
            continue
        key, separator, value = line.partition("=")
        key = key.strip(_SPACE).replace("-", "_")
        if group is None or key.startswith("!") or key not in _KEYS:
            raise _refuse(name, number, f"the option {key.split()[0] if key else '?'} is not allowed")
        if not separator and key not in _FLAGS:
            raise _refuse(name, number, f"the option {key} has no value")
        options[key] = _value(value.strip(_SPACE)) if separator else "1"
    _check(options, name)
    return options


def _check(options: t.Mapping[str, str], name: str) -> None:
    why = ""
    if not options.get("user"):
        why = "it has no user. Write a [client] group with user and socket or host"
    elif not options.get("socket") and options.get("host", "localhost") == "localhost":
        # The client would take its built-in socket, PyMySQL the port: they might not be the same server.
        why = "it names neither a socket nor a host. Write the server's socket, or host=127.0.0.1"
    elif not options.get("port", "3306").isdigit():
        why = "its port is not a number. Correct it"
    if why:
        raise BackupError(f"Failed to use option file {name}: {why}.", reason="bad_option_file")


def _refuse(name: str, number: int, why: str) -> BackupError:
    return BackupError(
        f"Failed to use option file {name}: line {number}: {why}. Keep one [client] group with user, password, "
        "socket or host, port and ssl-* only.",
        reason="bad_option_file",
    )


def _without_comment(line: str) -> str:
    """*line* up to the first ``#`` outside of quotes; a quote may open anywhere, a backslash escapes only within."""
    quote = ""
    escaped = False
    for position, character in enumerate(line):
        if character in "'\"" and not escaped and quote in ("", character):
            quote = "" if quote else character
        if character == "#" and not quote:
            return line[:position]
        escaped = bool(quote) and character == "\\" and not escaped
    return line


def _value(text: str) -> str:
    if text[:1] in ("'", '"') and text.endswith(text[0]) and len(text) > 1:
        text = text[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


def refuse_system_schema(name: str) -> None:
    """Raise BackupError for a name that is the server's own, or that no database can have."""
    if name.lower() in ("mysql", "information_schema", "performance_schema", "sys"):
        raise BackupError(f"Failed to use the database {name}: it is the server's own.", reason="system_schema")
    if not name or len(name) > 64 or "\0" in name:
        raise BackupError(f"Failed to use the database {name!r}: no database has such a name.", reason="bad_name")


def describe_server(options: t.Mapping[str, str]) -> str:
    """Where the options lead, for messages."""
    if options.get("socket") and options.get("host", "localhost") == "localhost":
        return options["socket"]
    return f"{options.get('host', 'localhost')}:{options.get('port', '3306')}"


__all__ = ("describe_server", "parse_option_file", "read_option_file", "refuse_system_schema")

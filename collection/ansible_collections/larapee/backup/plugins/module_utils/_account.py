# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring one SQL account to exactly what its role needs.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t

from . import _io
from ._errors import BackupError
from ._mysql._accounts import (
    Held,
    account,
    grant_statements,
    needs_tls,
    parse_held,
    refuse_names,
    wanted,
)
from ._mysql._connection import Server, connect, first_line, identify, rows
from ._mysql._option_file import read_option_file, refuse_system_schema
from ._mysql._password import native_hash, sha2_hash, sha2_matches

with contextlib.suppress(ImportError):  # connect() says which package to install
    import pymysql

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

_PASSWORD_LIMIT = 256


@dataclasses.dataclass(frozen=True)
class AccountRequest:
    """``option_file`` names the administrator's account; without ``password_file`` the account logs in by socket."""

    option_file: str
    role: str
    name: str
    host: str = "localhost"
    database: str | None = None
    password_file: str | None = None
    present: bool = True
    aside: str | None = None


@dataclasses.dataclass(frozen=True)
class AccountOutcome:
    """``before`` and ``after`` are lines for people; no password and no hash is in any of it."""

    account: str
    statements: list[str]
    before: list[str]
    after: list[str]
    warnings: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.statements)


@dataclasses.dataclass(frozen=True)
class _Login:
    """How an account logs in now: ``kind`` is ``socket``, ``password`` or ``other``."""

    kind: str
    matches: bool
    tls: bool
    old_password: bool = False

    def lines(self) -> list[str]:
        texts = [f"logs in by {self.kind}"]
        texts += ["only by TLS"] if self.tls else []
        return texts + (["an older password opens it too"] if self.old_password else [])


@dataclasses.dataclass(frozen=True)
class _Statement:
    sql: str
    shown: str


def settle_account(request: AccountRequest, *, check_mode: bool = False) -> AccountOutcome:
    """Create, correct or drop the account; afterwards it has what its role needs and nothing else."""
    host = request.host.lower()
    refuse_names(request.name, host)
    for schema in filter(None, (request.database, request.aside)):
        refuse_system_schema(schema)
    if request.aside and request.role != "restorer":
        raise BackupError(
            f"Failed to use {request.aside} for what is put aside: only an account of the role restorer works there. "
            "Leave aside out.",
            reason="bad_name",
        )
    password = _read_password(request.password_file)
    with connect(read_option_file(request.option_file)) as connection:
        settling = _Settling(connection, dataclasses.replace(request, host=host), password)
        return settling.settle(check_mode=check_mode)


class _Settling:
    def __init__(self, connection: Connection, request: AccountRequest, password: bytes | None) -> None:
        self._connection = connection
        self._request = request
        self._password = password
        self._server: Server = identify(connection)
        self._who = account(request.name, request.host)

    def settle(self, *, check_mode: bool) -> AccountOutcome:
        ((current,),) = rows(self._connection, "SELECT CURRENT_USER()")
        if current == f"{self._request.name}@{self._request.host}":
            raise BackupError(
                f"Failed to change the account {self._who}: it is the one that the option file logs in with. Name the "
                "administrator's account there.",
                reason="bad_name",
            )
        login = self._login()
        held = self._held() if login else Held()
        before = [*login.lines(), *held.lines()] if login else []
        if not self._request.present:
            statements = [_plain(f"DROP USER {self._who}")] if login else []
            after: list[str] = []
        else:
            want = self._wanted()
            statements = self._login_statements(login)
            statements += [_plain(text) for text in grant_statements(self._who, held, want)]
            after = self._after(login, want)
        if not check_mode:
            self._run(statements)
            if statements:
                self._require(after)
        warnings = [f"PUBLIC, and so this account too, has {line}." for line in held.public]
        return AccountOutcome(self._who, [each.shown for each in statements], before, after, warnings)

    def _wanted(self) -> Held:
        patterns = self._server.engine == "mariadb" or rows(self._connection, "SELECT @@partial_revokes") == [(0,)]
        request = self._request
        return wanted(
            request.role, server=self._server, database=request.database, aside=request.aside, patterns=patterns
        )

    def _after(self, login: _Login | None, want: Held) -> list[str]:
        tls = needs_tls(self._request.host) or (login is not None and login.tls)
        kind = "socket" if self._password is None else "password"
        return [*_Login(kind=kind, matches=True, tls=tls).lines(), *want.lines()]

    def _held(self) -> Held:
        lines = [str(row[0]) for row in rows(self._connection, f"SHOW GRANTS FOR {self._who}")]
        return parse_held(lines, grantee=self._who)

    def _login(self) -> _Login | None:
        if self._server.engine == "mariadb":
            return self._mariadb_login()
        found = rows(
            self._connection,
            "SELECT plugin, HEX(authentication_string), ssl_type, User_attributes FROM mysql.user"
            " WHERE User = %s AND Host = %s",
            (self._request.name, self._request.host),
        )
        if not found:
            return None
        ((plugin, stored, tls, attributes),) = found
        old = "additional_password" in json.loads(attributes or "{}")
        if plugin == "auth_socket":
            # A text there is the name of another operating system's user.
            return _Login("socket", self._password is None and not stored, bool(tls), old)
        if plugin == "caching_sha2_password":
            matches = self._password is not None and sha2_matches(self._password, bytes.fromhex(stored or ""))
            return _Login("password", matches and not old, bool(tls), old)
        return _Login("other", False, bool(tls), old)

    def _mariadb_login(self) -> _Login | None:
        found = rows(
            self._connection,
            "SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = %s",
            (self._request.name, self._request.host),
        )
        if not found:
            return None
        document = json.loads(found[0][0])
        plugin, stored = document.get("plugin"), document.get("authentication_string")
        tls = bool(document.get("ssl_type"))
        if document.get("auth_or"):
            return _Login("other", False, tls)
        if plugin == "unix_socket":
            return _Login("socket", self._password is None and not stored, tls)
        if plugin == "mysql_native_password" and stored:
            return _Login("password", self._password is not None and stored == native_hash(self._password), tls)
        return _Login("other", False, tls)

    def _login_statements(self, login: _Login | None) -> list[_Statement]:
        tls = " REQUIRE SSL" if needs_tls(self._request.host) else ""
        if login is None:
            return [self._identified(f"CREATE USER IF NOT EXISTS {self._who}", tls)]
        statements = []
        if not login.matches:
            statements.append(self._identified(f"ALTER USER {self._who}", tls))
        elif tls and not login.tls:
            statements.append(_plain(f"ALTER USER {self._who}{tls}"))
        if login.old_password:
            statements.append(_plain(f"ALTER USER {self._who} DISCARD OLD PASSWORD"))
        return statements

    def _identified(self, verb: str, tls: str) -> _Statement:
        if self._server.engine == "mariadb":
            if self._password is None:
                return _plain(f"{verb} IDENTIFIED VIA unix_socket{tls}")
            how, secret = "VIA mysql_native_password USING", f"'{native_hash(self._password)}'"
        elif self._password is None:
            return _plain(f"{verb} IDENTIFIED WITH auth_socket{tls}")
        else:
            how, secret = "WITH caching_sha2_password AS", f"0x{sha2_hash(self._password).hex()}"
        return _Statement(f"{verb} IDENTIFIED {how} {secret}{tls}", f"{verb} IDENTIFIED {how} (a hash){tls}")

    def _run(self, statements: list[_Statement]) -> None:
        for statement in statements:
            try:
                rows(self._connection, statement.sql)
            except pymysql.MySQLError as exc:
                # A syntax error quotes the statement; one with a hash in it is not told further than its number.
                cause = first_line(exc) if statement.sql == statement.shown else f"error {exc.args[0]}"
                raise BackupError(
                    f"Failed to settle the account {self._who}: {cause}, at {statement.shown}. The option file must "
                    "name the administrator's account; run again, the rest follows.",
                    reason="query_failed",
                ) from None

    def _require(self, after: list[str]) -> None:
        login = self._login()
        now = [*login.lines(), *self._held().lines()] if login else []
        if now != after:
            surplus, missing = sorted({*now} - {*after}), sorted({*after} - {*now})
            raise BackupError(
                f"Failed to settle the account {self._who}: it has too much ({', '.join(surplus) or 'none'}) or "
                f"too little ({', '.join(missing) or 'none'}). Drop it, and run again.",
                reason="grants_differ",
            )


def _plain(text: str) -> _Statement:
    return _Statement(text, text)


def _read_password(path: str | None) -> bytes | None:
    if path is None:
        return None
    _io.require_private_file(path, what="password file")
    password = _io.read_small(path, limit=4096).removesuffix(b"\n").removesuffix(b"\r")
    why = ""
    if not password:
        why = "it is empty"
    elif len(password) > _PASSWORD_LIMIT or b"\n" in password or b"\0" in password:
        why = f"it is not one line of at most {_PASSWORD_LIMIT} bytes"
    if why:
        raise BackupError(
            f"Failed to use password file {path}: {why}. Write one long random password into it.", reason="bad_password"
        )
    return password


__all__ = ("AccountOutcome", "AccountRequest", "settle_account")

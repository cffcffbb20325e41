# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of who is who: operator, reader of the binary log, restorer and the application share no credential.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pwd
import re
import stat
import typing as t
import urllib.parse

from . import _dotenv, _io
from ._mysql._option_file import read_option_file
from ._preflight_request import REFUSED, CannotTell, Found, Missing, PreflightRequest

OPERATOR, BINLOG, RESTORER, APPLICATION = "operator", "reader of the binary log", "restorer", "application"
_USER_NAMES = re.compile(r"DB_(?:\w+_)?USER(?:NAME)?")
_PASSWORD_NAMES = re.compile(r"DB_(?:\w+_)?PASSWORD")
_URL_NAMES = re.compile(r"DB_(?:\w+_)?URL|DATABASE_URL")
# What Laravel's env() makes of these words.
_NOTHING = ("", "null", "(null)", "empty", "(empty)")


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who can log in as what; passwords stay out of the representation."""

    who: str
    place: str
    users: frozenset[str]
    passwords: frozenset[str] = dataclasses.field(repr=False)


def accounts(request: PreflightRequest) -> Found:
    holders: list[Holder] = []
    missing: list[Missing] = []
    for who, path in (
        (OPERATOR, request.operator_option_file),
        (BINLOG, request.binlog_option_file),
        (RESTORER, request.restore_option_file),
        (APPLICATION, request.env_file),
    ):
        if path:
            try:
                holders.append(_of_application(path) if who == APPLICATION else _of_option_file(who, path))
            except Missing as exc:
                missing.append(exc)
    for one, other in itertools.combinations(holders, 2):
        if {one.who, other.who} == {OPERATOR, BINLOG}:
            continue
        for user in sorted(one.users & other.users):
            yield (
                REFUSED,
                f"Failed to keep {one.who} and {other.who} apart: {one.place} and {other.place} both use the database "
                f"account {user!r}. Give each an account of its own.",
            )
        if one.passwords & other.passwords:
            yield (
                REFUSED,
                f"Failed to keep {one.who} and {other.who} apart: {one.place} and {other.place} hold one "
                "password. Give each a password of its own.",
            )
    if missing:
        raise missing[0]


def binlog_account(request: PreflightRequest) -> Found:
    if not (request.operator_option_file and request.binlog_option_file):
        return
    operator = _of_option_file(OPERATOR, request.operator_option_file)
    reader = _of_option_file(BINLOG, request.binlog_option_file)
    if operator.users & reader.users or operator.passwords & reader.passwords:
        yield (
            REFUSED,
            f"Failed to keep {OPERATOR} and {BINLOG} apart: {operator.place} and {reader.place} share the account or "
            "its password, and the binary log holds every database. Give larapee_backup_binlog_option_file an account "
            "of its own, or allow binlog_account by name.",
        )


def private_files(request: PreflightRequest) -> Found:
    owners = set()
    for name in request.owners:
        try:
            owners.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    named = (request.operator_option_file, request.binlog_option_file, request.restore_option_file)
    missing = []
    for path in dict.fromkeys(path for path in (*named, *request.private_files) if path):
        if os.path.lexists(path):
            yield from _private(path, owners, " or ".join(request.owners))
        else:
            missing.append(path)
    if missing:
        raise Missing(f"Failed to examine {missing[0]}: it does not exist. Prepare this host, or correct the name.")


def _private(path: str, owners: set[int], who: str) -> Found:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        yield REFUSED, f"Failed to accept {path}: it is not a regular file. Put the file itself there."
        return
    if status.st_mode & 0o077:
        yield (
            REFUSED,
            f"Failed to accept {path}: mode {status.st_mode & 0o7777:04o} lets others use it. Run chmod 600 on it, and "
            "change the secret in it.",
        )
    if status.st_uid not in owners:
        yield REFUSED, f"Failed to accept {path}: it belongs to uid {status.st_uid}. Give it to {who}."
    above = os.path.dirname(os.path.abspath(path))
    parent = os.stat(above)
    if parent.st_uid not in owners or parent.st_mode & 0o022 & ~(0o022 if parent.st_mode & stat.S_ISVTX else 0):
        yield (
            REFUSED,
            f"Failed to accept {path}: others than {who} may replace it, because they may write to {above}. Give that "
            "directory to root, and run chmod go-w on it.",
        )


def _of_option_file(who: str, path: str) -> Holder:
    if not os.path.lexists(path):
        raise Missing(
            f"Failed to compare the account of the {who}: {path} does not exist. Prepare this host, or "
            "correct the name."
        )
    options = read_option_file(path)
    password = options.get("password", "")
    return Holder(who, path, frozenset([options["user"]]), frozenset([password] if password else []))


def _of_application(path: str) -> Holder:
    try:
        values = _dotenv.parse(_io.read_small(os.path.realpath(path)).decode("utf-8"))
    except FileNotFoundError:
        raise Missing(
            f"Failed to compare the database accounts with the application's: {path} does not exist. Correct "
            "larapee_backup_app_path."
        ) from None
    except ValueError as exc:
        # A decoding error quotes bytes of the file, which holds secrets.
        why = str(exc) if not isinstance(exc, UnicodeDecodeError) else "it is not UTF-8"
        raise CannotTell(
            f"Failed to compare the database accounts with the application's: {path}: {why}. Correct the file."
        ) from None
    users, passwords = credentials(values)
    if not users:
        raise CannotTell(
            f"Failed to compare the database accounts with the application's: {path} names none. Write DB_USERNAME "
            "into it, or name the right file."
        )
    if any("${" in user for user in users):
        raise CannotTell(
            f"Failed to compare the database accounts with the application's: {path} takes one from a variable that it "
            "does not set. Write it out."
        )
    return Holder(APPLICATION, path, users, passwords)


def credentials(values: t.Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Every database user and every password that a ``.env`` names, whichever connection they are for."""
    users, passwords = set(), set()
    for name, raw in values.items():
        value = raw[1:-1] if re.fullmatch(r"(['\"]).*\1", raw, re.DOTALL) else raw
        if value.lower() in _NOTHING:
            continue
        if _USER_NAMES.fullmatch(name):
            users.add(value)
        elif _PASSWORD_NAMES.fullmatch(name):
            passwords.add(value)
        elif _URL_NAMES.fullmatch(name):
            # A password may hold what urlsplit takes for the end of the address: it begins behind the last @.
            account = value.partition("://")[2].rpartition("@")[0]
            user, _separator, password = account.partition(":")
            users.update([urllib.parse.unquote(user)] if user else [])
            passwords.update([urllib.parse.unquote(password)] if password else [])
    return frozenset(users), frozenset(passwords)


__all__ = ("accounts", "binlog_account", "credentials", "private_files")

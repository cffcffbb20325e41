# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the account itself may do, read from SHOW GRANTS on every run.

An account without TRIGGER, or without the right to read routines, gets a dump that lacks them with exit status 0, and
the information schema hides from it what it cannot see; only its own grants tell.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._connection import Server

_NAME = r"(?:`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s@]+)"
_GRANT = re.compile(
    r"(?P<verb>GRANT|REVOKE) (?P<privileges>.+?) ON (?:TABLE )?"
    r"(?P<database>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) (?:TO|FROM) "
    rf"(?P<grantee>{_NAME}(?P<host>@{_NAME})?)"
)
_SCHEMA_PRIVILEGES = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_RESTORE_PRIVILEGES = (
    *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "LOCK TABLES", "REFERENCES", "CREATE VIEW", "TRIGGER", "EVENT"),
    *("CREATE ROUTINE", "ALTER ROUTINE"),
)
# A renamed table needs ALTER and DROP where it was, CREATE and INSERT where it goes.
ASIDE_PRIVILEGES: t.Final = ("SELECT", "INSERT", "CREATE", "DROP", "ALTER")
# Global privileges for objects of foreign definers, each row satisfied by any one of its names. MySQL's dumps set
# SQL_LOG_BIN, and a definer such as root@localhost is a system user there (tried on 9.7).
_RESTORE_GLOBAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "mariadb": (("SET USER", "SUPER"),),
    "mysql": (
        ("SET_ANY_DEFINER", "SET_USER_ID", "SUPER"),
        ("ALLOW_NONEXISTENT_DEFINER", "SET_USER_ID", "SUPER"),
        ("SYSTEM_USER",),
        ("SESSION_VARIABLES_ADMIN", "SYSTEM_VARIABLES_ADMIN", "SUPER"),
    ),
}

# The same for reading binary logs; before MariaDB 10.5.2 the second was called as on MySQL.
_SEAL_GLOBAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "mariadb": (("REPLICATION SLAVE",), ("BINLOG MONITOR", "REPLICATION CLIENT"), ("RELOAD",)),
    "mysql": (("REPLICATION SLAVE",), ("REPLICATION CLIENT",), ("RELOAD",)),
}


@dataclasses.dataclass(frozen=True)
class Grant:
    """One line of SHOW GRANTS; ``database`` is a pattern as GRANT takes it, ``*`` for all.

    ``grantee`` is the account, ``role`` for the active role and those that it holds (the server merges them), or
    ``PUBLIC``.
    ``revoked``: MySQL's partial_revokes take a privilege on one schema back out of a global grant.
    """

    privileges: frozenset[str]
    database: str
    table: str
    grantee: str
    revoked: bool = False


def parse_grants(lines: t.Iterable[str]) -> list[Grant]:
    grants = []
    for line in lines:
        match = _GRANT.match(line)
        if match:
            # Column lists narrow a privilege; a narrowed one is not the privilege itself.
            names = re.sub(r"\w+ \([^)]*\)", "", match["privileges"])
            grants.append(
                Grant(
                    privileges=frozenset(name.strip().upper() for name in names.split(",") if name.strip()),
                    database=_unquote(match["database"]),
                    table=_unquote(match["table"]),
                    grantee=_grantee(match),
                    revoked=match["verb"] == "REVOKE",
                )
            )
    return grants


def missing_for_dump(grants: t.Sequence[Grant], *, database: str, server: Server) -> list[str]:
    """Return the privileges, as GRANT writes them, without which a dump of *database* would be incomplete."""
    missing = [
        f"{privilege} ON `{database}`.*"
        for privilege in _SCHEMA_PRIVILEGES
        if not _has(grants, privilege, database, "*")
    ]
    if server.engine == "mariadb":
        by_privilege = server.release >= (11, 3, 0) and _has(grants, "SHOW CREATE ROUTINE", database, "*")
        if not (by_privilege or _has(grants, "SELECT", "mysql", "proc")):
            missing.append("SELECT ON mysql.proc")
    elif not (_has(grants, "SHOW_ROUTINE", "*", "*") or _has(grants, "SELECT", "*", "*")):
        missing.append("SHOW_ROUTINE ON *.*")
    return missing


def missing_for_restore(grants: t.Sequence[Grant], *, database: str, server: Server) -> list[str]:
    """Return the privileges without which loading a dump into *database* would fail half-way."""
    missing = [
        f"{privilege} ON `{database}`.*"
        for privilege in _RESTORE_PRIVILEGES
        if not _has(grants, privilege, database, "*")
    ]
    return missing + _missing_globally(grants, _RESTORE_GLOBAL[server.engine])


def missing_for_aside(grants: t.Sequence[Grant], *, database: str, aside: str, server: Server) -> list[str]:
    """Return the privileges without which *database* cannot be put into the schema *aside* and brought back whole."""
    missing = missing_for_dump(grants, database=database, server=server)
    missing += missing_for_restore(grants, database=database, server=server)
    missing += [
        f"{privilege} ON `{aside}`.*" for privilege in ASIDE_PRIVILEGES if not _has(grants, privilege, aside, "*")
    ]
    return list(dict.fromkeys(missing))


def missing_for_sealing(grants: t.Sequence[Grant], *, server: Server) -> list[str]:
    """Return the privileges without which binary logs can be neither closed nor listed nor read."""
    return _missing_globally(grants, _SEAL_GLOBAL[server.engine])


def _missing_globally(grants: t.Sequence[Grant], wanted: tuple[tuple[str, ...], ...]) -> list[str]:
    return [f"{names[0]} ON *.*" for names in wanted if not any(_has(grants, name, "*", "*") for name in names)]


def may_create_logged_routines(grants: t.Sequence[Grant]) -> bool:
    """With the binary log on, creating a trigger or function takes SUPER (else error 1419, BINLOG ADMIN or not)."""
    return _has(grants, "SUPER", "*", "*")


def _has(grants: t.Sequence[Grant], privilege: str, database: str, table: str) -> bool:
    wanted = {privilege, "ALL PRIVILEGES"}
    covering = [grant for grant in grants if _covers(grant, database, table)]
    having = [grant for grant in covering if wanted & grant.privileges]
    if any(grant.revoked for grant in having):
        return False
    if any(grant.database == "*" or grant.table != "*" for grant in having):
        return True
    # Of the patterns that match a database, the server applies one only, to each grantee: so all of them must have it.
    patterns: dict[str, set[str]] = {}
    for grant in covering:
        if grant.database != "*" and grant.table == "*":
            patterns.setdefault(grant.grantee, set()).add(grant.database)
    return any(
        matching == {grant.database for grant in having if grant.grantee == grantee}
        for grantee, matching in patterns.items()
    )


def _covers(grant: Grant, database: str, table: str) -> bool:
    if grant.table == "*":
        return matches(grant.database, database)
    return (grant.database, grant.table) == (database, table)


def matches(pattern: str, database: str) -> bool:
    """True when the database part of a grant on all its tables covers *database*, ``*`` for all databases.

    ``%`` and ``_`` are wildcards, a backslash escapes; ``%`` covers every database and is still no global grant.
    """
    if pattern == "*" or database == "*":
        return pattern == "*"
    expression = ""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\" and position + 1 < len(pattern):
            position += 1
            expression += re.escape(pattern[position])
        else:
            expression += {"%": ".*", "_": "."}.get(character, re.escape(character))
        position += 1
    return re.fullmatch(expression, database, re.DOTALL) is not None


def _grantee(match: re.Match[str]) -> str:
    if match["host"]:
        return match["grantee"]
    return "PUBLIC" if match["grantee"].strip("`").upper() == "PUBLIC" else "role"


def _unquote(name: str) -> str:
    return name if name == "*" else name[1:-1].replace("``", "`")


__all__ = (
    "ASIDE_PRIVILEGES",
    "Grant",
    "matches",
    "may_create_logged_routines",
    "missing_for_aside",
    "missing_for_dump",
    "missing_for_restore",
    "missing_for_sealing",
    "parse_grants",
)

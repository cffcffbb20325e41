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

_GRANT = re.compile(
    r"GRANT (?P<privileges>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO "
)
_SCHEMA_PRIVILEGES = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_RESTORE_PRIVILEGES = (
    *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "LOCK TABLES", "REFERENCES", "CREATE VIEW", "TRIGGER", "EVENT"),
    *("CREATE ROUTINE", "ALTER ROUTINE"),
)
# Each row: any one of these global privileges lets the account create objects that belong to another definer.
_FOREIGN_DEFINER = {"mariadb": ("SET USER", "SUPER"), "mysql": ("SET_ANY_DEFINER", "SET_USER_ID", "SUPER")}


@dataclasses.dataclass(frozen=True)
class Grant:
    """One line of SHOW GRANTS; ``database`` is a pattern as GRANT takes it, ``*`` for all."""

    privileges: frozenset[str]
    database: str
    table: str


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
    definer = _FOREIGN_DEFINER[server.engine]
    if not any(_has(grants, name, "*", "*") for name in definer):
        missing.append(f"{definer[0]} ON *.*")
    return missing


def may_create_logged_routines(grants: t.Sequence[Grant]) -> bool:
    """With the binary log on, creating a trigger or function takes SUPER (else error 1419, BINLOG ADMIN or not)."""
    return _has(grants, "SUPER", "*", "*")


def _has(grants: t.Sequence[Grant], privilege: str, database: str, table: str) -> bool:
    wanted = {privilege, "ALL PRIVILEGES"}
    return any(
        wanted & grant.privileges and matches(grant.database, database) and grant.table in ("*", table)
        for grant in grants
    )


def matches(pattern: str, database: str) -> bool:
    """True when the database part of a grant covers *database*: ``%`` and ``_`` are wildcards, a backslash escapes."""
    if pattern == "*":
        return True
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


def _unquote(name: str) -> str:
    return name if name == "*" else name[1:-1].replace("``", "`")


__all__ = (
    "Grant",
    "matches",
    "may_create_logged_routines",
    "missing_for_dump",
    "missing_for_restore",
    "parse_grants",
)

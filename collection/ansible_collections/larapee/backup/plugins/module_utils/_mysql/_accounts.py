# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL accounts by role, each with the least that its work needs, as statements; no server is asked here.

- ``operator``: dumps one schema and takes its fingerprint; it neither writes nor reads binary logs.
- ``binlog``: closes and reads the binary logs, which hold the rows of every schema, and reads no table.
- ``restorer``: fills one schema, with objects of foreign definers. Who may name any definer can let a procedure run
  with that definer's rights: its password is worth as much as the administrator's. Where a second schema is named, it
  may put there what the first one holds, and bring it back.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._errors import BackupError
from ._connection import Server, quote_identifier
from ._grants import ASIDE_PRIVILEGES

ROLES: t.Final = ("operator", "binlog", "restorer")
# The first releases that can split SUPER.
_OLDEST: t.Final = {"mariadb": (10, 5, 2), "mysql": (8, 0, 20)}
_READING: t.Final = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_FILLING: t.Final = (
    *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES", "CREATE VIEW", "SHOW VIEW"),
    *("TRIGGER", "EVENT", "CREATE ROUTINE", "ALTER ROUTINE"),
)
# Privileges on everything, by engine, role and the release from which on they are these; the newest first.
_GLOBAL: t.Final[dict[tuple[str, str], tuple[tuple[tuple[int, int, int], tuple[str, ...]], ...]]] = {
    # Not BINLOG MONITOR: with it the account reads the statements of every other schema. MySQL asks REPLICATION CLIENT
    # of whoever dumps with a position, and it shows no statement there.
    ("mariadb", "operator"): (((0, 0, 0), ("RELOAD",)),),
    # RELOAD could also reset the binary logs. MariaDB has no smaller right for BACKUP STAGE.
    ("mysql", "operator"): (
        ((8, 0, 23), ("FLUSH_TABLES", "REPLICATION CLIENT", "BACKUP_ADMIN")),
        ((0, 0, 0), ("RELOAD", "REPLICATION CLIENT", "BACKUP_ADMIN")),
    ),
    ("mariadb", "binlog"): (((0, 0, 0), ("REPLICATION SLAVE", "BINLOG MONITOR", "RELOAD")),),
    ("mysql", "binlog"): (((0, 0, 0), ("REPLICATION SLAVE", "REPLICATION CLIENT", "RELOAD")),),
    ("mariadb", "restorer"): (((0, 0, 0), ("SET USER",)),),
    ("mysql", "restorer"): (
        ((8, 2, 0), ("SYSTEM_USER", "SESSION_VARIABLES_ADMIN", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER")),
        ((0, 0, 0), ("SYSTEM_USER", "SESSION_VARIABLES_ADMIN", "SET_USER_ID")),
    ),
}
_SHOW_CREATE_ROUTINE_SINCE: t.Final = (11, 3, 0)
_LOCAL_HOSTS: t.Final = ("localhost", "127.0.0.1", "::1")

_QUOTED = r"`(?:[^`]|``)*`"
_ON = re.compile(
    r"GRANT (?P<privileges>.+?) ON (?P<on>(?:(?:TABLE|PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY) )?"
    rf"(?:\*|{_QUOTED})\.(?:\*|{_QUOTED})) TO (?P<rest>.+)",
    re.DOTALL,
)
_PROXY = re.compile(r"GRANT (?P<what>PROXY ON .+?) TO (?P<rest>.+)", re.DOTALL)
_ROLE = re.compile(rf"GRANT (?P<what>{_QUOTED}(?:@{_QUOTED})?(?:, ?{_QUOTED}(?:@{_QUOTED})?)*) TO (?P<rest>.+)")


@dataclasses.dataclass(frozen=True)
class Held:
    """What an account has: privileges by what they are on, and the scopes where it may pass them on.

    ``memberships`` are roles and proxies, as REVOKE takes them; ``public``: lines of grants to everybody.
    """

    privileges: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    grantable: frozenset[str] = frozenset()
    memberships: tuple[str, ...] = ()
    public: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people, sorted; neither account nor password is in them."""
        texts = [f"{privilege} ON {on}" for on, privileges in self.privileges.items() for privilege in privileges]
        return sorted([*texts, *(f"GRANT OPTION ON {on}" for on in self.grantable), *self.memberships])


def account(name: str, host: str) -> str:
    """``'name'@'host'`` as SHOW GRANTS writes it and every statement takes it."""
    return f"{quote_identifier(name)}@{quote_identifier(host)}"


def schema_scope(database: str, *, patterns: bool = True) -> str:
    r"""All of *database*, for GRANT: its name is a pattern there, and unescaped ``pos_1`` would also open ``posx1``.

    ``patterns`` is false on MySQL with partial_revokes, which takes every character as it stands.
    """
    name = re.sub(r"([\\_%])", r"\\\1", database) if patterns else database
    return f"{quote_identifier(name)}.*"


def wanted(role: str, *, server: Server, database: str | None, aside: str | None = None, patterns: bool = True) -> Held:
    """Exactly what an account of *role* has; ``binlog`` needs no database. *aside* is for ``restorer`` alone."""
    if server.release < _OLDEST[server.engine]:
        raise BackupError(
            f"Failed to make an account on {server.engine} {server.version}: before "
            f"{'.'.join(map(str, _OLDEST[server.engine]))} it cannot give the few rights that are needed without all. "
            "Upgrade the server.",
            reason="unsupported_server",
        )
    known = _GLOBAL[server.engine, role]
    privileges = {"*.*": frozenset(next(names for since, names in known if server.release >= since))}
    if role == "binlog":
        return Held(privileges)
    if not database:
        raise ValueError(f"an account of the role {role} belongs to a database")
    scope = schema_scope(database, patterns=patterns)
    privileges[scope] = frozenset(_READING if role == "operator" else _FILLING)
    also = [_reading_routines(server, scope)] if role == "operator" or aside else []
    also += [(schema_scope(aside, patterns=patterns), ASIDE_PRIVILEGES)] if aside else []
    for on, names in also:
        privileges[on] = privileges.get(on, frozenset()) | frozenset(names)
    return Held(privileges)


def _reading_routines(server: Server, scope: str) -> tuple[str, tuple[str, ...]]:
    """What shows the code of other definers' routines, and what that is granted on."""
    if server.engine == "mysql":
        return "*.*", ("SHOW_ROUTINE",)
    if server.release >= _SHOW_CREATE_ROUTINE_SINCE:
        return scope, ("SHOW CREATE ROUTINE",)
    return "`mysql`.`proc`", ("SELECT",)


def parse_held(lines: t.Iterable[str], *, grantee: str) -> Held:
    """What SHOW GRANTS says about *grantee* itself; a line that is not understood is refused, it may open anything."""
    privileges: dict[str, frozenset[str]] = {}
    grantable, memberships, public = set(), [], []
    for line in lines:
        # What is granted to its roles goes with the role; partial revokes go with the privilege that they narrow.
        match = _PROXY.match(line) or _ROLE.match(line) or _ON.match(line)
        if match is None and line.startswith(("SET DEFAULT ROLE ", "REVOKE ")):
            continue
        if match is None or not match["rest"].strip():
            raise BackupError(
                f"Failed to read the grants of {grantee}: the server shows one of an unknown form. Drop the account, "
                "or take that grant away by hand.",
                reason="unknown_grant",
            )
        if not _is_for(match["rest"], grantee):
            if match["rest"].startswith("PUBLIC") and "on" in match.groupdict():
                public.append(f"{match['privileges']} ON {match['on']}")
            continue
        if "what" in match.groupdict():
            memberships.append(match["what"])
            continue
        on = match["on"].replace("TABLE ", "", 1) if match["on"].startswith("TABLE ") else match["on"]
        names = _split(match["privileges"]) - {"USAGE"}
        if re.search(r"\bGRANT OPTION\b", match["rest"][len(grantee) :]):
            grantable.add(on)
        if names or on in privileges:
            privileges[on] = privileges.get(on, frozenset()) | names
    return Held(privileges, frozenset(grantable), tuple(memberships), tuple(public))


def _is_for(rest: str, grantee: str) -> bool:
    return rest == grantee or rest.startswith(f"{grantee} ")


def _split(privileges: str) -> frozenset[str]:
    """``SELECT (a, b), INSERT`` -> both, the columns kept with theirs."""
    return frozenset(name.strip() for name in re.split(r",(?![^()]*\))", privileges))


def grant_statements(who: str, held: Held, want: Held) -> list[str]:
    """What turns *held* into *want*; too much goes first, or ALL PRIVILEGES would take what is wanted along."""
    revokes = [f"REVOKE {membership} FROM {who}" for membership in held.memberships]
    kept: dict[str, frozenset[str]] = {}
    for on in sorted({*held.privileges, *held.grantable}):
        has = held.privileges.get(on, frozenset())
        # MySQL's dynamic privileges carry their own right to be passed on, which goes only with the privilege.
        surplus = has if on in held.grantable else has - want.privileges.get(on, frozenset())
        kept[on] = has - surplus
        if surplus:
            revokes.append(f"REVOKE {', '.join(sorted(surplus))} ON {on} FROM {who}")
        if on in held.grantable:
            revokes.append(f"REVOKE GRANT OPTION ON {on} FROM {who}")
    grants = []
    for on, names in sorted(want.privileges.items()):
        missing = names - kept.get(on, frozenset())
        if missing:
            grants.append(f"GRANT {', '.join(sorted(missing))} ON {on} TO {who}")
    return revokes + grants


def needs_tls(host: str) -> bool:
    """Whoever does not come from the server's own machine has to come by TLS."""
    return host not in _LOCAL_HOSTS


def refuse_names(name: str, host: str) -> None:
    """Raise BackupError for accounts that are the server's own or its administrator's."""
    why = ""
    if not name or len(name) > 32 or len(host) > 255 or "\0" in name + host or not host:
        why = "no account has such a name"
    elif name.lower() in ("root", "mysql", "public", "mariadb.sys") or name.lower().startswith("mysql."):
        why = "it is the server's own or its administrator's"
    if why:
        raise BackupError(
            f"Failed to use the account {name!r}@{host!r}: {why}. Name one of its own, such as larapee-backup.",
            reason="bad_name",
        )


__all__ = (
    "ROLES",
    "Held",
    "account",
    "grant_statements",
    "needs_tls",
    "parse_held",
    "refuse_names",
    "schema_scope",
    "wanted",
)

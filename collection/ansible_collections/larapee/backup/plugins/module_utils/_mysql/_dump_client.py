# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dump clients of MariaDB and MySQL: arguments, what they may say on standard error, what their output tells.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .. import _process
from .._errors import BackupError
from .._pipeline import Command, StageResult
from ._connection import Server, client_arguments, parse_release

_COMMON = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--tz-utc",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
# engine -> (arguments always, arguments when the server writes a binary log)
_ARGUMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mariadb": ((), ("--master-data=2", "--gtid")),
    "mysql": (("--column-statistics=0",), ("--source-data=2",)),
}
# Of a schema that nobody uses: neither rows nor a position.
_DEFINITIONS = (
    *("--single-transaction", "--no-data", "--no-tablespaces", "--default-character-set=utf8mb4"),
    "--max-allowed-packet=1G",
)
# Views are left out with --no-create-info, and cannot be had without tables but by name.
_BESIDE_TABLES = ("--no-create-info", "--routines", "--events", "--triggers", "--add-drop-trigger")
_CLIENTS = {"mariadb": ("mariadb-dump", "mysqldump"), "mysql": ("mysqldump",)}

# Lines on standard error that do not fail a dump: (engine, first client release, pattern). The set of GTIDs is written
# as a comment (COMMENTED), which is what the warning is about.
_HARMLESS: tuple[tuple[str, tuple[int, int, int], re.Pattern[str]], ...] = (
    (
        "mysql",
        (8, 0, 0),
        re.compile(r"Warning: A partial dump from a server that has GTIDs will by default include .*"),
    ),
)

_LOG_POSITION = re.compile(
    rb"^-- CHANGE (?:MASTER|REPLICATION SOURCE) TO (?:MASTER|SOURCE)_LOG_FILE='([^']+)', "
    rb"(?:MASTER|SOURCE)_LOG_POS=(\d+)",
    re.M,
)
_GTID_MARIADB = re.compile(rb"^-- SET GLOBAL gtid_slave_pos='([^']*)'", re.M)
_GTID_MYSQL = re.compile(rb"SET @@GLOBAL\.GTID_PURGED=(?:/\*!80000 '\+'\*/ )?'\+?([^']*)'")
# What both vendors write first of a database's content, after the head.
_CONTENT = re.compile(rb"^-- (?:Table structure|Temporary view structure|Dumping) ", re.M)
_TRAILER = re.compile(rb"^-- Dump completed[^\n]*\s*\Z", re.M)


@dataclasses.dataclass(frozen=True)
class Coordinates:
    """Where the binary log stood at the dump's snapshot."""

    file: str
    position: int
    gtid: str | None


@dataclasses.dataclass(frozen=True)
class DumpClient:
    """An installed client; ``version`` is its own line, ``history``: it can dump old versions of rows."""

    path: str
    engine: str
    version: str
    extra: tuple[str, ...] = ()
    history: bool = False


def find_client(server: Server) -> DumpClient:
    """Return the dump client of the server's own vendor; raise BackupError when only the other one is installed."""
    path = _process.find_tool(*_CLIENTS[server.engine])
    version = require_vendor(path, server)
    known = _process.run([path, "--no-defaults", "--help"]).stdout
    return DumpClient(
        path=path,
        engine=server.engine,
        version=version,
        # Newer clients of MySQL ask for column masking policies, which the account may not read (seen on 9.7).
        extra=("--skip-masking-policies",) if server.engine == "mysql" and b"--masking-policies" in known else (),
        history=b"--dump-history" in known,
    )


def require_vendor(path: str, server: Server) -> str:
    """Return what the client at *path* says of its version; raise BackupError when it is not of the server's vendor."""
    asked = _process.run([path, "--version"])
    version = asked.stdout.decode("utf-8", "replace").strip()
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BackupError(
            f"Failed to start {path}: {said[0] if said else f'status {asked.returncode}'}. Install its package anew.",
            reason="tool_missing",
        )
    engine = "mariadb" if "mariadb" in version.lower() else "mysql"
    if engine != server.engine:
        raise BackupError(
            f"Failed to choose a client: the server is {server.engine} {server.version}, but {path} is {version}. "
            f"Install the client of {server.engine}.",
            reason="wrong_client",
        )
    return version


def dump_command(
    client: DumpClient,
    server: Server,
    *,
    option_file: str,
    options: t.Mapping[str, str],
    database: str,
    history: bool = False,
) -> Command:
    """*options* are those of *option_file*; *history*: old versions of rows too."""
    always, with_binary_log = _ARGUMENTS[client.engine]
    arguments = (*_COMMON, *always, *client.extra, *(with_binary_log if server.log_bin else ()))
    if client.engine == "mysql":
        # Left out, it writes statements that a restorer may not run; COMMENTED without GTIDs is an error.
        arguments += (f"--set-gtid-purged={'COMMENTED' if server.log_bin and server.gtid else 'OFF'}",)
    if history:
        arguments += ("--dump-history",)
    # The option file must come first; by --defaults-file no other one is read.
    first = (client.path, f"--defaults-file={option_file}", *client_arguments(options))
    return Command("the dump client", (*first, *arguments, "--", database))


def definitions_commands(
    client: DumpClient, *, option_file: str, options: t.Mapping[str, str], database: str, views: t.Sequence[str]
) -> list[Command]:
    """What writes all of *database* but tables and rows, in the order in which it can be made again."""
    own = ("--column-statistics=0", "--set-gtid-purged=OFF") if client.engine == "mysql" else ()
    first = (client.path, f"--defaults-file={option_file}", *client_arguments(options), *_DEFINITIONS, *own)
    found = [Command("the dump client", (*first, *client.extra, *_BESIDE_TABLES, "--", database))]
    if views:
        found.append(Command("the dump client", (*first, *client.extra, "--skip-triggers", "--", database, *views)))
    return found


def check_messages(client: DumpClient, result: StageResult) -> None:
    """Raise BackupError for any line on standard error that is not known to be harmless."""
    release = parse_release(re.sub(r"^.*?(?:Distrib|Ver|from)\s+", "", client.version))
    for line in result.stderr.splitlines():
        known = any(
            engine == client.engine and release >= since and pattern.fullmatch(line.strip())
            for engine, since, pattern in _HARMLESS
        )
        if line.strip() and not known:
            raise BackupError(
                f"Failed to dump: the dump client ended with status {result.returncode} but said: {line.strip()}. "
                "An incomplete dump is not kept.",
                reason="dump_message",
            )


def check_trailer(tail: bytes) -> None:
    """Raise BackupError unless the dump ends with its completion mark."""
    if not _TRAILER.search(tail):
        raise BackupError(
            "Failed to dump: the output ends without '-- Dump completed', so it is cut short. It is not kept.",
            reason="truncated",
        )


def has_snapshot(head: bytes) -> bool:
    """True once the output shows that the client has its snapshot and has given its global lock back."""
    return _CONTENT.search(head) is not None


def read_coordinates(client: DumpClient, *, head: bytes, tail: bytes) -> Coordinates | None:
    """Return what the dump says about the binary log; None when it says nothing."""
    found = _LOG_POSITION.search(head)
    if found is None:
        return None
    pattern = _GTID_MARIADB if client.engine == "mariadb" else _GTID_MYSQL
    gtid = pattern.search(head) or pattern.search(tail)
    return Coordinates(
        file=found[1].decode(),
        position=int(found[2]),
        gtid=re.sub(r"\s+", "", gtid[1].decode()) if gtid else None,
    )


__all__: t.Final = (
    "Coordinates",
    "DumpClient",
    "check_messages",
    "check_trailer",
    "definitions_commands",
    "dump_command",
    "find_client",
    "has_snapshot",
    "read_coordinates",
    "require_vendor",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's own programs, found on this host, and how a scratch server is set up with them.

Durability is off: whatever is in it can be made again. What a branch signed must not reach the host through it: no file
is read or written by SQL, no plugin is loaded, there is no network.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import typing as t

from . import _process
from ._errors import BackupError
from ._mysql._connection import Server, parse_release
from ._mysql._dialect import dialect

RELAY: t.Final = "relay"
# Far from any that people give; the server that wrote the log has another one.
_SERVER_ID: t.Final = 4294967290
_PACKAGES: t.Final = {"mariadb": "mariadb-server", "mysql": "mysql-server"}
_REDO_BYTES: t.Final = 256 * 1024**2
_POOL_BYTES: t.Final = (64 * 1024**2, 2 * 1024**3)
# System tables, the redo log, temporary tables.
MARGIN_BYTES: t.Final = 1024**3

_COMMON: t.Final = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--sql-mode=",
    "--event-scheduler=OFF",
    "--max-allowed-packet=1G",
    "--loose-performance-schema=OFF",
    "--loose-innodb-doublewrite=0",
    "--loose-innodb-strict-mode=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    f"--relay-log={RELAY}",
    f"--relay-log-index={RELAY}.index",
    "--relay-log-recovery=OFF",
    "--relay-log-purge=OFF",
    # What the source wrote in the name of another server is its own history all the same.
    "--replicate-same-server-id=1",
    f"--server-id={_SERVER_ID}",
)
_OWN: t.Final = {
    "mariadb": (
        f"--innodb-log-file-size={_REDO_BYTES}",
        "--skip-slave-start",
        "--slave-max-allowed-packet=1G",
        "--slave-exec-mode=STRICT",
        "--gtid-strict-mode=OFF",
    ),
    "mysql": (
        f"--loose-innodb-redo-log-capacity={_REDO_BYTES}",
        "--skip-replica-start",
        "--replica-max-allowed-packet=1G",
        "--replica-exec-mode=STRICT",
        "--loose-replica-parallel-workers=1",
        "--loose-mysqlx=OFF",
        # Logs with GTIDs and without them.
        "--gtid-mode=ON_PERMISSIVE",
        "--enforce-gtid-consistency=OFF",
    ),
}


@dataclasses.dataclass(frozen=True)
class Programs:
    """``server`` and ``installer`` are paths; ``version`` is the server program's own."""

    engine: str
    server: str
    installer: str | None
    version: str


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Whose log is to be replayed: ``version`` is that of the source, ``database`` its schema there."""

    engine: str
    version: str
    database: str
    lower_case_table_names: int = 0


def find_programs(wanted: Wanted) -> Programs:
    """Raise BackupError (``no_scratch_server``) unless this host has a server that can replay what is *wanted*."""
    names = dialect(_as_server(wanted)).server_programs
    server = _which(*names)
    if server is None:
        raise _lacking(wanted, f"this host has no {' or '.join(names)}")
    installer = None
    if wanted.engine == "mariadb":
        installer = _which("mariadb-install-db", "mysql_install_db")
        if installer is None:
            raise _lacking(wanted, "this host has no mariadb-install-db")
    version = _version(server)
    if ("mariadb" in version.lower()) != (wanted.engine == "mariadb"):
        raise _lacking(wanted, f"{server} is {version}")
    if parse_release(version)[:2] < parse_release(wanted.version)[:2]:
        raise _lacking(wanted, f"{server} is older: {version}")
    return Programs(engine=wanted.engine, server=server, installer=installer, version=version)


def _as_server(wanted: Wanted) -> Server:
    return Server(engine=wanted.engine, version=wanted.version, server_id=0, log_bin=False)


def _which(*names: str) -> str | None:
    found = (shutil.which(name, path=_process.search_path()) for name in names)
    return next((path for path in found if path), None)


def _version(server: str) -> str:
    said = _process.run([server, "--no-defaults", "--version"]).stdout.decode("utf-8", "replace").strip()
    match = re.search(r"Ver\s+(\S+)", said)
    return match[1] if match else said


def _lacking(wanted: Wanted, why: str) -> BackupError:
    return BackupError(
        f"Failed to find a server program to replay the log of {wanted.engine} {wanted.version}: {why}. Install "
        f"{_PACKAGES[wanted.engine]} of that version or newer on the target host (it needs no running service), or "
        "restore to the time of a full.",
        reason="no_scratch_server",
    )


def install_command(programs: Programs, directories: t.Mapping[str, str], *, user: str, wanted: Wanted) -> list[str]:
    """What makes an empty data directory whose administrator has no password."""
    data = f"--datadir={directories['data']}"
    if programs.installer is None:
        names = f"--lower-case-table-names={wanted.lower_case_table_names}"
        return [programs.server, "--no-defaults", "--initialize-insecure", f"--user={user}", data, names]
    return [
        programs.installer,
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        f"--user={user}",
        data,
        f"--tmpdir={directories['tmp']}",
        f"--innodb-log-file-size={_REDO_BYTES}",
    ]


def server_command(
    programs: Programs, directories: t.Mapping[str, str], *, user: str, socket: str, wanted: Wanted
) -> list[str]:
    """*directories*: ``data``, ``tmp``, and the empty ``files`` and ``plugins``."""
    return [
        programs.server,
        "--no-defaults",
        f"--user={user}",
        f"--datadir={directories['data']}",
        f"--tmpdir={directories['tmp']}",
        f"--secure-file-priv={directories['files']}",
        f"--plugin-dir={directories['plugins']}",
        f"--socket={socket}",
        f"--pid-file={directories['tmp']}/server.pid",
        f"--lower-case-table-names={wanted.lower_case_table_names}",
        f"--innodb-buffer-pool-size={_pool_bytes()}",
        f"--replicate-wild-do-table={_pattern(wanted.database)}.%",
        *_COMMON,
        *_OWN[programs.engine],
    ]


def _pattern(database: str) -> str:
    return re.sub(r"([\\_%])", r"\\\1", database)


def _pool_bytes() -> int:
    """A quarter of the memory that is free, within bounds."""
    least, most = _POOL_BYTES
    try:
        with open("/proc/meminfo", encoding="ascii") as handle:
            available = next(int(line.split()[1]) * 1024 for line in handle if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return least
    return max(least, min(most, available // 4))


__all__ = ("MARGIN_BYTES", "RELAY", "Programs", "Wanted", "find_programs", "install_command", "server_command")

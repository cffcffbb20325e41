# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What engines and their versions say differently, in one table.

MySQL took the words master and slave out in 8.4; the new ones exist since 8.0.22 (CHANGE REPLICATION SOURCE TO, START
REPLICA) and 8.2 (SHOW BINARY LOG STATUS).

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._connection import Server


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The words of one engine from the release ``since`` on.

    ``binlog_clients``: names of the client that reads binary logs; ``slave_id``: its option for the id it shows to the
    server. ``server_programs``: names of the server's own program. ``start_applier`` applies relay logs only,
    ``until_clause`` takes the relay log's file and position.
    """

    engine: str
    since: tuple[int, int, int]
    log_status: str
    binlog_clients: tuple[str, ...]
    slave_id: str
    server_programs: tuple[str, ...]
    change_source: str
    start_applier: str
    until_clause: str
    stop_applier: str
    show_applier: str


_MARIADB: t.Final = Dialect(
    engine="mariadb",
    since=(0, 0, 0),
    log_status="SHOW MASTER STATUS",
    binlog_clients=("mariadb-binlog", "mysqlbinlog"),
    slave_id="--stop-never-slave-server-id",
    server_programs=("mariadbd", "mysqld"),
    change_source="CHANGE MASTER TO MASTER_HOST='none', MASTER_USE_GTID=no, RELAY_LOG_FILE=%s, RELAY_LOG_POS=%s",
    start_applier="START SLAVE SQL_THREAD",
    until_clause=" UNTIL RELAY_LOG_FILE=%s, RELAY_LOG_POS=%s",
    stop_applier="STOP SLAVE",
    show_applier="SHOW SLAVE STATUS",
)
_MYSQL_8_0: t.Final = Dialect(
    engine="mysql",
    since=(8, 0, 22),
    log_status="SHOW MASTER STATUS",
    binlog_clients=("mysqlbinlog",),
    slave_id="--connection-server-id",
    server_programs=("mysqld",),
    change_source="CHANGE REPLICATION SOURCE TO SOURCE_HOST='none', RELAY_LOG_FILE=%s, RELAY_LOG_POS=%s",
    start_applier="START REPLICA SQL_THREAD",
    until_clause=" UNTIL RELAY_LOG_FILE=%s, RELAY_LOG_POS=%s",
    stop_applier="STOP REPLICA",
    show_applier="SHOW REPLICA STATUS",
)
_MYSQL_8_2: t.Final = dataclasses.replace(_MYSQL_8_0, since=(8, 2, 0), log_status="SHOW BINARY LOG STATUS")
# The newest release of each engine first.
_DIALECTS: t.Final = (_MARIADB, _MYSQL_8_2, _MYSQL_8_0)

# The series that the tests ran on for real; the differences of others are taken from their documentation.
PROVEN: t.Final = {"mariadb": ((10, 11), (11, 8)), "mysql": ((9, 7),)}


def dialect(server: Server) -> Dialect:
    """The words of *server*; one older than all that are known gets the oldest."""
    own = [each for each in _DIALECTS if each.engine == server.engine]
    return next((each for each in own if server.release >= each.since), own[-1])


def is_proven(server: Server) -> bool:
    """Whether the tests ran on the series of *server*."""
    return server.release[:2] in PROVEN[server.engine]


__all__ = ("PROVEN", "Dialect", "dialect", "is_proven")

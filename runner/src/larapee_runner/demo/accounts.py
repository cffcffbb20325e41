# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL accounts of operator, log reader, restorer and application, each with the least grants for its work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .names import quote_identifier

if TYPE_CHECKING:
    import pymysql

    from .server import ThrowawayServer

OPERATOR_GRANTS = "SELECT, SHOW VIEW, TRIGGER, EVENT"
# Not BINLOG MONITOR: with it the account reads the statements of every other database.
OPERATOR_GLOBAL_GRANTS = "RELOAD"
# Whoever reads binary logs sees the rows of every database, so no other account may.
LOG_READER_GLOBAL_GRANTS = "REPLICATION SLAVE, BINLOG MONITOR, RELOAD"
RESTORER_GRANTS = (
    "SELECT, INSERT, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES, CREATE VIEW, SHOW VIEW, TRIGGER, EVENT, "
    "CREATE ROUTINE, ALTER ROUTINE"
)
RESTORER_GLOBAL_GRANTS = "SET USER"
APPLICATION_GRANTS = "SELECT, INSERT, UPDATE, DELETE, EXECUTE"
SHOW_CREATE_ROUTINE_SINCE = (11, 3)


def _grant_pattern(database: str) -> str:
    """In GRANT a database's name is a LIKE pattern: unescaped, `pos_1` would also open `posx1`."""
    return quote_identifier(re.sub(r"([\\_%])", r"\\\1", database))


def _server_version(connection: pymysql.connections.Connection[pymysql.cursors.Cursor]) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        row = cursor.fetchone()
    version = re.match(r"(\d+)\.(\d+)", str(row[0]) if row else "")
    return (int(version[1]), int(version[2])) if version else (0, 0)


def _create_user(cursor: pymysql.cursors.Cursor, *, user: str, password: str) -> None:
    cursor.execute("CREATE USER IF NOT EXISTS %s@'localhost'", (user,))
    cursor.execute("ALTER USER %s@'localhost' IDENTIFIED BY %s", (user, password))


def create_operator(server: ThrowawayServer, *, database: str, user: str = "larapee-backup", password: str) -> None:
    """May take backups of the database, and nothing else."""
    connection = server.connect()
    try:
        routines = (
            f"SHOW CREATE ROUTINE ON {_grant_pattern(database)}.*"
            if _server_version(connection) >= SHOW_CREATE_ROUTINE_SINCE
            else "SELECT ON mysql.proc"
        )
        with connection.cursor() as cursor:
            _create_user(cursor, user=user, password=password)
            cursor.execute(f"GRANT {OPERATOR_GRANTS} ON {_grant_pattern(database)}.* TO %s@'localhost'", (user,))
            cursor.execute(f"GRANT {routines} TO %s@'localhost'", (user,))
            cursor.execute(f"GRANT {OPERATOR_GLOBAL_GRANTS} ON *.* TO %s@'localhost'", (user,))
    finally:
        connection.close()


def create_log_reader(server: ThrowawayServer, *, user: str = "larapee-binlog", password: str) -> None:
    """May close and read binary logs, and reads no table."""
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            _create_user(cursor, user=user, password=password)
            cursor.execute(f"GRANT {LOG_READER_GLOBAL_GRANTS} ON *.* TO %s@'localhost'", (user,))
    finally:
        connection.close()


def create_restorer(server: ThrowawayServer, *, database: str, user: str = "larapee-restore", password: str) -> None:
    """May fill the one schema, with foreign definers."""
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            _create_user(cursor, user=user, password=password)
            cursor.execute(f"GRANT {RESTORER_GRANTS} ON {_grant_pattern(database)}.* TO %s@'localhost'", (user,))
            cursor.execute(f"GRANT {RESTORER_GLOBAL_GRANTS} ON *.* TO %s@'localhost'", (user,))
    finally:
        connection.close()


def create_application(server: ThrowawayServer, *, database: str, user: str = "larapee-app", password: str) -> None:
    """The shop's own account: it sells, and may neither back up nor restore."""
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            _create_user(cursor, user=user, password=password)
            cursor.execute(f"GRANT {APPLICATION_GRANTS} ON {_grant_pattern(database)}.* TO %s@'localhost'", (user,))
    finally:
        connection.close()


__all__ = ("create_application", "create_log_reader", "create_operator", "create_restorer")

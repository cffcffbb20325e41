# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import pymysql
    from pymysql.constants import CLIENT, ER
except ImportError:
    _HAS_PYMYSQL = False
else:
    _HAS_PYMYSQL = True

from ._errors import StoreError
from ._option_file import read_option_file
from ._record import one_line
from ._store_sql import COLUMNS, TABLE, SqlStore

if TYPE_CHECKING:
    _Connection = pymysql.connections.Connection[Any]
else:
    _Connection = pymysql.connections.Connection if _HAS_PYMYSQL else object

_DEFAULT_PORT = 3306
_ATTEMPTS = 3
_SCHEMA = f"""CREATE TABLE IF NOT EXISTS `{TABLE}` (
    `id` CHAR(36) NOT NULL,
    `run_id` CHAR(36) NOT NULL,
    `branch` VARCHAR(128),
    `kind` VARCHAR(32),
    `status` VARCHAR(16) NOT NULL,
    `started_at` DATETIME(6) NOT NULL,
    `finished_at` DATETIME(6),
    `duration_s` DOUBLE,
    `host` VARCHAR(255) NOT NULL,
    `launcher` VARCHAR(64) NOT NULL,
    `launcher_ref` VARCHAR(255),
    `playbook` TEXT NOT NULL,
    `check_mode` TINYINT NOT NULL,
    `artifacts` LONGTEXT NOT NULL,
    `bytes` BIGINT,
    `recovery_point` VARCHAR(255),
    `error` TEXT,
    `evidence` TINYINT NOT NULL,
    `details` LONGTEXT NOT NULL,
    PRIMARY KEY (`id`),
    KEY `{TABLE}_run` (`run_id`),
    KEY `{TABLE}_branch` (`branch`, `kind`, `started_at`),
    KEY `{TABLE}_started` (`started_at`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"""


def _upsert_sql() -> str:
    # Neither engine has a WHERE here, and each assignment sees those before it: evidence decides, so it comes last.
    higher = f"VALUES(`evidence`) > `{TABLE}`.`evidence`"
    values = {column: f"VALUES(`{column}`)" for column in COLUMNS}
    # No sign of a format in it: drivers up to 1.2.0 leave a doubled one as it is here, later ones halve it.
    finished = f"CONCAT(REPLACE(CAST(`{TABLE}`.`finished_at` AS CHAR), ' ', 'T'), 'Z')"
    inference = f"JSON_OBJECT('error', `{TABLE}`.`error`, 'finished_at', {finished})"
    # MySQL refuses to mix its JSON type with text in one IF.
    values["details"] = (
        f"IF(`{TABLE}`.`evidence` = 1, "
        f"CONVERT(JSON_SET(VALUES(`details`), '$.inference', {inference}) USING utf8mb4), VALUES(`details`))"
    )
    order = ["details", *(column for column in COLUMNS if column not in ("id", "details", "evidence")), "evidence"]
    assignments = ", ".join(f"`{column}` = IF({higher}, {values[column]}, `{TABLE}`.`{column}`)" for column in order)
    columns = ", ".join(f"`{column}`" for column in COLUMNS)
    marks = ", ".join(["%s"] * len(COLUMNS))
    return f"INSERT INTO `{TABLE}` ({columns}) VALUES ({marks}) ON DUPLICATE KEY UPDATE {assignments}"  # noqa: S608 - fixed names


@dataclass(frozen=True)
class MysqlTarget:
    """What a runs URL says of a server; the password stands in the option file only."""

    host: str | None
    port: int | None
    user: str | None
    database: str
    option_file: str
    allow_plaintext: bool


class _EncryptedConnection(_Connection):
    """Refuses before the first credential: older drivers go on in plain text when the server offers no TLS."""

    server_capabilities: int

    def _request_authentication(self) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(2026, "the server offers no TLS")
        super()._request_authentication()  # type: ignore[misc]


class MysqlStore(SqlStore):
    """MariaDB and MySQL; every wait is bounded, since a silent peer must not hold a backup."""

    placeholder = "%s"
    upsert_sql = _upsert_sql()

    def __init__(self, target: MysqlTarget, *, connect_timeout: int, read_timeout: int, write_timeout: int) -> None:
        if not _HAS_PYMYSQL:
            raise StoreError(
                "Failed to open the runs table: PyMySQL is not installed for this Python. Install python3-pymysql."
            )
        options = read_option_file(Path(target.option_file))
        host = target.host or options.get("host") or "localhost"
        socket_path = options.get("socket") if host == "localhost" else None
        port = target.port or int(options.get("port", _DEFAULT_PORT))
        self._name = f"{target.database} on {socket_path or f'{host}:{port}'}"
        encrypted = not (socket_path or target.allow_plaintext or _is_loopback(host)) or "ssl-ca" in options
        with self._errors("reach"):
            maker = _EncryptedConnection if encrypted else _Connection
            self._connection = maker(
                host=host,
                port=port,
                unix_socket=socket_path,
                user=target.user or options.get("user"),
                # The driver would encode text as latin-1.
                password=options.get("password", "").encode(),
                database=target.database,
                charset="utf8mb4",
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                write_timeout=write_timeout,
                init_command=(
                    "SET SESSION sql_mode = 'STRICT_ALL_TABLES', "
                    f"innodb_lock_wait_timeout = {max(1, read_timeout - 1)}, "
                    f"lock_wait_timeout = {max(1, read_timeout - 1)}"
                ),
                autocommit=True,
                local_infile=False,
                **({"ssl": _tls_context(options)} if encrypted else {"ssl_disabled": True}),
            )
            self._lock_wait_s = max(1, read_timeout - 1)
            try:
                self._make_table()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        with contextlib.suppress(pymysql.MySQLError, OSError):
            self._connection.close()

    def _make_table(self) -> None:
        """An account that may not create tables works with a table that is there."""
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT 1 FROM `{TABLE}` LIMIT 0")  # noqa: S608 - fixed name
            except pymysql.err.ProgrammingError as error:
                if error.args[0] != ER.NO_SUCH_TABLE:
                    raise
                cursor.execute(_SCHEMA)

    def upsert(self, records: Sequence[Any]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                super().upsert(records)
                return
            except StoreError as error:
                cause = error.__cause__
                if (
                    attempt == _ATTEMPTS
                    or not isinstance(cause, pymysql.MySQLError)
                    or cause.args[:1] != (ER.LOCK_DEADLOCK,)
                ):
                    raise

    def _execute(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._errors("read"), self._connection.cursor() as cursor:
            cursor.execute(sql, list(values))
            return list(cursor.fetchall())

    def _execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(sql, [list(row) for row in rows])

    @contextlib.contextmanager
    def _transaction(self, run_ids: Sequence[str]) -> Iterator[None]:
        # Two witnesses may write a run's first rows at once, and a row that is not there yet cannot be locked.
        names = [f"larapee-run-{run_id}" for run_id in run_ids]
        try:
            with self._errors("write"):
                for name in names:
                    self._take(name)
                self._connection.begin()
                try:
                    yield
                    self._connection.commit()
                except BaseException:
                    with contextlib.suppress(pymysql.MySQLError, OSError):
                        self._connection.rollback()
                    raise
        finally:
            with contextlib.suppress(StoreError):
                for name in names:
                    self._execute("DO RELEASE_LOCK(%s)", [name])

    def _take(self, name: str) -> None:
        if self._execute("SELECT GET_LOCK(%s, %s)", [name, self._lock_wait_s]) != [(1,)]:
            raise pymysql.err.OperationalError(ER.LOCK_WAIT_TIMEOUT, "another writer holds the rows of this run")

    def _time_to_column(self, moment: datetime) -> datetime:
        return moment.astimezone(UTC).replace(tzinfo=None)

    def _time_from_column(self, value: Any) -> datetime:
        moment: datetime = value.replace(tzinfo=UTC)
        return moment

    @contextlib.contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # what a broken peer makes the driver raise is not one family of errors
            cause = error.args[1] if isinstance(error, pymysql.MySQLError) and len(error.args) > 1 else error
            raise StoreError(
                f"Failed to {verb} the runs table {self._name}: {one_line(cause) or type(error).__name__}. "
                "Check the server, the account and its grants; what is in the journal follows by itself."
            ) from error


def _tls_context(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl-ca"))
    if "ssl-cert" in options:
        context.load_cert_chain(options["ssl-cert"], options.get("ssl-key"))
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ("MysqlStore", "MysqlTarget")

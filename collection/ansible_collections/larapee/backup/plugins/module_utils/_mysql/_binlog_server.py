# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server says about its binary logs, and whether they can be relied on.

Nothing is changed at the server but that a new file is begun; what is old is removed by its own expiry alone.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._binlog import _gtid
from .._errors import BackupError
from . import _grants
from ._connection import Server, rows
from ._dialect import dialect

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

_VARIABLES: t.Final = (
    *("binlog_format", "sync_binlog", "innodb_flush_log_at_trx_commit", "binlog_storage_engine"),
    *("expire_logs_days", "binlog_expire_logs_seconds", "binlog_expire_logs_auto_purge", "max_binlog_total_size"),
    "slave_connections_needed_for_purge",
)
_DAY_SECONDS: t.Final = 86400


@dataclasses.dataclass(frozen=True)
class LogFile:
    """A file as the server lists it; ``size`` is final for all but the last one."""

    name: str
    size: int


@dataclasses.dataclass(frozen=True)
class LogStatus:
    """Where the server writes next; ``gtid`` in canonical form."""

    file: str
    position: int
    gtid: str


def check_account(connection: Connection, server: Server) -> None:
    """Raise BackupError that names the privileges without which nothing can be sealed."""
    grants = _grants.parse_grants(str(row[0]) for row in rows(connection, "SHOW GRANTS"))
    missing = _grants.missing_for_sealing(grants, server=server)
    if missing:
        raise BackupError(
            f"Failed to seal the binary logs: the account lacks {', '.join(missing)}. Grant it, to an account that may "
            "do nothing else, and name that one in larapee_backup_binlog_option_file.",
            reason="missing_privilege",
        )


def check_settings(connection: Connection, server: Server) -> list[str]:
    """What is risky about the server's settings; raises BackupError for those under which the logs lack changes."""
    if not server.log_bin:
        raise _refuse(
            "the server writes none",
            "Set log_bin, binlog_format=ROW, sync_binlog=1 and a server_id of its own, and restart it",
        )
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    settings = {
        str(name).lower(): str(value)
        for name, value in rows(connection, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    }
    storage = settings.get("binlog_storage_engine", "").lower()
    if storage == "innodb":
        raise _refuse(
            "with binlog_storage_engine=innodb they are no files of events", "Take that setting out and restart it"
        )
    form = settings.get("binlog_format", "ROW").upper()
    if form != "ROW":
        raise _refuse(
            f"binlog_format is {form}, so a replay may come to other rows",
            "Set binlog_format=ROW in its configuration, and SET GLOBAL binlog_format='ROW', which counts for new "
            "sessions",
        )
    _refuse_filters(connection, server)
    return describe_risks(settings)


def _refuse_filters(connection: Connection, server: Server) -> None:
    status = _status_row(connection, server)
    for index, option in ((2, "binlog_do_db"), (3, "binlog_ignore_db")):
        if status[index]:
            raise _refuse(
                f"{option} is {status[index]}, so changes are missing from them",
                f"Take {option} out of its configuration and restart it",
            )


def describe_risks(settings: t.Mapping[str, str]) -> list[str]:
    """What may cost sales or fill the disk, of the server's *settings* by name in lower case."""
    risks = [
        f"{name} is {settings[name]}, not 1: a power cut loses sales that the till has printed, and may tear the "
        "binary log."
        for name in ("sync_binlog", "innodb_flush_log_at_trx_commit")
        if settings.get(name, "1") != "1"
    ]
    expiry = _expiry_seconds(settings)
    if not expiry:
        risks.append("Binary logs never expire, so the disk fills. Set binlog_expire_logs_seconds=604800.")
    elif expiry < _DAY_SECONDS:
        risks.append(
            f"Binary logs expire after {expiry:.0f} seconds: what no run seals by then is lost. Set "
            "binlog_expire_logs_seconds=604800."
        )
    if expiry and settings.get("slave_connections_needed_for_purge", "0") != "0":
        risks.append(
            f"slave_connections_needed_for_purge is {settings['slave_connections_needed_for_purge']}: without a "
            "replica binary logs never expire, so the disk fills. Set it to 0."
        )
    if settings.get("max_binlog_total_size", "0") != "0":
        risks.append(
            f"max_binlog_total_size is {settings['max_binlog_total_size']}: a busy day removes binary logs before a "
            "run seals them. Set it to 0."
        )
    return risks


def _expiry_seconds(settings: t.Mapping[str, str]) -> float:
    if settings.get("binlog_expire_logs_auto_purge", "ON").upper() in ("OFF", "0"):
        return 0.0
    seconds = float(settings.get("binlog_expire_logs_seconds", "0"))
    return seconds or float(settings.get("expire_logs_days", "0")) * _DAY_SECONDS


def read_status(connection: Connection, server: Server) -> LogStatus:
    row = _status_row(connection, server)
    variable = "@@GLOBAL.gtid_binlog_pos" if server.engine == "mariadb" else "@@GLOBAL.gtid_executed"
    text = str(rows(connection, f"SELECT {variable}")[0][0]) if server.engine == "mariadb" or server.gtid else ""
    return LogStatus(file=str(row[0]), position=int(row[1]), gtid=str(_gtid.parse(server.engine, text)))


def _status_row(connection: Connection, server: Server) -> tuple[t.Any, ...]:
    found = rows(connection, dialect(server).log_status)
    if not found:
        raise _refuse("the server does not say where they stand", "See its log; restart it")
    return found[0]


def read_logs(connection: Connection) -> list[LogFile]:
    """The files that the server has, oldest first; the last one is being written."""
    return [LogFile(name=str(row[0]), size=int(row[1])) for row in rows(connection, "SHOW BINARY LOGS")]


def begin_next_file(connection: Connection) -> None:
    """Close the file that is being written; other logs of the server stay as they are."""
    rows(connection, "FLUSH BINARY LOGS")


def _refuse(why: str, remedy: str) -> BackupError:
    return BackupError(f"Failed to seal the binary logs: {why}. {remedy}.", reason="binlog_settings")


__all__ = (
    "LogFile",
    "LogStatus",
    "begin_next_file",
    "check_account",
    "check_settings",
    "describe_risks",
    "read_logs",
    "read_status",
)

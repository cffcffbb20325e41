# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replay on the scratch server: binary log files that were placed as relay logs, applied by its own replication thread.

The thread applies exactly what the server's replicas would: rows without triggers, definitions whatever the default
database was, and of other schemas nothing. There is no source, no network and no account.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
import typing as t

from ._binlog._facts import Group
from ._binlog._walker import Walker
from ._errors import BackupError
from ._mysql._connection import connect, quote_identifier, rows
from ._mysql._dialect import dialect
from ._scratch_server import RELAY

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

    from ._scratch import Scratch

_POLL_SECONDS: t.Final = 0.02
# The thread has read everything and does not stop: then it does not see the end that it was given.
_IDLE_SECONDS: t.Final = 2.0
_BLOCK: t.Final = 1024 * 1024
_ENDLESS: t.Final = 1 << 62
_NO_SUCH_DATABASE: t.Final = 1049
_UNKNOWN_DATABASE: t.Final = re.compile(r"Unknown database '([^']+)'")


@dataclasses.dataclass(frozen=True)
class _Status:
    running: bool
    file: str
    position: int
    state: str
    errno: int
    error: str


class RelayLogs:
    """Places binary log files in the data directory of a server that has not started; ``names`` are the source's."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self.names: list[str] = []
        self.bytes = 0

    def path(self, name: str) -> str:
        return os.path.join(self._scratch.datadir, relay_name(self.names.index(name)))

    def add(self, name: str) -> t.BinaryIO:
        """An open file for the bytes of the next log."""
        self.names.append(name)
        return open(self.path(name), "xb", buffering=0)

    def truncate(self, name: str, size: int) -> None:
        os.truncate(self.path(name), size)

    def finish(self) -> None:
        """Tell the server of them, before it starts."""
        index = os.path.join(self._scratch.datadir, f"{RELAY}.index")
        with open(index, "w", encoding="ascii") as handle:
            handle.writelines(f"./{relay_name(number)}\n" for number in range(len(self.names)))
        for path in (index, *(self.path(name) for name in self.names)):
            self._scratch.own(path)
            self.bytes += os.path.getsize(path)


def relay_name(number: int) -> str:
    return f"{RELAY}.{number + 1:06d}"


class Replay:
    """One replay from a position in the first of *logs*; ``run_to`` may be called again with a later end."""

    def __init__(self, scratch: Scratch, logs: RelayLogs, *, start: int) -> None:
        if scratch.server is None:
            raise ValueError("the scratch server has not started")
        self._scratch = scratch
        self._logs = logs
        self._engine = scratch.server.engine
        self._words = dialect(scratch.server)
        self._at = (0, start)
        self._prepared = False
        self._made: set[str] = set()

    def run_to(self, name: str, position: int) -> None:
        """Apply everything up to *position* in *name*, where a transaction ends.

        Raises BackupError (``replay_failed``) that names the event at which the server stopped.
        """
        end = (self._logs.names.index(name), position)
        if end <= self._at:
            return
        try:
            with connect(self._scratch.options) as connection:
                self._prepare(connection)
                until = [relay_name(end[0]), position]
                rows(connection, self._words.start_applier + self._words.until_clause, until)
                while (other := self._wait(connection, end)) is not None:
                    rows(connection, f"CREATE DATABASE {quote_identifier(other)}")
                    rows(connection, self._words.start_applier + self._words.until_clause, until)
        except BackupError as exc:
            raise self._scratch.describe(exc) from exc
        self._at = end

    def _prepare(self, connection: Connection) -> None:
        if not self._prepared:
            rows(connection, self._words.change_source, [relay_name(0), self._at[1]])
            self._prepared = True

    def _wait(self, connection: Connection, end: tuple[int, int]) -> str | None:
        """Wait for the end; return the name of another schema that a definition of its own needs, to be made first."""
        idle_since: float | None = None
        while True:
            status = self._status(connection)
            if status.errno:
                other = self._missing_schema(status)
                if other is not None:
                    return other
                raise self._stopped(status)
            if not status.running:
                break
            if "has read all relay log" not in status.state.lower():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > _IDLE_SECONDS:
                rows(connection, self._words.stop_applier)
                status = self._status(connection)
                break
            time.sleep(_POLL_SECONDS)
        reached = (_number(status.file), status.position)
        # What stands between transactions, and the change to the next file, may or may not be counted.
        if reached != end and not self._nothing_between(*sorted((end, reached))):
            raise BackupError(
                f"Failed to replay {self._logs.names[end[0]]}: the scratch server stopped at {status.file}:"
                f"{status.position}, not at {relay_name(end[0])}:{end[1]}. The target was not changed. Keep the "
                "artifacts and restore to another point.",
                reason="replay_failed",
            )

        return None

    def _missing_schema(self, status: _Status) -> str | None:
        """No filter keeps routines of other schemas away: they are made, in a schema that nobody reads."""
        found = _UNKNOWN_DATABASE.search(status.error) if status.errno == _NO_SUCH_DATABASE else None
        if found is None or found[1] in self._made or found[1].casefold() == self._scratch.wanted.database.casefold():
            return None
        self._made.add(found[1])
        return found[1]

    def _nothing_between(self, before: tuple[int, int], after: tuple[int, int]) -> bool:
        """Whether no transaction of the logs lies between two places."""
        for number in range(max(before[0], 0), min(after[0], len(self._logs.names) - 1) + 1):
            since = before[1] if number == before[0] else 0
            until = after[1] if number == after[0] else _ENDLESS
            if self._find(number, since, until) is not None:
                return False
        return True

    def _find(self, number: int, since: int, until: int = _ENDLESS) -> Group | None:
        """The first transaction of a file between two of its positions."""
        found: list[Group] = []

        def look(group: Group) -> None:
            if not found and since <= group.start and group.end <= until:
                found.append(group)

        walker = Walker(self._engine, on_group=look)
        with open(os.path.join(self._scratch.datadir, relay_name(number)), "rb", buffering=0) as handle:
            while not found and (block := handle.read(_BLOCK)):
                walker.feed(block)
        return found[0] if found else None

    def _stopped(self, status: _Status) -> BackupError:
        number = _number(status.file)
        name = self._logs.names[number] if 0 <= number < len(self._logs.names) else status.file
        group = self._find(number, status.position) if name != status.file else None
        of = f" (GTID {group.gtid})" if group is not None and group.gtid else ""
        return BackupError(
            f"Failed to replay the transaction at {name}:{status.position}{of}: the scratch server said: "
            f"{' '.join(status.error.split()).rstrip('.')} ({status.errno}). The target was not changed. The full and "
            "the log contradict each other there: restore to a point before it, or use another full.",
            reason="replay_failed",
            facts={"file": name, "position": status.position, "gtid": group.gtid if group else None},
        )

    def _status(self, connection: Connection) -> _Status:
        with connection.cursor() as cursor:
            cursor.execute(self._words.show_applier)
            row = cursor.fetchone()
            names = [column[0] for column in cursor.description or ()]
        known: dict[str, t.Any] = dict(zip(names, row or ()))

        def value(*candidates: str) -> t.Any:
            return next((known[name] for name in candidates if name in known), "")

        return _Status(
            running=value("Slave_SQL_Running", "Replica_SQL_Running") == "Yes",
            file=str(value("Relay_Log_File")),
            position=int(value("Relay_Log_Pos") or 0),
            state=str(value("Slave_SQL_Running_State", "Replica_SQL_Running_State") or ""),
            errno=int(value("Last_SQL_Errno") or 0),
            error=str(value("Last_SQL_Error") or ""),
        )


def _number(file: str) -> int:
    digits = file.rpartition(".")[2]
    return int(digits) - 1 if digits.isdigit() else -1


__all__ = ("RelayLogs", "Replay", "relay_name")

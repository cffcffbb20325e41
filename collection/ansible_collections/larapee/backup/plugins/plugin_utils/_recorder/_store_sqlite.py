# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ._errors import StoreError
from ._record import format_time, one_line, parse_time
from ._store_sql import COLUMNS, TABLE, SqlStore

_PAUSE_SECONDS = 0.05
_SCHEMA = (
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    branch TEXT,
    kind TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'success', 'failed')),
    started_at TEXT NOT NULL,
    finished_at TEXT,
    duration_s REAL,
    host TEXT NOT NULL,
    launcher TEXT NOT NULL,
    launcher_ref TEXT,
    playbook TEXT NOT NULL,
    check_mode INTEGER NOT NULL,
    artifacts TEXT NOT NULL,
    bytes INTEGER,
    recovery_point TEXT,
    error TEXT,
    evidence INTEGER NOT NULL CHECK (evidence BETWEEN 0 AND 2),
    details TEXT NOT NULL
)""",
    f"CREATE INDEX IF NOT EXISTS {TABLE}_run ON {TABLE} (run_id)",
    f"CREATE INDEX IF NOT EXISTS {TABLE}_branch ON {TABLE} (branch, kind, started_at)",
    f"CREATE INDEX IF NOT EXISTS {TABLE}_started ON {TABLE} (started_at)",
)


def _upsert_sql() -> str:
    # An inference that an observed end replaces stays readable in details.
    values = {column: f"excluded.{column}" for column in COLUMNS}
    values["details"] = (
        f"CASE WHEN {TABLE}.evidence = 1 THEN json_set(excluded.details, '$.inference', "
        f"json_object('error', {TABLE}.error, 'finished_at', {TABLE}.finished_at)) ELSE excluded.details END"
    )
    assignments = ", ".join(f"{column} = {value}" for column, value in values.items() if column != "id")
    return (
        f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - fixed names
        f"ON CONFLICT (id) DO UPDATE SET {assignments} WHERE excluded.evidence > {TABLE}.evidence"
    )


class SqliteStore(SqlStore):
    """The embedded default: one file, readable by its owner alone."""

    placeholder = "?"
    upsert_sql = _upsert_sql()

    def __init__(self, path: str, *, timeout: int) -> None:
        self._path = path
        with self._errors("open"):
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its log and index files the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                self._switch_to_wal(time.monotonic() + timeout)
                self._connection.execute("PRAGMA synchronous = FULL")
                for statement in _SCHEMA:
                    self._connection.execute(statement)
            except BaseException:
                self._connection.close()
                raise

    def _switch_to_wal(self, until: float) -> None:
        """The one statement for which SQLite's own timeout does not hold, when two open a new file at once."""
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def _execute(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._errors("read"):
            return self._connection.execute(sql, values).fetchall()

    def _execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def _transaction(self, run_ids: Sequence[str]) -> Iterator[None]:
        with self._errors("write"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _time_to_column(self, moment: datetime) -> str:
        return format_time(moment)

    def _time_from_column(self, value: Any) -> datetime:
        return parse_time(value)

    @contextlib.contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            raise StoreError(
                f"Failed to {verb} the runs table {self._path}: {one_line(error)}. "
                "Check that the file and its directory can be written by this account."
            ) from error


__all__ = ("SqliteStore",)

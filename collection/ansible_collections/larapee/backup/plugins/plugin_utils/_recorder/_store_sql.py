# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import abc
import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._record import Evidence, RunRecord, dump_json

TABLE = "backup_runs"
COLUMNS = ("id", *(field.name for field in dataclasses.fields(RunRecord)))
# A statement must not outgrow what servers accept at once; a play over a thousand branches writes a thousand rows.
_ROWS_PER_STATEMENT = 200


@dataclass(frozen=True)
class Glance:
    """What a look over many rows needs; the whole of each would cost a hundred times as much."""

    run_id: str
    branch: str | None
    kind: str | None
    status: str
    started_at: datetime
    finished_at: datetime | None
    check_mode: bool
    evidence: int
    # What tells runs of one kind apart, as ``details`` have it.
    place: str | None
    scope: str | None
    # A branch's word, which central took in; what that key holds is for central alone to write.
    imported: bool


# The same functions in every engine. A quote inside of a text is escaped in JSON, so that no text looks like the key.
_IMPORTED = """INSTR(details, '"imported": {') > 0"""


def _one_of(key: str, values: Sequence[str]) -> str:
    told = (f"""WHEN INSTR(details, '"{key}": "{value}"') > 0 THEN '{value}'""" for value in values)
    return f"CASE {' '.join(told)} END"


_FOUND = {
    "place": _one_of("place", ("central", "hot", "cold", "local")),
    "scope": _one_of("scope", ("log", "all")),
    "imported": _IMPORTED,
}
_GLANCED = tuple(_FOUND.get(item.name, item.name) for item in dataclasses.fields(Glance))


class SqlStore(abc.ABC):
    """What the engines share; each adds its connection, its times and its conditional upsert."""

    placeholder: str
    upsert_sql: str

    @abc.abstractmethod
    def _execute(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]: ...

    @abc.abstractmethod
    def _execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...

    @abc.abstractmethod
    def _transaction(self, run_ids: Sequence[str]) -> contextlib.AbstractContextManager[None]:
        """One transaction that no other writer of these runs enters meanwhile."""

    @abc.abstractmethod
    def _time_to_column(self, moment: datetime) -> Any: ...

    @abc.abstractmethod
    def _time_from_column(self, value: Any) -> datetime: ...

    def upsert(self, records: Sequence[RunRecord]) -> None:
        if not records:
            return
        run_ids = sorted({record.run_id for record in records})
        incoming = {record.run_id for record in records if record.branch is not None}
        with self._transaction(run_ids):
            known = incoming | {run_id for run_id in run_ids if run_id not in incoming and self._knows_branches(run_id)}
            for run_id in sorted(incoming):
                self._execute(
                    f"DELETE FROM {TABLE} WHERE run_id = {self.placeholder} AND branch IS NULL",  # noqa: S608 - fixed names
                    [run_id],
                )
            rows = [
                self._to_row(record)
                # The surest goes first, so that one statement never writes a row twice in vain.
                for record in sorted(records, key=lambda record: (record.id, -record.evidence))
                if record.branch is not None or record.run_id not in known
            ]
            for batch in _batches(rows):
                self._execute_many(self.upsert_sql, batch)

    def query(
        self,
        *,
        branch: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        run_id: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        wanted = {"branch": branch, "kind": kind, "status": status, "run_id": run_id}
        conditions = [f"{column} = {self.placeholder}" for column, value in wanted.items() if value is not None]
        values: list[Any] = [value for value in wanted.values() if value is not None]
        if since is not None:
            conditions.append(f"started_at >= {self.placeholder}")
            values.append(self._time_to_column(since))
        sql = f"SELECT {', '.join(COLUMNS)} FROM {TABLE}"  # noqa: S608 - fixed names
        if conditions:
            sql += " WHERE " + " AND ".join(conditions)
        sql += " ORDER BY started_at DESC, id"
        if limit is not None:
            sql += f" LIMIT {int(limit)}"
        return [self._from_row(row) for row in self._execute(sql, values)]

    def glance(self, *, since: datetime, branch: str | None = None) -> list[Glance]:
        sql = f"SELECT {', '.join(_GLANCED)} FROM {TABLE} WHERE started_at >= {self.placeholder}"  # noqa: S608 - fixed names
        values = [self._time_to_column(since)]
        if branch is not None:
            sql += f" AND branch = {self.placeholder}"
            values.append(branch)
        return [self._glance_of(row) for row in self._execute(f"{sql} ORDER BY started_at", values)]

    def branches(self) -> list[str]:
        sql = f"SELECT DISTINCT branch FROM {TABLE} WHERE branch IS NOT NULL ORDER BY branch"  # noqa: S608 - fixed names
        return [branch for (branch,) in self._execute(sql, [])]

    def _glance_of(self, row: Sequence[Any]) -> Glance:
        values = dict(zip((item.name for item in dataclasses.fields(Glance)), row, strict=True))
        values["started_at"] = self._time_from_column(values["started_at"])
        if values["finished_at"] is not None:
            values["finished_at"] = self._time_from_column(values["finished_at"])
        values["check_mode"] = bool(values["check_mode"])
        values["evidence"] = int(values["evidence"])
        values["imported"] = bool(values["imported"])
        return Glance(**values)

    def _knows_branches(self, run_id: str) -> bool:
        sql = f"SELECT 1 FROM {TABLE} WHERE run_id = {self.placeholder} AND branch IS NOT NULL LIMIT 1"  # noqa: S608 - fixed names
        return bool(self._execute(sql, [run_id]))

    def _to_row(self, record: RunRecord) -> list[Any]:
        values = {column: getattr(record, column) for column in COLUMNS}
        values["started_at"] = self._time_to_column(record.started_at)
        values["finished_at"] = None if record.finished_at is None else self._time_to_column(record.finished_at)
        values["check_mode"] = int(record.check_mode)
        values["evidence"] = int(record.evidence)
        values["artifacts"] = dump_json(record.artifacts)
        values["details"] = dump_json(record.details)
        return [values[column] for column in COLUMNS]

    def _from_row(self, row: Sequence[Any]) -> RunRecord:
        values = dict(zip(COLUMNS, row, strict=True))
        del values["id"]
        values["started_at"] = self._time_from_column(values["started_at"])
        if values["finished_at"] is not None:
            values["finished_at"] = self._time_from_column(values["finished_at"])
        values["check_mode"] = bool(values["check_mode"])
        values["evidence"] = Evidence(values["evidence"])
        values["artifacts"] = json.loads(values["artifacts"])
        values["details"] = json.loads(values["details"])
        return RunRecord(**values)


def _batches(rows: list[list[Any]]) -> Iterator[list[list[Any]]]:
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        yield rows[start : start + _ROWS_PER_STATEMENT]


__all__ = ("COLUMNS", "Glance", "SqlStore", "TABLE")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping what a database holds aside while another content takes its place: by renaming tables, never by copying rows.

Tables go to another schema in one statement, which MariaDB since 10.6 and MySQL 8 do whole or not at all. Views,
triggers, routines and events cannot: their definitions lie in a file, and are made again from it when the tables come
back. While the live schema holds half of it, it bears the mark of an unfinished restore with the record's run id: by
that, and by nothing else, a later call knows the tables there for those that were kept.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from . import _aside_definitions, _clock, _epoch, _io, _lock, _manifest, _names
from ._aside_record import KEEPING, KEPT, RETURNED, RETURNING, Paths, Record
from ._errors import BackupError
from ._fill import take_database
from ._mysql import _grants, _inspect, _marker, _moving
from ._mysql._connection import connect, identify, quote_identifier, rows
from ._mysql._inspect import Schema
from ._mysql._option_file import describe_server, read_option_file, refuse_system_schema
from ._mysql._scan import difference
from ._target import Target

# The server goes on with the statement of a run that was killed.
_LOCK_WAIT_SECONDS: t.Final = 30


@dataclasses.dataclass(frozen=True)
class AsideRequest:
    """*aside* is the schema that keeps it. ``again``: an earlier start of the same restore has been here."""

    branch: str
    option_file: str
    database: str
    aside: str
    state_path: str
    run_id: str
    confirm: str = ""
    again: bool = False


@dataclasses.dataclass
class AsideOutcome:
    """``kept`` is what is aside afterwards: schema, tables, bytes; None: nothing. ``dropped`` counts what was lost."""

    changed: bool
    kept: dict[str, t.Any] | None = None
    dropped: dict[str, int] | None = None
    seconds: float = 0.0
    warnings: list[str] = dataclasses.field(default_factory=list)


def keep(request: AsideRequest, *, check_mode: bool = False) -> AsideOutcome:
    """Move the content aside, so that the live schema is empty. Raises BackupError."""
    return _run(request, _Aside.keep, check_mode=check_mode)


def bring_back(request: AsideRequest, *, check_mode: bool = False) -> AsideOutcome:
    """Drop what is in the live schema, and let what was kept take its place again. Raises BackupError."""
    return _run(request, _Aside.bring_back, check_mode=check_mode)


def forget(request: AsideRequest, *, check_mode: bool = False) -> AsideOutcome:
    """Drop what was kept, for good. Raises BackupError."""
    return _run(request, _Aside.forget, check_mode=check_mode)


def _run(request: AsideRequest, action: t.Callable[[_Aside], AsideOutcome], *, check_mode: bool) -> AsideOutcome:
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    for name in (request.database, request.aside):
        refuse_system_schema(name)
    # With lower_case_table_names they may be one, whatever their letters.
    if request.database.casefold() == request.aside.casefold():
        raise BackupError(
            f"Failed to use {request.aside} for what is put aside: it is the live database. Name another schema.",
            reason="bad_name",
        )
    options = read_option_file(request.option_file)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        if not check_mode:
            lock = _lock.hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id)
            stack.enter_context(lock)
        connection = stack.enter_context(connect(options))
        if not check_mode:
            take_database(connection, request.database, wait_seconds=_LOCK_WAIT_SECONDS)
        _moving.prepare_session(connection)
        outcome = action(_Aside(request, options, connection, check_mode=check_mode))
    outcome.seconds = round(time.monotonic() - begun, 3)
    return outcome


class _Aside:
    def __init__(
        self, request: AsideRequest, options: t.Mapping[str, str], connection: t.Any, *, check_mode: bool
    ) -> None:
        self._request = request
        self._connection = connection
        self._check_mode = check_mode
        self._server = identify(connection)
        self._where = describe_server(options)
        self._clients = _aside_definitions.Clients(self._server, options=options, option_file=request.option_file)
        self._paths = Paths(request.state_path, request.branch)
        self._record = self._paths.read(database=request.database, aside=request.aside)
        self._look()

    def _look(self) -> None:
        request = self._request
        self._live = _inspect.read_schema(self._connection, request.database)
        self._kept = _inspect.read_schema(self._connection, request.aside)
        self._live_tables = set(_moving.names_of_tables(self._connection, request.database))
        self._kept_tables = set(_moving.names_of_tables(self._connection, request.aside))
        self._mark = _marker.read_run_id(self._connection, request.database) if self._live is not None else None

    def keep(self) -> AsideOutcome:
        record = self._settle()
        if record is None and not self._check_mode:
            # Of an earlier restore: a rollback of this one must not take it for its own.
            self._paths.remove()
        if record is not None and record.phase == RETURNING:
            raise self._refuse_cut_off(f"put {self._request.database} aside")
        if record is not None and record.phase == KEEPING and self._is_half(record):
            self._require_confirmation()
            self._check(record.objects, longest_line=record.longest_line)
            return self._finish(record)
        if record is not None and self._holds(record):
            return self._keep_again(record)
        if not _is_empty(self._kept):
            raise self._refuse_in_use("holds something of which no record says that a restore has put it there")
        if _is_empty(self._live):
            return AsideOutcome(changed=False)
        if self._mark is not None:
            told = "it is what a restore left unfinished, which is not worth keeping; the next restore replaces it."
            return AsideOutcome(changed=False, warnings=[f"{self._request.database} was not put aside: {told}"])
        return self._begin(t.cast(Schema, self._live))

    def _keep_again(self, record: Record) -> AsideOutcome:
        """All of it is aside; what is in the live schema, if anything, came later."""
        if not (_is_empty(self._live) or self._mark is not None or self._request.again):
            raise self._refuse_in_use("holds what an earlier restore kept")
        if self._live is None and not self._check_mode:
            rows(self._connection, record.creation)
        self._note(record, KEPT)
        return AsideOutcome(changed=self._live is None, kept=self._describe(self._kept))

    def _begin(self, live: Schema) -> AsideOutcome:
        request = self._request
        self._require_confirmation()
        self._check(live.objects, longest_line=0)
        _moving.refuse_references(self._connection, request.database)
        if self._check_mode:
            return AsideOutcome(changed=True, kept=self._describe(live))
        _io.ensure_directory(self._paths.directory)
        definitions = self._clients.write(
            self._paths.definitions,
            database=request.database,
            views=_moving.names_of_views(self._connection, request.database),
            objects=live.objects,
        )
        self._check(live.objects, longest_line=definitions.longest_line)
        self._demand("put aside")
        record = self._paths.write(
            Record(
                phase=KEEPING,
                database=request.database,
                aside=request.aside,
                run_id=request.run_id,
                at=_manifest.format_time(_clock.now()),
                creation=_moving.creation(self._connection, request.database),
                tables=tuple(sorted(self._live_tables)),
                objects=live.objects,
                definitions=definitions.sha256,
                one_time_events=definitions.one_time_events,
                longest_line=definitions.longest_line,
            )
        )
        self._place_mark(record)
        return self._finish(record)

    def _finish(self, record: Record) -> AsideOutcome:
        """Move all that is left of *record* in the marked live schema."""
        if not self._check_mode:
            self._empty(record)
            self._note(record, KEPT)
            self._look()
            return AsideOutcome(changed=True, kept=self._describe(self._kept))
        return AsideOutcome(changed=True, kept=self._describe(self._live if _is_empty(self._kept) else self._kept))

    def _empty(self, record: Record) -> None:
        request, connection = self._request, self._connection
        foreign = self._live_tables - set(record.tables)
        if foreign:
            raise BackupError(
                f"Failed to put {request.database} aside: {', '.join(sorted(foreign)[:5])} came after it was begun. "
                "Stop what makes tables there, move them away, and run it again.",
                reason="table_in_use",
            )
        if self._kept is None:
            live = t.cast(Schema, self._live)
            name = quote_identifier(request.aside)
            rows(connection, f"CREATE DATABASE {name} CHARACTER SET {live.character_set} COLLATE {live.collation}")
        _moving.drop_triggers(connection, request.database)
        _moving.move(connection, sorted(self._live_tables), source=request.database, target=request.aside)
        # The schema goes as a whole: never with a table in it.
        if _moving.names_of_tables(connection, request.database):
            raise BackupError(
                f"Failed to put {request.database} aside: a table was made in it meanwhile. Stop what uses the "
                "database, and run it again: it goes on from here.",
                reason="table_in_use",
            )
        _moving.make_anew(connection, request.database, statement=record.creation)

    def bring_back(self) -> AsideOutcome:
        request = self._request
        done = self._record is not None and self._record.phase == RETURNED
        record = self._settle()
        if done and record is None:
            return AsideOutcome(changed=False)
        half = record is not None and self._is_half(record)
        if record is None or not (half or self._holds(record)):
            raise BackupError(
                f"Failed to bring {request.database} back: nothing is kept of it in {request.aside}, or not all that "
                "was. Nothing was changed.",
                reason="nothing_kept",
            )
        _aside_definitions.require_unchanged(self._paths.definitions, sha256=record.definitions)
        self._check(record.objects, longest_line=record.longest_line)
        dropped = None if half or self._live is None or _is_empty(self._live) else dict(self._live.objects)
        if self._check_mode:
            return AsideOutcome(changed=True, dropped=dropped)
        self._demand("brought back")
        if half:
            # Half of it here and half of it there: all of it there is where every way begins.
            self._empty(record)
        record = self._note(record, RETURNING)
        _moving.make_anew(self._connection, request.database, statement=record.creation)
        self._place_mark(record)
        _moving.move(self._connection, record.tables, source=request.aside, target=request.database)
        self._clients.apply(self._paths.definitions, database=request.database, run_id=record.run_id)
        warnings = self._compare(record)
        self._note(record, RETURNED)
        self._look()
        self._settle()
        return AsideOutcome(changed=True, dropped=dropped, warnings=warnings)

    def _compare(self, record: Record) -> list[str]:
        expected = dict(record.objects)
        found = _inspect.count_objects(self._connection, record.database)
        found["tables"] -= 1  # the mark
        gone = expected["events"] - found["events"]
        warnings = []
        if 0 < gone <= record.one_time_events:
            # The server makes no event whose only time has passed.
            expected["events"] = found["events"]
            warnings.append(f"{gone} one-time events were not made again: their time has passed.")
        wrong = difference(expected, found)
        if wrong:
            raise BackupError(
                f"Failed to bring {record.database} back whole: it holds {wrong} that it had. Its rows are there, and "
                f"it is marked as unfinished; {self._paths.definitions} has the definitions. Remove the cause and run "
                "it again.",
                reason="incomplete",
            )
        return warnings

    def forget(self) -> AsideOutcome:
        request, record = self._request, self._settle()
        if record is not None and record.phase != KEPT:
            raise self._refuse_cut_off(f"remove what was kept of {request.database}")
        dropped = None if self._kept is None or _is_empty(self._kept) else dict(self._kept.objects)
        if dropped is not None and record is None:
            raise self._refuse_in_use("holds something of which no record says that a restore has put it there")
        kept = dropped is not None or record is not None
        if kept and not self._check_mode and request.confirm != request.branch:
            raise BackupError(
                f"Failed to remove {request.aside}: it holds what the shop was before a restore. Nothing was changed. "
                f"Set larapee_backup_restore_confirm to {request.branch}.",
                reason="not_empty",
            )
        changed = self._kept is not None or record is not None
        if not self._check_mode:
            if record is not None:
                rows(self._connection, f"DROP DATABASE IF EXISTS {quote_identifier(request.aside)}")
            self._paths.remove()
        return AsideOutcome(changed=changed, dropped=dropped)

    def _settle(self) -> Record | None:
        """The record of what is not over. Of what came back, remove what a run left that was cut off at its end."""
        record = self._record
        if record is None or record.phase != RETURNED:
            return record
        ours = self._mark == record.run_id
        if not self._check_mode:
            if ours:
                _marker.remove(self._connection, record.database)
            if self._kept is not None and _is_empty(self._kept):
                rows(self._connection, f"DROP DATABASE {quote_identifier(record.aside)}")
            self._paths.remove_definitions()
            self._look()
        elif ours:
            self._mark = None
        return None

    def _is_half(self, record: Record) -> bool:
        """Whether the tables in the live schema are those of *record*, by the mark beside them."""
        # A run that was killed while it placed the mark left it empty.
        marked = self._mark == record.run_id or (self._mark == "" and record.phase == KEEPING)
        there = self._live_tables | self._kept_tables
        return marked and not self._live_tables & self._kept_tables and there >= set(record.tables)

    def _holds(self, record: Record) -> bool:
        """Whether all of *record* is aside; without tables, that the live schema is empty tells so."""
        if self._kept is None or not self._kept_tables >= set(record.tables):
            return False
        return bool(record.tables) or record.phase != KEEPING or _is_empty(self._live)

    def _note(self, record: Record, phase: str) -> Record:
        noted = dataclasses.replace(record, phase=phase)
        self._record = noted if self._check_mode else self._paths.write(noted)
        return noted

    def _place_mark(self, record: Record) -> None:
        at = _manifest.format_time(_clock.now())
        artifact = f"put aside in {record.aside}"
        _marker.place(self._connection, record.database, artifact=artifact, run_id=record.run_id, started_at=at)

    def _demand(self, done: str) -> None:
        """Before the first change: whatever becomes of this, the server's old life has ended."""
        request = self._request
        _epoch.demand(request.state_path, branch=request.branch, because=f"{request.database} was {done}")

    def _check(self, objects: t.Mapping[str, int], *, longest_line: int) -> None:
        """Raise BackupError for what would keep the content from going aside, or from coming back whole."""
        request = self._request
        target = Target(self._connection, request.database, server=self._server, where=self._where)
        missing = _grants.missing_for_aside(
            target.grants, database=request.database, aside=request.aside, server=self._server
        )
        if missing:
            raise BackupError(
                f"Failed to move {request.database} on {self._where}: the account lacks {', '.join(missing)}. Nothing "
                f"was changed. Grant it to the restorer; db_account with aside: {request.aside} does.",
                reason="missing_privilege",
            )
        target.check_content(objects, longest_line=longest_line)
        self._clients.find()

    def _require_confirmation(self) -> None:
        request = self._request
        if not self._check_mode and request.confirm != request.branch:
            raise BackupError(
                f"Failed to put {request.database} aside: it is not empty, and another content would take its place. "
                f"Nothing was changed. Set larapee_backup_restore_confirm to {request.branch}.",
                reason="not_empty",
            )

    def _refuse_in_use(self, why: str) -> BackupError:
        request = self._request
        return BackupError(
            f"Failed to use {request.aside} for {request.database}: it {why}. Nothing was changed. If that is not "
            "needed any more, remove it; else bring it back, or name another schema.",
            reason="aside_in_use",
        )

    def _refuse_cut_off(self, what: str) -> BackupError:
        return BackupError(
            f"Failed to {what}: an earlier call was cut off on the way. Nothing was changed. End that one first, with "
            "the same state.",
            reason="in_use",
        )

    def _describe(self, schema: Schema | None) -> dict[str, t.Any] | None:
        if schema is None:
            return None
        return {"schema": self._request.aside, "tables": schema.objects["tables"], "bytes": schema.data_bytes}


def _is_empty(schema: Schema | None) -> bool:
    return schema is None or not any(schema.objects.values())


__all__ = ("AsideOutcome", "AsideRequest", "bring_back", "forget", "keep")

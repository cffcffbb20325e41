# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ._errors import JournalError, StoreError
from ._journal import DIRECTORIES, DamagedEntryError, Journal, JournalEntry
from ._lock import OwnerLock, is_held, remove_if_free
from ._owner import Owner
from ._record import Evidence, RunRecord, one_line
from ._settings import Settings
from ._store import RunStore, open_store

_SLOW_S = 1.0
_HOLD_OFF_S = 5.0
_YOUNG_S = 60


@dataclass(frozen=True)
class RecordOutcome:
    """Where the records are now."""

    journal: bool
    table: bool
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FlushResult:
    """How many finished entries the table took, how many still wait, and which files were no entries."""

    flushed: int
    remaining: int
    set_aside: list[Path] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Recorder:
    """Journal first, table second: the callback and the outer witnesses write the same rows through it."""

    def __init__(self, settings: Settings, *, witness: str) -> None:
        self._settings = settings
        self._journal = Journal(settings.state_path, witness=witness)
        self._journals = [Journal(settings.state_path, witness=name) for name in DIRECTORIES]
        self._silent_until = 0.0
        self._silence = ""

    def hold(self, run_id: str) -> OwnerLock:
        """Say that the owner of the run is alive, until released or dead."""
        return self._journal.hold(run_id)

    def lock_path(self, run_id: str) -> Path:
        return self._journal.lock_path(run_id)

    def record(self, records: Sequence[RunRecord], *, table: bool = True) -> RecordOutcome:
        """Write records of one run; a finished run leaves the journal once the table has it."""
        errors: list[str] = []
        named = [record if record.is_finished else self._with_owner(record) for record in records]
        in_journal = self._note(named, errors)
        in_table = table and self._store_all(named, errors)
        if in_table and named and all(record.is_finished for record in named):
            self._forget(self._journal, named[0].run_id, errors)
        return RecordOutcome(journal=in_journal, table=in_table, errors=errors)

    def conclude(self, record: RunRecord) -> RecordOutcome:
        """End every row of the run that has no observed end; for the witness that saw the process end."""
        rows = self.rows(record.run_id)
        known = [row for row in rows if row.branch is not None] or rows
        final = [row if row.evidence is Evidence.OBSERVED else _ended_like(row, record) for row in known]
        outcome = self.record(final or [record])
        if outcome.table:
            for journal in self._journals:
                self._forget(journal, record.run_id, outcome.errors)
        return outcome

    def rows(self, run_id: str) -> list[RunRecord]:
        """The surest word on each row of the run, from the table and the journals, as far as they can be read."""
        found: list[RunRecord] = []
        with contextlib.suppress(StoreError), self._opened() as store:
            found += store.query(run_id=run_id)
        for journal in self._journals:
            with contextlib.suppress(JournalError, FileNotFoundError):
                found += journal.read(journal.path(run_id)).records
        best: dict[str, RunRecord] = {}
        for record in found:
            if record.id not in best or record.evidence > best[record.id].evidence:
                best[record.id] = record
        return list(best.values())

    def flush(self) -> FlushResult:
        """Give the table what it missed. One bad entry never keeps the others waiting."""
        errors: list[str] = []
        aside: list[Path] = []
        entries = [(journal, entry) for journal, entry in self._entries(errors, aside) if entry.is_finished]
        flushed = 0
        if entries:
            with self._opened_or_none(errors) as store:
                for journal, entry in entries if store is not None else []:
                    flushed += self._move(store, journal, entry, errors)
        return FlushResult(flushed=flushed, remaining=len(entries) - flushed, set_aside=aside, errors=errors)

    def reconcile(self, errors: list[str] | None = None) -> list[RunRecord]:
        """Make a failed row of each run of this machine that is pending while its owner is dead."""
        errors = [] if errors is None else errors
        lost: list[RunRecord] = []
        journaled: set[str] = set()
        dead: list[tuple[Journal, JournalEntry]] = []
        for journal in self._journals:
            journal.remove_stale_temporaries()
        for journal, entry in self._entries(errors, []):
            journaled.add(entry.run_id)
            if not entry.is_finished and not Owner.of_entry(entry).is_alive:
                dead.append((journal, entry))
        with self._opened_or_none(errors) as store:
            for journal, entry in dead:
                lost += self._bury(store, journal, entry, errors)
            if store is not None:
                lost += self._bury_rows(store, journaled, errors)
        self._remove_free_locks(journaled)
        with_branch = {record.run_id for record in lost if record.branch is not None}
        unique = {record.id: record for record in lost if record.branch is not None or record.run_id not in with_branch}
        return list(unique.values())

    def _with_owner(self, record: RunRecord) -> RunRecord:
        lock = self.lock_path(record.run_id)
        owner = Owner.of_this_process(lock if is_held(lock) else None)
        return dataclasses.replace(record, details={**record.details, "owner": owner.to_json()})

    def _note(self, records: Sequence[RunRecord], errors: list[str]) -> bool:
        try:
            self._journal.write(records)
        except JournalError as error:
            errors.append(str(error))
            return False
        return True

    def _store_all(self, records: Sequence[RunRecord], errors: list[str]) -> bool:
        with self._opened_or_none(errors) as store:
            return store is not None and self._upsert(store, records, errors)

    def _upsert(self, store: RunStore, records: Sequence[RunRecord], errors: list[str]) -> bool:
        try:
            store.upsert(records)
        except Exception as error:  # noqa: BLE001 - the journal has the record, whatever a driver does
            errors.append(str(_as_store_error(error)))
            return False
        return True

    def _forget(self, journal: Journal, run_id: str, errors: list[str]) -> None:
        try:
            journal.remove(run_id)
        except OSError as error:
            errors.append(
                f"Failed to remove {journal.path(run_id)}: {error.strerror}. The table has the run: remove it."
            )

    def _move(self, store: RunStore | None, journal: Journal, entry: JournalEntry, errors: list[str]) -> bool:
        if store is None or not self._upsert(store, entry.records, errors):
            return False
        self._forget(journal, entry.run_id, errors)
        return True

    def _bury(
        self, store: RunStore | None, journal: Journal, entry: JournalEntry, errors: list[str]
    ) -> list[RunRecord]:
        owner = Owner.of_entry(entry)
        records = [
            record if record.is_finished else record.ended("failed", error=owner.epitaph, evidence=Evidence.INFERRED)
            for record in entry.records
        ]
        with contextlib.suppress(JournalError):
            journal.write(records)
        self._move(store, journal, dataclasses.replace(entry, records=records), errors)
        return [record for record in records if record.evidence is Evidence.INFERRED]

    def _bury_rows(self, store: RunStore, journaled: set[str], errors: list[str]) -> list[RunRecord]:
        """Rows of this machine whose journal entry is gone, or never was."""
        lost = []
        try:
            pending = store.query(status="pending")
        except StoreError as error:
            errors.append(str(error))
            return []
        for row in pending:
            owner = Owner.of_details(row.details)
            if row.host != socket.gethostname() or row.run_id in journaled or owner is None or not owner.is_local:
                continue
            if not owner.is_alive:
                record = row.ended("failed", error=owner.epitaph, evidence=Evidence.INFERRED)
                if self._upsert(store, [record], errors):
                    lost.append(record)
        return lost

    def _entries(self, errors: list[str], aside: list[Path]) -> Iterator[tuple[Journal, JournalEntry]]:
        """Every readable entry of every witness; a damaged one of a dead run is set aside, its run gets a new one."""
        for journal in self._journals:
            try:
                paths = journal.pending_files()
            except JournalError as error:
                errors.append(str(error))
                continue
            for path in paths:
                try:
                    yield journal, journal.read(path)
                except FileNotFoundError:
                    continue
                except DamagedEntryError as error:
                    errors.append(str(error))
                    entry = self._rescue(journal, path, aside, errors)
                    if entry is not None:
                        yield journal, entry
                except JournalError as error:
                    errors.append(str(error))

    def _rescue(self, journal: Journal, path: Path, aside: list[Path], errors: list[str]) -> JournalEntry | None:
        try:
            run_id = str(uuid.UUID(path.stem))
        except ValueError:
            run_id = None
        # A living owner writes the entry anew.
        if run_id is not None and any(is_held(other.lock_path(run_id)) for other in self._journals):
            return None
        try:
            started_at = datetime.fromtimestamp(path.lstat().st_mtime, tz=UTC)
            kept = journal.set_aside(path)
        except OSError as error:
            errors.append(f"Failed to set {path} aside: {error.strerror}. Move it out of the journal.")
            return None
        aside.append(kept)
        if run_id is None or run_id != path.stem:
            return None
        record = self._from_table(run_id) or RunRecord.pending(
            run_id=run_id, playbook="unknown", launcher="unknown", started_at=started_at
        )
        ended = record.ended(
            "failed",
            error=f"lost: the journal entry of the run was damaged and is kept as {kept}. Start the run again.",
            evidence=Evidence.INFERRED,
        )
        try:
            journal.write([ended])
            return journal.read(path)
        except (JournalError, FileNotFoundError) as error:
            errors.append(str(error))
            return None

    def _from_table(self, run_id: str) -> RunRecord | None:
        with contextlib.suppress(StoreError), self._opened() as store:
            return next((row for row in store.query(run_id=run_id) if row.branch is None), None)
        return None

    def _remove_free_locks(self, journaled: set[str]) -> None:
        """Killed owners leave their lock files; those of runs that nothing is pending of can go."""
        directory = self._settings.state_path / "locks"
        limit = time.time() - _YOUNG_S
        for path in directory.glob("run-*.lock"):
            run_id = path.name.removeprefix("run-").split(".", maxsplit=1)[0]
            with contextlib.suppress(OSError):
                # Asking takes the lock for an instant, in which an owner that just begins must not be refused.
                if run_id not in journaled and path.stat().st_mtime < limit and not is_held(path):
                    remove_if_free(path)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[RunStore]:
        """A peer that let us wait in vain is not asked again at once: a run waits for it only once."""
        began = time.monotonic()
        if began < self._silent_until:
            raise StoreError(self._silence)
        try:
            store = open_store(self._settings.runs_url)
        except Exception as error:
            failure = _as_store_error(error)
            now = time.monotonic()
            if now - began > _SLOW_S:
                self._silent_until, self._silence = now + _HOLD_OFF_S, str(failure)
            raise failure from error
        try:
            yield store
        finally:
            store.close()

    @contextlib.contextmanager
    def _opened_or_none(self, errors: list[str]) -> Iterator[RunStore | None]:
        with contextlib.ExitStack() as stack:
            try:
                store = stack.enter_context(self._opened())
            except StoreError as error:
                errors.append(str(error))
                store = None
            yield store


def _as_store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"Failed to use the runs table: {type(error).__name__}: {one_line(error)}. "
        "Check runs_url and its driver; what is in the journal follows by itself."
    )


def _ended_like(row: RunRecord, end: RunRecord) -> RunRecord:
    """The row with the end that another witness saw; what the row knows of itself stays."""
    ended = row.ended(end.status, error=end.error, evidence=end.evidence, at=end.finished_at, details=end.details)
    return dataclasses.replace(ended, kind=row.kind or end.kind)


__all__ = ("FlushResult", "RecordOutcome", "Recorder")

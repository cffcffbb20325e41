# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import JournalError
from ._lock import OwnerLock, is_held
from ._presence import is_running
from ._record import RunRecord, dump_json, format_time, utc_now
from ._regular_file import read_regular_file

SCHEMA = 1
DIRECTORIES = {"callback": "journal", "wrapper": "journal-wrapper"}
_STALE_TEMPORARY_S = 3600


@dataclass(frozen=True)
class JournalEntry:
    """One journal file: what one witness knows of one run."""

    path: Path
    run_id: str
    witness: str
    boot_id: str
    pid: int
    host: str
    lock: Path | None
    records: list[RunRecord]

    @property
    def is_finished(self) -> bool:
        return all(record.is_finished for record in self.records)


class DamagedEntryError(JournalError):
    """The file is no journal entry; it has to be set aside, never removed."""


class Journal:
    """One atomic file for each run; each witness has a directory and a lock of its own."""

    def __init__(self, state_path: Path, *, witness: str = "callback") -> None:
        self.witness = witness
        self.directory = state_path / DIRECTORIES[witness]
        self._locks = state_path / "locks"

    def path(self, run_id: str) -> Path:
        return self.directory / f"{uuid.UUID(run_id)}.json"

    def lock_path(self, run_id: str) -> Path:
        return self._locks / f"run-{uuid.UUID(run_id)}.{self.witness}.lock"

    def hold(self, run_id: str) -> OwnerLock:
        return OwnerLock(self.lock_path(run_id))

    def write(self, records: Sequence[RunRecord]) -> None:
        """Replace the entry of the one run that these records belong to."""
        run_ids = {record.run_id for record in records}
        if len(run_ids) != 1:
            raise JournalError(
                f"Failed to write the journal: {len(run_ids)} runs in one entry. Write one run at a time."
            )
        run_id = run_ids.pop()
        self._place(
            self.path(run_id),
            {
                "schema": SCHEMA,
                "run_id": run_id,
                "witness": self.witness,
                "boot_id": boot_id(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "lock": str(self.lock_path(run_id)),
                "written_at": format_time(utc_now()),
                "records": [record.to_json() for record in records],
            },
        )

    def pending_files(self) -> list[Path]:
        """Every entry that the table does not have yet, oldest first."""
        try:
            dated = []
            for path in self.directory.glob("*.json"):
                with contextlib.suppress(FileNotFoundError):
                    dated.append((path.lstat().st_mtime_ns, path))
        except OSError as error:
            raise JournalError(
                f"Failed to list {self.directory}: {error.strerror}. Let the account of this run read it."
            ) from error
        return [path for _mtime, path in sorted(dated)]

    def read(self, path: Path) -> JournalEntry:
        """Raises DamagedEntryError for what is no entry, FileNotFoundError for what another process took meanwhile."""
        try:
            content = read_regular_file(path)
        except FileNotFoundError:
            raise
        except ValueError as error:
            raise _damaged(path) from error
        except OSError as error:
            raise JournalError(
                f"Failed to read {path}: {error.strerror}. Let the account of this run read it."
            ) from error
        try:
            document = json.loads(content)
            _check_text(document)
            schema = document["schema"]
            if isinstance(schema, int) and schema > SCHEMA:
                raise JournalError(
                    f"Failed to read {path}: a newer release wrote it (schema {schema}). Flush it with that release."
                )
            entry = JournalEntry(
                path=path,
                run_id=str(uuid.UUID(_text(document, "run_id"))),
                witness=_text(document, "witness"),
                boot_id=_text(document, "boot_id"),
                pid=int(document["pid"]),
                host=_text(document, "host"),
                lock=_lock(document["lock"]),
                records=[RunRecord.from_json(item) for item in document["records"]],
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise _damaged(path) from error
        if not entry.records or {entry.run_id, *(record.run_id for record in entry.records)} != {path.stem}:
            raise DamagedEntryError(
                f"Failed to read {path}: it is not the entry of its run. It is kept beside the journal."
            )
        return entry

    def set_aside(self, path: Path) -> Path:
        """Take a damaged file out of the way under a name that no other file has."""
        number = 0
        while True:
            target = path.with_name(f"{path.name}.damaged" + (f"-{number}" if number else ""))
            try:
                os.link(path, target, follow_symlinks=False)
            except FileExistsError:
                number += 1
                continue
            path.unlink()
            return target

    def remove(self, run_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path(run_id).unlink()

    def remove_stale_temporaries(self) -> None:
        """What a crash left between writing and renaming; the entry itself is untouched by it."""
        limit = time.time() - _STALE_TEMPORARY_S
        for path in self.directory.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                written = path.stat().st_mtime
                if written < limit or self._writer_is_dead(path, written):
                    path.unlink()

    def _writer_is_dead(self, temporary: Path, written: float) -> bool:
        """The lock is asked too: a process of another pid namespace only looks gone."""
        run, _dot, pid = temporary.name.removeprefix(".").removesuffix(".tmp").rpartition(".")
        try:
            lock = self.lock_path(run)
        except ValueError:
            return False
        return pid.isdigit() and not is_running(int(pid), at=written) and not is_held(lock)

    def _place(self, path: Path, document: dict[str, Any]) -> None:
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(dump_json(document))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise JournalError(
                f"Failed to write {path}: {error.strerror}. "
                f"Make {path.parent} a directory with free space that this account may write."
            ) from error


def owner_is_dead(entry: JournalEntry) -> bool:
    """The lock is free, or the machine was started again since; without a lock, the process has to be gone."""
    if entry.boot_id != boot_id():
        return True
    return not (is_running(entry.pid) if entry.lock is None else is_held(entry.lock))


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _damaged(path: Path) -> DamagedEntryError:
    return DamagedEntryError(f"Failed to read {path}: it is damaged. It is kept beside the journal.")


def _check_text(document: Any) -> None:
    """Raises UnicodeEncodeError for what no engine and no file system takes; what the journal writes has none of it."""
    json.dumps(document, ensure_ascii=False).encode("utf-8")


def _text(document: dict[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a string")
    return value


def _lock(value: str | None) -> Path | None:
    # A relative path would be free, and a live run taken for dead.
    if value is None:
        return None
    path = Path(value)
    if not path.is_absolute() or "\0" in value:
        raise ValueError("the lock is no absolute path")
    return path


__all__ = ("DIRECTORIES", "DamagedEntryError", "Journal", "JournalEntry", "boot_id", "owner_is_dead")

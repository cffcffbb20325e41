# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was put aside of a database, and how far it has come: written before each step that could be cut off.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from . import _io
from ._errors import BackupError

# On its way aside; there; on its way back; back.
KEEPING: t.Final = "keeping"
KEPT: t.Final = "kept"
RETURNING: t.Final = "returning"
RETURNED: t.Final = "returned"
PHASES: t.Final = (KEEPING, KEPT, RETURNING, RETURNED)


@dataclasses.dataclass(frozen=True)
class Record:
    """``run_id`` is in the mark that the live schema bears while what it holds is half of this.

    ``creation`` makes the live schema; ``objects`` counts what it had, ``tables`` names its tables and sequences.
    ``definitions`` is the SHA-256 of the file.
    """

    phase: str
    database: str
    aside: str
    run_id: str
    at: str
    creation: str
    tables: tuple[str, ...]
    objects: t.Mapping[str, int]
    definitions: str
    one_time_events: int
    longest_line: int


class Paths:
    """Where the files of one branch lie."""

    def __init__(self, state_path: str, branch: str) -> None:
        self.directory = os.path.join(state_path, "restores")
        self.record = os.path.join(self.directory, f"{branch}.aside.json")
        self.definitions = os.path.join(self.directory, f"{branch}.definitions.sql")

    def read(self, *, database: str, aside: str) -> Record | None:
        """The record; None when there is none. Raises BackupError for one that says nothing, or is of other schemas."""
        try:
            document = _io.read_json(self.record)
            fields = {field.name: document[field.name] for field in dataclasses.fields(Record)}
            found = Record(**{**fields, "tables": tuple(fields["tables"]), "objects": dict(fields["objects"])})
            if found.phase not in PHASES:
                raise ValueError(f"its phase is {found.phase!r}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise BackupError(
                f"Failed to read {self.record}: {exc}. It tells what was put aside of the database. Nothing was "
                "changed. Look at both schemas, then repair or remove that file.",
                reason="bad_record",
            ) from exc
        if (found.database, found.aside) != (database, aside) and found.phase != RETURNED:
            raise BackupError(
                f"Failed to use {aside} for {database}: {self.record} tells what was put aside of {found.database} in "
                f"{found.aside}. Nothing was changed. Name those, or end with them first.",
                reason="bad_record",
            )
        return found

    def write(self, record: Record) -> Record:
        _io.ensure_directory(self.directory)
        _io.write_json(self.record, {"schema": 1, **dataclasses.asdict(record)})
        return record

    def remove_definitions(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.definitions)

    def remove(self) -> None:
        self.remove_definitions()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.record)


__all__ = ("KEEPING", "KEPT", "PHASES", "RETURNED", "RETURNING", "Paths", "Record")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._journal import DIRECTORIES, JournalEntry, boot_id
from ._lock import is_held
from ._presence import is_running


@dataclass(frozen=True)
class Owner:
    """Who runs a run: a pending row carries it in its details, so that its death can be told without the journal."""

    machine: str
    boot_id: str
    pid: int
    lock: Path | None

    @classmethod
    def of_this_process(cls, lock: Path | None) -> Owner:
        return cls(machine=_machine(), boot_id=boot_id(), pid=os.getpid(), lock=lock)

    @classmethod
    def of_entry(cls, entry: JournalEntry) -> Owner:
        return cls(machine=_machine(), boot_id=entry.boot_id, pid=entry.pid, lock=entry.lock)

    @classmethod
    def of_details(cls, details: Mapping[str, Any]) -> Owner | None:
        document = details.get("owner")
        if not isinstance(document, Mapping):
            return None
        try:
            lock = document["lock"]
            return cls(
                machine=str(document["machine"]),
                boot_id=str(document["boot_id"]),
                pid=int(document["pid"]),
                lock=None if lock is None else Path(lock),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "boot_id": self.boot_id,
            "pid": self.pid,
            "lock": None if self.lock is None else str(self.lock),
        }

    @property
    def is_local(self) -> bool:
        """Two machines may share a host name and a table; only the own machine's locks can be asked."""
        return self.machine == _machine()

    @property
    def is_alive(self) -> bool:
        """A run lives as long as one of its witnesses does: the other one will tell its end."""
        if self.boot_id != boot_id():
            return False
        if self.lock is None:
            return is_running(self.pid)
        return any(is_held(path) for path in self.locks)

    @property
    def locks(self) -> list[Path]:
        if self.lock is None:
            return []
        run = self.lock.name.split(".", maxsplit=1)[0]
        return [self.lock.with_name(f"{run}.{witness}.lock") for witness in DIRECTORIES]

    @property
    def epitaph(self) -> str:
        """One line for the row of a run whose owner is dead."""
        if self.boot_id != boot_id():
            return "lost: the machine went down during the run (power cut or restart). Start the run again."
        return (
            f"lost: the process of the run (pid {self.pid}) ended without a word (killed, or out of memory). "
            "Start the run again."
        )


def _machine() -> str:
    try:
        identity = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        return ""
    # The id itself is confidential by its own manual page.
    return hashlib.sha256(b"larapee-backup" + identity).hexdigest()[:16]


__all__ = ("Owner",)

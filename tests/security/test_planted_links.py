# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person works as root in directories of the account `larapee-backup`; links that lie in them lead root nowhere."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _current, _io, _lock, _sequence, _snapshot
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Journal,
    OwnerLock,
    RecorderError,
    RunRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = str(uuid.UUID(int=1))
SECRET = "of root, and not to be touched\n"


def write_file(state: Path) -> None:
    _io.write_file(str(state / "document.json"), b"{}")


def lock(state: Path) -> None:
    with _lock.hold(str(state), "full-branch-001", run_id=RUN):
        pass


def sequence(state: Path) -> None:
    _sequence.remember(str(state), branch="branch-001", kind="db_full", number=1)


def current(state: Path) -> None:
    _current.note(str(state), "branch-001", "database", "db-20260101-0000.sql.gz", _clock.now())


def snapshot(state: Path) -> None:
    with _snapshot.SnapshotWriter(str(state), content="uploads"):
        pass


def journal(state: Path) -> None:
    Journal(state, witness="wrapper").write([RunRecord.pending(run_id=RUN, playbook="x.yml", launcher="cli")])


def owner(state: Path) -> None:
    OwnerLock(state / "journal" / f"{RUN}.lock").release()


def links_in(state: Path, victim: Path, act: Callable[[Path], None]) -> list[Path]:
    """Every file that *act* opened to write, each now a link to *victim*; the process is the same, so are its names."""
    real, opened = os.open, []

    def watch(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_CREAT and not flags & os.O_EXCL:
            opened.append(Path(path))
        return real(path, flags, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", watch)
        act(state)
    for path in opened:
        path.unlink(missing_ok=True)
        path.symlink_to(victim)
    return opened


@pytest.mark.parametrize("act", [write_file, lock, sequence, current, snapshot, journal, owner])
def test_what_is_written_goes_through_no_link(tmp_path: Path, act: Callable[[Path], None]) -> None:
    victim = tmp_path / "shadow"
    victim.write_text(SECRET)
    state = tmp_path / "state"
    state.mkdir()
    links = links_in(state, victim, act)
    assert links
    with contextlib.suppress(BackupError, RecorderError, OSError):
        act(state)
    assert victim.read_text() == SECRET
    assert victim.stat().st_size == len(SECRET)

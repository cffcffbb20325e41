# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The throwaway server of a drill: of the engine and version that the newest full was made by, for this drill alone.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from . import _catalog, _names, _scratch_server, _tip
from ._drill_home import ENVIRONMENT_VARIABLE, DrillHome
from ._errors import BackupError
from ._mysql._connection import parse_release
from ._mysql._option_file import refuse_system_schema
from ._scratch import Scratch

if t.TYPE_CHECKING:
    from ._manifest import Manifest


@dataclasses.dataclass(frozen=True)
class DrillServerRequest:
    """``lifetime``: seconds after which the server ends by itself. ``owner_lock``: what the run's recorder holds."""

    branch: str
    source: str
    allowed_signers: str
    path: str
    run_id: str
    owner_lock: str
    lifetime: int
    newer_server: bool = False


def start(request: DrillServerRequest) -> dict[str, t.Any]:
    """Begin the drill and start its server; return where all of it is. Raises BackupError, and then nothing is left."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    home = DrillHome(request.path)
    path, cleared = home.begin(
        request.run_id, branch=request.branch, owner_lock=request.owner_lock, lifetime=request.lifetime
    )
    with contextlib.ExitStack() as stack:
        stack.callback(home.end, request.run_id)
        full = _newest_full(request)
        wanted = _scratch_server.Wanted(
            engine=str(full.document["engine"]),
            version=str(full.document["version"]),
            database=str(full.document["database"]),
        )
        refuse_system_schema(wanted.database)
        programs = _scratch_server.find_programs(wanted)
        if parse_release(programs.version)[:2] != parse_release(wanted.version)[:2] and not request.newer_server:
            raise BackupError(
                f"Failed to find a server for the drill: the branch has {wanted.engine} {wanted.version}, this host "
                f"{programs.version}. Install that version, or set larapee_backup_drill_newer_server to prove an "
                "upgrade with it.",
                reason="other_version",
            )
        server = Scratch(
            os.path.join(path, "server"),
            programs=programs,
            wanted=wanted,
            lasting=float(request.lifetime),
            environment={ENVIRONMENT_VARIABLE: path},
        )
        os.mkdir(server.path, 0o700)
        server.install()
        found = server.start()
        stack.pop_all()
    return {
        "path": path,
        "state_path": home.state_path,
        "cleared": cleared,
        "socket": server.socket,
        "db_option_file": server.loader_file,
        "admin_option_file": server.option_file,
        "db_name": wanted.database,
        "engine": found.engine,
        "version": found.version,
        "source_version": wanted.version,
        "tip_artifact": _missing_by_tip(request),
    }


def stop(path: str, run_id: str) -> bool:
    """End the drill of that run and remove all of it; True when there was one."""
    return DrillHome(path).end(run_id)


def _newest_full(request: DrillServerRequest) -> Manifest:
    """By its number. Whether it is intact and signed is for the restore to say, and whether the server fits."""
    fulls = _catalog.read_catalogue(request.source).of_kind("db_full", branch=request.branch)
    if not fulls:
        raise BackupError(
            f"Failed to choose a full of {request.branch}: the catalogue of {request.source} has none. Check "
            "larapee_backup_restore_source.",
            reason="nothing_to_restore",
        )
    return fulls[-1].manifest


def _missing_by_tip(request: DrillServerRequest) -> str | None:
    """What the branch's signed tip says is its newest artifact of the database, when it is not there."""
    try:
        tip = _tip.read_tip(request.source, branch=request.branch, allowed_signers=request.allowed_signers)
        name = str(tip["parts"]["database"]["artifact"])
    except (BackupError, KeyError, TypeError):
        return None
    return None if os.path.exists(os.path.join(request.source, name)) else name


__all__ = ("DrillServerRequest", "start", "stop")

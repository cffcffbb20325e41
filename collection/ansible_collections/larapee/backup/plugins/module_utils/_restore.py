# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore of one database: refuse what is not right, prove the artifact first, then fill the target under a mark.

A failed restore leaves the target as it was when it was empty, and marked as unusable when it was not.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from . import _catalog, _choose, _epoch, _lease, _lock, _manifest, _names, _open, _process, _sequence
from ._catalog import Entry
from ._errors import BackupError
from ._fill import CLIENTS, Filling
from ._mysql._connection import connect, identify
from ._mysql._dump_client import require_vendor
from ._mysql._option_file import describe_server, read_option_file, refuse_system_schema
from ._target import Target


@dataclasses.dataclass(frozen=True)
class RestoreRequest:
    """What to restore and where to. ``source`` is a directory here; ``confirm`` the typed branch code or empty."""

    branch: str
    source: str
    allowed_signers: str
    option_file: str
    database: str
    state_path: str
    run_id: str
    to: str = _choose.LATEST
    identity: str | None = None
    confirm: str = ""


@dataclasses.dataclass
class RestoreOutcome:
    """``plan`` says what was, or in check mode would be, restored; ``seconds`` by step."""

    entry: Entry
    plan: dict[str, t.Any]
    seconds: dict[str, float]
    warnings: list[str]


def restore_database(request: RestoreRequest, *, check_mode: bool = False) -> RestoreOutcome:
    """Restore a full into the target database; raises BackupError that says how the target was left."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    if "://" in request.source:
        raise BackupError(
            f"Failed to read {request.source}: only a directory on the target can be a source so far. "
            "Copy the artifact, its manifest and signature to the target and name that directory.",
            reason="bad_source",
        )
    refuse_system_schema(request.database)
    options = read_option_file(request.option_file)
    with contextlib.ExitStack() as stack:
        if not check_mode:
            stack.enter_context(_lock.hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id))
        timer = _Timer()
        catalogue = _catalog.read_catalogue(request.source)
        choice = _choose.choose_full(
            catalogue, branch=request.branch, to=request.to, allowed_signers=request.allowed_signers
        )
        entry = choice.entry
        # Retention of another account or host does not see the lock above.
        stack.enter_context(_lease.hold([entry]))
        timer.note("choose")
        _open.require_identity(entry, request.identity)
        with connect(options) as connection:
            server = identify(connection)
            target = Target(connection, request.database, server=server, where=describe_server(options))
            target.check(connection, entry.manifest, confirmed=request.confirm == request.branch)
        plan = _plan(request, target, entry)
        warnings = _warn(choice, catalogue, request)
        outcome = RestoreOutcome(entry=entry, plan=plan, seconds=timer.seconds, warnings=warnings)
        require_vendor(_process.find_tool(*CLIENTS[server.engine]), server)
        if check_mode:
            return outcome
        # The whole way to the plain bytes, before anything on the target changes.
        _open.open_artifact(entry, identity=request.identity)
        timer.note("open")
        # Before the first change: whatever becomes of this restore, the server's old life has ended.
        _epoch.demand(request.state_path, branch=request.branch, because=f"restored from {entry.name}")
        filling = Filling(
            options=options,
            option_file=request.option_file,
            entry=entry,
            target=target,
            identity=request.identity,
            run_id=request.run_id,
        )
        filling.run()
        outcome.warnings += filling.warnings
        timer.note("load")
    return outcome


class _Timer:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def note(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now


def _plan(request: RestoreRequest, target: Target, entry: Entry) -> dict[str, t.Any]:
    manifest = entry.manifest
    return {
        "artifact": entry.name,
        "set": manifest.set_number,
        "branch": manifest.branch,
        "recovery_point": _manifest.format_time(manifest.recovery_point),
        "position": manifest.position,
        "plain_size": manifest.plain_size,
        "server": target.where,
        "engine": target.server.engine,
        "version": target.server.version,
        "database": request.database,
        "replaces": None if target.empty or target.schema is None else target.schema.objects,
        "lost": f"Everything after {_manifest.format_time(manifest.recovery_point)} (UTC) is not in this full.",
    }


def _warn(choice: _choose.Choice, catalogue: _catalog.Catalogue, request: RestoreRequest) -> list[str]:
    """Say it when something newer than the chosen full is known: what came after it is lost with the choice."""
    newer = [f"{name}: {why}" for name, why in choice.skipped.items()]
    newer += [f"{name}: {why}" for name, why in catalogue.problems.items()]
    chosen = choice.entry.manifest
    given = _sequence.last_given(request.state_path, branch=request.branch, kind="db_full")
    highest = catalogue.last_sequence("db_full", branch=request.branch)
    if given > highest:
        newer.append(f"this host made a full number {given}, the highest here is {highest}")
    warnings = []
    if chosen.adopted_moment is not None:
        warnings.append(
            f"{choice.entry.name} was adopted from an older cron line: nobody has proven it, and routines and events "
            "are not in it when the old command left them out."
        )
    if request.to == _choose.LATEST and newer:
        warnings.append(
            f"The chosen full may not be the newest ({'; '.join(newer)}). Everything after "
            f"{_manifest.format_time(chosen.recovery_point)} (UTC) is not in it; look for a newer one at another place."
        )
    return warnings


__all__ = ("RestoreOutcome", "RestoreRequest", "restore_database")

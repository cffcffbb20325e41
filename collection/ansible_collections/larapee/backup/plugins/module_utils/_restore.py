# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore of one database: refuse what is not right, prove the artifacts first, then fill the target under a mark.

A full alone is loaded as it is. With increments, the database is put together on a scratch server, and only what came
out right is loaded from there. A failed restore leaves the target as it was when it was empty, and marked as unusable
when it was not.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from . import (
    _catalog,
    _choose,
    _epoch,
    _estimate,
    _fingerprint,
    _lease,
    _live,
    _live_database,
    _lock,
    _log_replay,
    _manifest,
    _names,
    _open,
    _process,
    _restore_plan,
    _scratch,
    _scratch_server,
    _tip,
)
from ._aim import Seeker
from ._catalog import Catalogue, Entry
from ._choose import Choice
from ._errors import BackupError
from ._fill import CLIENTS, Content, Filling, FullContent
from ._log_replay import LogReplay
from ._log_walk import LogWalk
from ._mysql._connection import connect, identify
from ._mysql._dump_client import require_vendor
from ._mysql._option_file import describe_server, read_option_file, refuse_system_schema
from ._replay import RelayLogs
from ._scratch import Scratch
from ._target import Target
from ._transfer import ScratchContent

_NAMED: t.Final = 5


@dataclasses.dataclass(frozen=True)
class RestoreRequest:
    """What to restore and where to. ``source`` is a directory here; ``confirm`` the typed branch code or empty.

    ``scratch_path``: where a replay takes place; empty for a directory below the state. ``live_option_file``,
    ``live_database``: how this host backs up, and what.
    """

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
    scratch_path: str = ""
    live_option_file: str = ""
    live_database: str = ""

    @property
    def scratch_base(self) -> str:
        return self.scratch_path or os.path.join(self.state_path, "scratch")


@dataclasses.dataclass
class RestoreOutcome:
    """``plan`` says what was, or in check mode would be, restored; ``seconds`` by step. ``entries``: all that it took.

    ``entry`` is the full among them.
    """

    entry: Entry
    plan: dict[str, t.Any]
    seconds: dict[str, float]
    warnings: list[str]
    entries: tuple[Entry, ...] = ()


def restore_database(request: RestoreRequest, *, check_mode: bool = False) -> RestoreOutcome:
    """Restore into the target database; raises BackupError that says how the target was left."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    if "://" in request.source:
        raise BackupError(
            f"Failed to read {request.source}: only a directory on the target can be a source so far. "
            "Copy the artifact, its manifest and signature to the target and name that directory.",
            reason="bad_source",
        )
    refuse_system_schema(request.database)
    with contextlib.ExitStack() as stack:
        if not check_mode:
            stack.enter_context(_lock.hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id))
        return _Restore(request, stack, check_mode=check_mode).run()


class _Restore:
    def __init__(self, request: RestoreRequest, stack: contextlib.ExitStack, *, check_mode: bool) -> None:
        self._request = request
        self._stack = stack
        self._check_mode = check_mode
        self._options = read_option_file(request.option_file)
        self._timer = _Timer()
        self._scratch: Scratch | None = None
        self._logs: RelayLogs | None = None
        self._walk: LogWalk | None = None
        self._seeker: Seeker | None = None
        self._is_live = False

    def run(self) -> RestoreOutcome:
        request = self._request
        catalogue = _catalog.read_catalogue(request.source)
        choice, target = self._prepare(catalogue)
        plan = _restore_plan.make_plan(
            choice, self._seeker, target, state_path=request.state_path, scratch=request.scratch_base
        )
        plan["holds_backups"] = self._is_live
        plan["identity"] = "opens" if choice.full.manifest.encrypted else "not needed"
        outcome = RestoreOutcome(
            entry=choice.full,
            plan=plan,
            seconds=self._timer.seconds,
            warnings=_restore_plan.warn(choice, catalogue, state_path=request.state_path),
            entries=choice.entries,
        )
        if self._check_mode:
            # A preview of the latest opens nothing else, and a wrong identity must not show when the shop is closed.
            _open.prove_identity(choice.full, request.identity)
            return outcome
        if self._seeker is not None and self._seeker.last is not None:
            self._restore_log(choice, target, outcome)
        else:
            self._restore_full(choice, target, outcome)
        _estimate.note(request.state_path, self._timer.seconds, _restore_plan.sizes(choice))
        return outcome

    def _prepare(self, catalogue: Catalogue) -> tuple[Choice, Target]:
        """Choose, look at the target, walk through the log; nothing changes but a scratch directory."""
        excluded: dict[str, str] = {}
        while True:
            choice = self._pick(catalogue, excluded)
            target = self._look_at_target(choice.full)
            if not choice.increments or not self._walk_log(choice, target, excluded):
                break
        return choice, target

    def _pick(self, catalogue: Catalogue, excluded: t.Mapping[str, str]) -> Choice:
        request = self._request
        choice = _choose.choose(
            catalogue,
            branch=request.branch,
            to=request.to,
            allowed_signers=request.allowed_signers,
            current=self._current(),
            excluded=excluded,
        )
        # Retention of another account or host does not see the lock above.
        self._stack.enter_context(_lease.hold(choice.entries))
        self._timer.note("choose")
        for entry in choice.entries:
            _open.require_identity(entry, request.identity)
        return choice

    def _current(self) -> _choose.Current:
        """What the branch's signed tip says of an idle shop."""
        request = self._request
        try:
            tip = _tip.read_tip(request.source, branch=request.branch, allowed_signers=request.allowed_signers)
            part = tip["parts"]["database"]
            return (str(part["artifact"]), _manifest.parse_time(part["current_at"])) if part else None
        except BackupError as exc:
            if exc.reason != "bad_tip":
                raise
            return None
        except (KeyError, TypeError, ValueError):
            return None

    def _look_at_target(self, full: Entry) -> Target:
        request = self._request
        with connect(self._options) as connection:
            server = identify(connection)
            target = Target(connection, request.database, server=server, where=describe_server(self._options))
            target.check(connection, full.manifest, confirmed=request.confirm == request.branch)
            self._is_live = request.database == request.live_database and _live_database.is_live_server(
                connection, self._options, option_file=request.live_option_file
            )
        require_vendor(_process.find_tool(*CLIENTS[server.engine]), server)
        return target

    def _walk_log(self, choice: Choice, target: Target, excluded: dict[str, str]) -> bool:
        """Check the log up to the stop; True when another full has to be tried, which *excluded* then says why."""
        request, document = self._request, choice.full.manifest.document
        wanted = _scratch_server.Wanted(
            engine=str(document["engine"]),
            version=str(document["version"]),
            database=str(document["database"]),
            lower_case_table_names=target.lower_case_table_names,
        )
        refuse_system_schema(wanted.database)
        programs = _scratch_server.find_programs(wanted)
        _scratch.require_space(
            request.scratch_base,
            plain_bytes=choice.full.manifest.plain_size,
            log_bytes=_restore_plan.log_bytes(choice),
        )
        if self._check_mode and choice.wish.is_latest:
            return False
        with contextlib.ExitStack() as stack:
            logs = None
            if not self._check_mode:
                found = _scratch.scratch(request.scratch_base, run_id=request.run_id, programs=programs, wanted=wanted)
                self._scratch = stack.enter_context(found)
                logs = RelayLogs(self._scratch)
                self._timer.note("start")
            seeker = Seeker(choice.wish)
            walk = LogWalk(choice.full, seeker=seeker, identity=request.identity, logs=logs)
            walk.run(choice.increments)
            wished, before = choice.wish.time, walk.before_full
            if wished is not None and before is not None and before >= wished:
                excluded[choice.full.name] = f"it holds what was committed at {_manifest.format_time(before)}"
                return True
            seeker.check(end=choice.entries[-1].name)
            self._seeker, self._walk, self._logs = seeker, walk, logs
            self._timer.note("walk")
            if seeker.last is not None:
                self._stack.enter_context(stack.pop_all())
        return False

    def _restore_full(self, choice: Choice, target: Target, outcome: RestoreOutcome) -> None:
        # The whole way to the plain bytes, before anything on the target changes.
        _open.open_artifact(choice.full, identity=self._request.identity)
        self._timer.note("open")
        self._fill(FullContent(choice.full, identity=self._request.identity), target, outcome)
        self._timer.note("load")
        self._compare_full(choice.full, outcome)
        self._timer.note("compare")

    def _compare_full(self, full: Entry, outcome: RestoreOutcome) -> None:
        """Where nothing was committed between the dump and its fingerprint, the full alone can be compared.

        A difference is told and nothing more: no other way leads to these bytes, and they are what was backed up.
        """
        if not full.manifest.position.get("file") or not _log_replay.fingerprints([full], following=None):
            return
        try:
            fingerprint = _fingerprint.read_companion(full, identity=self._request.identity)
            with connect(self._options) as connection:
                found = _fingerprint.compare(fingerprint, connection, self._request.database)
        except BackupError as exc:
            if exc.reason == "interrupted":
                raise
            outcome.warnings.append(f"The fingerprint of {full.name} was not compared: {exc}")
            return
        # A query may ask for the time, or for who asks: rows decide.
        asked = [each for each in found if each.startswith(("query ", "receipt"))]
        outcome.plan["compared"] = full.name
        outcome.plan["differences"] = [each for each in found if each not in asked]
        outcome.warnings += [f"The fingerprint of {full.name}: {each}." for each in found[:_NAMED]]

    def _restore_log(self, choice: Choice, target: Target, outcome: RestoreOutcome) -> None:
        scratch, logs = t.cast(Scratch, self._scratch), t.cast(RelayLogs, self._logs)
        logs.finish()
        scratch.start()
        self._timer.note("start")
        replay = LogReplay(
            scratch,
            logs,
            entries=choice.entries,
            walk=t.cast(LogWalk, self._walk),
            seeker=t.cast(Seeker, self._seeker),
            identity=self._request.identity,
            run_id=self._request.run_id,
        )
        replay.load()
        self._timer.note("load")
        replay.replay(self._timer.note)
        outcome.plan["compared"] = replay.compared
        outcome.warnings += replay.warnings
        content = ScratchContent(scratch, name=f"{choice.full.name} and {len(choice.increments)} increments")
        proof = content.prove()
        target.check_content(content.objects, longest_line=proof.longest_line)
        self._timer.note("prove")
        self._fill(content, target, outcome)
        self._timer.note("transfer")

    def _fill(self, content: Content, target: Target, outcome: RestoreOutcome) -> None:
        request = self._request
        # Before the first change: whatever becomes of this restore, the server's old life has ended.
        because = f"restored from {content.name}"
        if self._is_live:
            outcome.warnings += _live.hold(
                request.state_path, branch=request.branch, because=because, run_id=request.run_id
            )
        _epoch.demand(request.state_path, branch=request.branch, because=because)
        filling = Filling(
            options=self._options,
            option_file=request.option_file,
            content=content,
            target=target,
            run_id=request.run_id,
        )
        filling.run()
        outcome.warnings += filling.warnings


class _Timer:
    """Seconds by step; a step may come in several parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def note(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(self.seconds.get(step, 0.0) + now - self._last, 3)
        self._last = now


__all__ = ("RestoreOutcome", "RestoreRequest", "restore_database")

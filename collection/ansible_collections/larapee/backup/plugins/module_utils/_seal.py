# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An increment of the database: the binary log files that the server has closed since the last artifact, sealed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import typing as t

from . import (
    _clock,
    _current,
    _epoch,
    _io,
    _latch,
    _lock,
    _making,
    _manifest,
    _publish,
    _seal_join,
    _seal_stream,
    _sequence,
)
from ._binlog import _gtid
from ._errors import BackupError
from ._mysql import _binlog_client, _binlog_server
from ._mysql._binlog_server import LogFile, LogStatus
from ._mysql._connection import connect, identify, rows
from ._mysql._option_file import read_option_file, refuse_system_schema
from ._quota import Allowance
from ._seal_join import GapError, ReadLog
from ._seal_pack import SealRequest, pack, take_fingerprint
from ._seal_spool import LogReader, Spool

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

    from ._catalog import Catalogue
    from ._fingerprint import Fingerprint
    from ._seal_stream import Standing

_KIND: t.Final = "db_increment"
_FAMILY: t.Final = "database"
# What is noted of the file that the server began when an increment was made, and which increment that was.
_NEXT_IDENTITY: t.Final = "next_identity"
_NEXT_AFTER: t.Final = "next_after"
_LOCK_WAIT_S: t.Final = 60.0
# A file that holds nothing but its own beginning is smaller, but for long lists of GTIDs.
_IDLE_BYTES: t.Final = 64 * 1024


@dataclasses.dataclass
class SealOutcome:
    """``manifest`` is None in check mode, when nothing was ``unchanged`` since, and when a full is needed first."""

    plan: dict[str, t.Any]
    manifest: _manifest.Manifest | None = None
    unchanged: bool = False
    needs_full: str | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


def seal_binlogs(request: SealRequest, *, check_mode: bool = False) -> SealOutcome:
    """Seal what the server has logged since; raises BackupError, and then nothing new exists at the place.

    After a gap (reason ``gap``) the next call says that a full is needed.
    """
    _making.check_request(request)
    refuse_system_schema(request.database)
    options = read_option_file(request.option_file)
    with contextlib.ExitStack() as stack:
        removed: list[str] = []
        if not check_mode:
            _io.ensure_directory(request.local_path)
            restoring, own = f"restore-{request.branch}", f"chain-{request.branch}"
            stack.enter_context(_lock.hold(request.state_path, restoring, run_id=request.run_id, shared=True))
            stack.enter_context(_lock.hold(request.state_path, own, run_id=request.run_id, wait_seconds=_LOCK_WAIT_S))
        _latch.require_open(request.state_path, branch=request.branch, what="seal the binary log")
        if not check_mode:
            removed = _publish.sweep(request.local_path, kind=_KIND)
        spool = Spool(request.state_path, request.branch)
        if not check_mode:
            stack.enter_context(spool)
        with connect(options) as connection:
            run = _Run(request, options, connection, spool, check_mode=check_mode)
            if removed:
                run.outcome.warnings.insert(0, f"Removed what an interrupted run left: {', '.join(removed)}.")
            run.seal()
    return run.outcome


class _Run:
    """One sealing on its way; ``outcome`` fills as it goes."""

    def __init__(
        self,
        request: SealRequest,
        options: t.Mapping[str, str],
        connection: Connection,
        spool: Spool,
        *,
        check_mode: bool,
    ) -> None:
        self._request = request
        self._connection = connection
        self._check_mode = check_mode
        self._server = identify(connection)
        self._client = _binlog_client.find_client(self._server)
        self._spool = spool
        self._reader = LogReader(spool, self._client, self._server, option_file=request.option_file, options=options)
        self._around = _making.Surroundings(request, kind=_KIND, check_mode=check_mode)
        self.outcome = SealOutcome(plan={}, warnings=list(self._around.warnings))

    def seal(self) -> None:
        request, server = self._request, self._server
        _binlog_server.check_account(self._connection, server)
        self.outcome.warnings += _binlog_server.check_settings(self._connection, server)
        self.outcome.plan = {
            "branch": request.branch,
            "database": request.database,
            "directory": request.local_path,
            "engine": server.engine,
            "version": server.version,
            "encrypted": request.encrypt,
        }
        standing = self._find_standing()
        if standing is None:
            return
        try:
            self._seal_after(standing)
        except GapError as exc:
            raise self._gap(str(exc)) from exc

    def _find_standing(self) -> Standing | None:
        """None when a full has to come first; raises BackupError while that is not to be forced again."""
        request = self._request
        demand = _epoch.read_demand(request.state_path, branch=request.branch)
        if demand is not None:
            until = _epoch.wait_until(request.state_path, branch=request.branch, demand=demand)
            if until is not None:
                raise BackupError(
                    f"Failed to seal the binary logs of {request.branch}: {demand.because}. A full was taken for such "
                    "a gap less than an hour ago; remove the cause. After "
                    f"{_manifest.format_time(until)} a run takes the next one by itself; or take one now.",
                    reason="gap",
                )
            self.outcome.needs_full = demand.because
            if not self._check_mode:
                _epoch.note_forced(request.state_path, branch=request.branch, demand=demand)
            return None
        found = _seal_stream.find_standing(self._credible(), branch=request.branch, database=request.database)
        if isinstance(found, str):
            self.outcome.needs_full = found
            return None
        return found

    def _credible(self) -> Catalogue:
        """The place's catalogue without fulls whose numbers were never given."""
        request = self._request
        last = 0
        with contextlib.suppress(_sequence.SequenceError):
            last = _sequence.last_given(request.state_path, branch=request.branch, kind="db_full")
        return _sequence.credible(
            self._around.catalogue,
            last=last,
            branch=request.branch,
            kind="db_full",
            allowed_signers=request.allowed_signers,
        )

    def _seal_after(self, standing: Standing) -> None:
        # Before the server is asked: what was committed by now is in what it answers.
        now = _clock.now()
        status = _binlog_server.read_status(self._connection, self._server)
        logs = _binlog_server.read_logs(self._connection)
        last, files = self._choose(standing, logs)
        self.outcome.plan.update(
            last=last.artifact, first_file=_seal_join.needed_file(last), files=len(files) + 1, idle=False
        )
        self.outcome.plan["bytes"] = sum(log.size for log in files) + status.position
        if self._is_idle(last, files, status):
            self.outcome.plan.update(files=0, bytes=0, idle=True)
            self.outcome.unchanged = True
            if not self._check_mode:
                self._note_current(standing.newest_after(last), now, of=last)
            return
        if self._check_mode:
            return
        fingerprint = take_fingerprint(self._request, self._server, self.outcome.warnings)
        now = _clock.now()
        _binlog_server.begin_next_file(self._connection)
        logs = _binlog_server.read_logs(self._connection)
        last, files = self._choose(standing, logs)
        if not files:
            raise GapError(f"{_seal_join.needed_file(last)} was not closed")
        self._require_room(files)
        read, following = self._read(last, files, logs[-1])
        self._publish(standing, last, read, now=now, fingerprint=fingerprint, following=following)

    def _choose(self, standing: Standing, logs: t.Sequence[LogFile]) -> tuple[_manifest.Manifest, list[LogFile]]:
        """What is continued, and the closed files that do; raises GapError when nothing can be."""
        first_gap: GapError | None = None
        for last in standing.ends:
            try:
                files = _seal_join.closed_files(last, logs, server=self._server)
            except GapError as exc:
                first_gap = first_gap or exc
                continue
            if first_gap is not None:
                warning = f"The increments go on from {last.artifact}, after a gap: {first_gap}."
                if warning not in self.outcome.warnings:
                    self.outcome.warnings.append(warning)
            return last, files
        raise t.cast(GapError, first_gap)

    def _is_idle(self, last: _manifest.Manifest, files: t.Sequence[LogFile], status: LogStatus) -> bool:
        """Whether nothing was committed since *last*, for certain: else a sale would be taken for sealed."""
        if files:
            return False
        if last.kind == "db_full":
            end = last.position
            return (status.file, status.position, status.gtid) == (end["file"], end["position"], _state_of(last))
        identity = self._remembered(last)
        if identity is None or status.position > _IDLE_BYTES or status.file != _seal_join.needed_file(last):
            return False
        if self._check_mode:
            return status.gtid == _state_of(last) != ""
        self._reader.fetch([status.file])
        facts = self._reader.read_open(status.file)
        return (
            facts is not None
            and (facts.groups, facts.identity) == (0, identity)
            and facts.complete_to == facts.size >= status.position
            and str(facts.before) == _state_of(last)
        )

    def _remembered(self, last: _manifest.Manifest) -> str | None:
        """The identity of the file after *last*, noted when *last* was made."""
        noted = _current.read(self._request.state_path, self._request.branch).get(_FAMILY, {})
        return noted.get(_NEXT_IDENTITY) if noted.get(_NEXT_AFTER) == last.artifact else None

    def _require_room(self, files: t.Sequence[LogFile]) -> None:
        expected = sum(log.size for log in files)
        what = f"seal {expected} bytes of binary log"
        _making.allowance(self._request).require(expected, what=what)
        # In clear, and only for the time of this run.
        Allowance(self._spool.path, quota_bytes=0, reserve_bytes=self._request.reserve_bytes).require(
            expected, what=what
        )

    def _read(
        self, last: _manifest.Manifest, files: t.Sequence[LogFile], current: LogFile
    ) -> tuple[list[ReadLog], str | None]:
        """The files, each checked and joined to the one before; and the identity of the one that follows them."""
        identity = self._remembered(last) if last.kind == "db_increment" else None
        if last.kind == "db_increment" and identity is None:
            self._compare_sealed(last)
        self._reader.fetch([*(log.name for log in files), current.name])
        at = int(last.position["position"]) if last.kind == "db_full" else None
        first, at_full = self._reader.read(files[0], at=at)
        read = [first, *(self._reader.read(log)[0] for log in files[1:])]
        _seal_join.check_join(last, read, at_full=at_full, identity=identity)
        if last.kind == "db_full":
            _seal_join.check_age(last, first, clock_ahead_s=self._clock_ahead())
        following = self._reader.read_open(current.name)
        if following is not None and following.before != read[-1].facts.after:
            raise GapError(f"{current.name} begins at GTID {following.before}, not where {read[-1].name} ends")
        return read, following.identity if following is not None else None

    def _compare_sealed(self, last: _manifest.Manifest) -> None:
        """Nothing is remembered of the file after *last*: that its own last file is the same shows it too."""
        sealed = last.document["files"][-1]
        if all(log.name != sealed["name"] for log in _binlog_server.read_logs(self._connection)):
            return
        self._reader.fetch([sealed["name"]])
        if not self._reader.starts_with(sealed["name"], size=sealed["size"], sha256=sealed["sha256"]):
            raise GapError(
                f"{sealed['name']} is another one on the server than in {last.artifact}: the binary log was reset, or "
                "the server was rolled back"
            )
        os.unlink(os.path.join(self._spool.path, sealed["name"]))

    def _clock_ahead(self) -> float:
        ((at,),) = rows(self._connection, "SELECT UNIX_TIMESTAMP(NOW(6))")
        return float(at) - _clock.now().timestamp()

    def _publish(
        self,
        standing: Standing,
        last: _manifest.Manifest,
        read: t.Sequence[ReadLog],
        *,
        now: dt.datetime,
        fingerprint: Fingerprint | None,
        following: str | None,
    ) -> None:
        outcome = self.outcome
        manifest = pack(
            self._request,
            self._around,
            read,
            server=self._server,
            client=self._client,
            base=standing.full,
            last=last,
            now=now,
            fingerprint=fingerprint,
            warnings=outcome.warnings,
        )
        outcome.manifest = manifest
        outcome.plan.update(files=len(read), bytes=sum(log.size for log in read))
        for log in read:
            if log.end == "crash":
                outcome.warnings.append(
                    f"{log.name} ends without being closed, as after a crash of the server"
                    f"{': ' + log.torn if log.torn else ''}; it is sealed up to its last whole transaction."
                )
            if log.facts.has_statements:
                outcome.warnings.append(
                    f"{log.name} holds changes as statements, not as rows: some session sets binlog_format. Replayed, "
                    "they may come to other rows."
                )
        outcome.warnings += self._around.note_clock(now) + _making.after_publishing(self._request, manifest)
        self._note_current(manifest.artifact, now, of=manifest, identity=following)

    def _note_current(
        self, artifact: str, now: dt.datetime, *, of: _manifest.Manifest, identity: str | None = None
    ) -> None:
        """Up to *now* nothing is lacking in *artifact*; and what follows *of*, if that is known."""
        request = self._request
        identity = identity or self._remembered(of)
        more = {_NEXT_AFTER: of.artifact, _NEXT_IDENTITY: identity} if identity else {}
        try:
            _current.note(request.state_path, request.branch, _FAMILY, artifact, now, run_id=request.run_id, **more)
        except (BackupError, OSError) as exc:
            self.outcome.warnings.append(f"The tip will not know that {artifact} is current: {exc}")

    def _gap(self, why: str) -> BackupError:
        request = self._request
        if not self._check_mode:
            # Without it the next run finds the gap anew.
            with contextlib.suppress(BackupError, OSError):
                _epoch.demand(request.state_path, branch=request.branch, because=why, gap=True)
        return BackupError(
            f"Failed to seal the binary logs of {request.branch}: {why}. Nothing after that can be replayed: the next "
            "run takes a full by itself, or take one now.",
            reason="gap",
        )


def _state_of(last: _manifest.Manifest) -> str:
    """The GTIDs at the end of *last*, in canonical form."""
    return str(_gtid.parse(str(last.document["engine"]), str(last.position.get("gtid") or "")))


__all__ = ("SealOutcome", "SealRequest", "seal_binlogs")

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

from . import _catalog, _choose, _clock, _epoch, _lock, _manifest, _names, _open, _process
from ._catalog import Entry
from ._digest import Ends
from ._errors import BackupError
from ._mysql import _grants, _inspect, _marker
from ._mysql._connection import Server, connect, identify, quote_identifier, rows
from ._mysql._dump_client import check_trailer, require_vendor
from ._mysql._option_file import describe_server, read_option_file, refuse_system_schema
from ._mysql._scan import DumpScanner, difference
from ._pipeline import Command

# What a client adds around the longest row when it sends it.
_PACKET_MARGIN = 1024 * 1024


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
        timer.note("choose")
        _open.require_identity(entry, request.identity)
        with connect(options) as connection:
            server = identify(connection)
            target = _Target(connection, request.database)
            plan = _plan(request, options, server, entry, target)
            _check_target(request, options, entry, server, target)
        outcome = RestoreOutcome(entry=entry, plan=plan, seconds=timer.seconds, warnings=_warn(choice))
        require_vendor(_process.find_tool(*_CLIENTS[server.engine]), server)
        if check_mode:
            return outcome
        # The whole way to the plain bytes, before anything on the target changes.
        _open.open_artifact(entry, identity=request.identity)
        timer.note("open")
        _Filling(request, options, server, entry, target).run()
        timer.note("load")
        _epoch.demand(request.state_path, branch=request.branch, because=f"restored from {entry.name}")
    return outcome


class _Timer:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def note(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now


class _Target:
    """How the target database was found."""

    def __init__(self, connection: t.Any, database: str) -> None:
        self.schema = _inspect.read_schema(connection, database)
        self.marked = self.schema is not None and _marker.is_present(connection, database)
        ((packet, trusts),) = rows(
            connection, "SELECT @@global.max_allowed_packet, @@global.log_bin_trust_function_creators"
        )
        self.max_allowed_packet = int(packet)
        self.trusts_routine_creators = bool(trusts)
        self.grants = _grants.parse_grants(str(row[0]) for row in rows(connection, "SHOW GRANTS"))

    @property
    def empty(self) -> bool:
        return self.schema is None or not any(self.schema.objects.values())


def _plan(
    request: RestoreRequest, options: t.Mapping[str, str], server: Server, entry: Entry, target: _Target
) -> dict[str, t.Any]:
    manifest = entry.manifest
    return {
        "artifact": entry.name,
        "branch": manifest.branch,
        "recovery_point": _manifest.format_time(manifest.created_at),
        "position": manifest.position,
        "plain_size": manifest.plain_size,
        "server": describe_server(options),
        "engine": server.engine,
        "version": server.version,
        "database": request.database,
        "replaces": None if target.empty or target.schema is None else target.schema.objects,
        "lost": f"Everything after {_manifest.format_time(manifest.created_at)} (UTC) is not in this full.",
    }


def _warn(choice: _choose.Choice) -> list[str]:
    if not choice.skipped:
        return []
    skipped = "; ".join(f"{name}: {why}" for name, why in choice.skipped.items())
    point = _manifest.format_time(choice.entry.manifest.created_at)
    return [
        f"Newer fulls are not intact and were passed over ({skipped}); everything after {point} (UTC) is lost with "
        "them."
    ]


def _check_target(
    request: RestoreRequest, options: t.Mapping[str, str], entry: Entry, server: Server, target: _Target
) -> None:
    document = entry.manifest.document
    where = f"{request.database} on {describe_server(options)}"
    if document.get("engine") != server.engine:
        raise BackupError(
            f"Failed to restore into {where}: the full is of {document.get('engine')} {document.get('version')}, the "
            f"server is {server.engine} {server.version}. Restore to a server of the same engine.",
            reason="wrong_engine",
        )
    if not target.empty and request.confirm != request.branch:
        state = "left unfinished by an earlier restore" if target.marked else "not empty"
        raise BackupError(
            f"Failed to restore into {where}: it is {state}, and its content would be lost. Name an empty database, or "
            f"set larapee_backup_restore_confirm to {request.branch} to replace it.",
            reason="not_empty",
        )
    missing = _grants.missing_for_restore(target.grants, database=request.database, server=server)
    if missing:
        raise BackupError(
            f"Failed to restore into {where}: the account lacks {', '.join(missing)}. Grant it to the restorer.",
            reason="missing_privilege",
        )
    needs_trust = any(document["objects"].get(kind) for kind in ("triggers", "routines"))
    trusted = target.trusts_routine_creators or _grants.may_create_logged_routines(target.grants)
    if server.log_bin and not trusted and needs_trust:
        raise BackupError(
            f"Failed to restore into {where}: with the binary log on, the account may not create triggers and "
            "functions. Set log_bin_trust_function_creators=1 on the server (harmless with binlog_format=ROW) or grant "
            "SUPER for the restore.",
            reason="missing_privilege",
        )
    needed = int(document.get("longest_line", 0)) + _PACKET_MARGIN
    if target.max_allowed_packet < needed:
        raise BackupError(
            f"Failed to restore into {where}: its max_allowed_packet is {target.max_allowed_packet} bytes, the full "
            f"needs {needed}. Set max_allowed_packet=1G on the server for the restore.",
            reason="packet_too_small",
        )


_CLIENTS = {"mariadb": ("mariadb", "mysql"), "mysql": ("mysql",)}
# A branch's key may be in wrong hands: what it signed must neither run commands nor read files of this host.
_LOAD_ARGUMENTS = {
    "mariadb": ("--sandbox", "--binary-mode", "--local-infile=0"),
    "mysql": ("--binary-mode", "--local-infile=0"),
}


class _Filling:
    """From the first change on the target to the last; ``run`` cleans up or leaves the mark."""

    def __init__(
        self, request: RestoreRequest, options: t.Mapping[str, str], server: Server, entry: Entry, target: _Target
    ) -> None:
        self._request = request
        self._options = options
        self._server = server
        self._entry = entry
        self._target = target
        self._name = quote_identifier(request.database)
        self._scanner = DumpScanner(only_database=request.database)
        self._ends = Ends()

    def run(self) -> None:
        try:
            self._prepare()
            self._load()
            self._check()
        except BackupError as exc:
            raise BackupError(f"{exc} {self._leave()}", reason=exc.reason, facts=exc.facts) from exc

    def _prepare(self) -> None:
        document = self._entry.manifest.document
        with connect(self._options) as connection:
            if self._target.schema is not None:
                rows(connection, f"DROP DATABASE {self._name}")
            self._create(connection, str(document["schema_character_set"]), str(document["schema_collation"]))
            _marker.place(
                connection,
                self._request.database,
                artifact=self._entry.name,
                run_id=self._request.run_id,
                started_at=_manifest.format_time(_clock.now()),
            )

    def _create(self, connection: t.Any, character_set: str, collation: str) -> None:
        rows(connection, f"CREATE DATABASE {self._name} CHARACTER SET %s COLLATE %s", [character_set, collation])

    def _load(self) -> None:
        client = Command(
            "the database client",
            (
                _process.find_tool(*_CLIENTS[self._server.engine]),
                f"--defaults-file={self._request.option_file}",
                *_LOAD_ARGUMENTS[self._server.engine],
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
                "--",
                self._request.database,
            ),
        )
        _open.open_artifact(self._entry, identity=self._request.identity, following=[self, client])

    def feed(self, block: memoryview) -> None:
        self._scanner.feed(block)
        self._ends.feed(block)

    def _check(self) -> None:
        self._scanner.close()
        check_trailer(self._ends.tail)
        expected = self._entry.manifest.document["objects"]
        with connect(self._options) as connection:
            found = _inspect.count_objects(connection, self._request.database)
            found["tables"] -= 1  # the mark
            wrong = difference(expected, found)
            if wrong:
                raise BackupError(
                    f"Failed to restore {self._entry.name}: the target holds {wrong} of the full.", reason="incomplete"
                )
            _marker.remove(connection, self._request.database)

    def _leave(self) -> str:
        """After a failure: an empty target becomes empty again; another one keeps the mark. Say which."""
        unusable = (
            f"The target {self._request.database} is unusable and marked so by the table {_marker.TABLE}: "
            "do not start the shop on it; restore again."
        )
        if not self._target.empty:
            return unusable
        try:
            with connect(self._options) as connection:
                rows(connection, f"DROP DATABASE IF EXISTS {self._name}")
                if self._target.schema is not None:
                    self._create(connection, self._target.schema.character_set, self._target.schema.collation)
        except BackupError:
            return unusable
        return "The target is empty, as it was."


__all__ = ("RestoreOutcome", "RestoreRequest", "restore_database")

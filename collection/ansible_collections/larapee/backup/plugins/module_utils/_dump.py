# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A full dump of one database: from the checks before it to the signed, published artifact.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import typing as t

from . import _clock, _compress, _epoch, _fingerprint, _io, _latch, _lock, _making, _manifest, _publish
from ._dump_stream import DumpStream
from ._errors import BackupError
from ._mysql import _commits, _ddl_guard, _dump_client, _grants, _inspect, _marker
from ._mysql._connection import Server, connect, identify, rows
from ._mysql._freeze import FreezeWatch
from ._mysql._option_file import read_option_file, refuse_system_schema
from ._request import DumpRequest

_KIND: t.Final = "db_full"
# A full that was dumped while a migration ran is thrown away and taken again.
_ATTEMPTS = 3
# What is asked while definitions are held off must not wait for one that is half-way, which waits for us.
_NO_LONG_WAIT: t.Final = "SET SESSION lock_wait_timeout = 10"


class _SchemaChanged(Exception):
    """DDL came between the start and the end of the dump."""

    why = "a definition changed"

    def failure(self, database: str) -> BackupError:
        return BackupError(
            f"Failed to dump {database}: definitions changed during each of {_ATTEMPTS} attempts. Run it when no "
            "migration runs, or grant RELOAD (MySQL: BACKUP_ADMIN) to the account.",
            reason="schema_changed",
        )


class _PositionUnknown(Exception):
    """What lies before the position that it names may not be in it (_commits.py)."""

    why = "the binary log began a file"

    def failure(self, database: str) -> BackupError:
        return BackupError(
            f"Failed to dump {database}: the binary log began a file during each of {_ATTEMPTS} attempts, and which of "
            "the transactions before it the dump holds is not known. Grant RELOAD to the account, or make "
            "max_binlog_size larger.",
            reason="position_unknown",
        )


@dataclasses.dataclass
class DumpOutcome:
    """``manifest`` is None in check mode; ``plan`` says what will be or was done."""

    plan: dict[str, t.Any]
    manifest: _manifest.Manifest | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


def dump_database(request: DumpRequest, *, check_mode: bool = False) -> DumpOutcome:
    """Take a full of one database; raises BackupError, and then nothing new exists at the place."""
    _making.check_request(request)
    refuse_system_schema(request.database)
    options = read_option_file(request.option_file)
    with contextlib.ExitStack() as stack:
        if not check_mode:
            _io.ensure_directory(request.local_path)
            hold = _lock.hold
            stack.enter_context(
                hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id, shared=True)
            )
            stack.enter_context(hold(request.state_path, f"full-{request.branch}", run_id=request.run_id))
        _latch.require_open(request.state_path, branch=request.branch, what="back up the database")
        removed = [] if check_mode else _publish.sweep(request.local_path, kind=_KIND)
        around = _making.Surroundings(request, kind=_KIND, check_mode=check_mode)
        warnings = [f"Removed what an interrupted run left: {', '.join(removed)}."] if removed else []
        warnings += around.warnings + _making.recipient_warnings(request)
        with connect(options) as connection:
            server = identify(connection)
            client = _dump_client.find_client(server)
            schema = _inspect_database(connection, server, request)
            warnings += _inspect.describe_inexact(connection, request.database)
        if schema.versioned and not _with_history(schema, client):
            why = (
                f"{', '.join(schema.by_transaction)} have transaction-precise ones, which no client dumps"
                if schema.by_transaction
                else "install a dump client of MariaDB 10.11 or newer"
            )
            warnings.append(f"{', '.join(schema.versioned)}: old versions of rows are not in the full; {why}.")
        outcome = DumpOutcome(plan=_plan(request, server, schema, around), warnings=warnings)
        _making.allowance(request).require(
            _making.expected_size(around.newest(_KIND)), what=f"dump into {request.local_path}"
        )
        if check_mode:
            return outcome
        outcome.manifest = _dump_until_usable(request, options, server, client, around, outcome)
    return outcome


def _dump_until_usable(
    request: DumpRequest,
    options: t.Mapping[str, str],
    server: Server,
    client: _dump_client.DumpClient,
    around: _making.Surroundings,
    outcome: DumpOutcome,
) -> _manifest.Manifest:
    attempt = 1
    while True:
        try:
            return _attempt(request, options, server, client, around, outcome)
        except (_SchemaChanged, _PositionUnknown) as exc:
            if attempt == _ATTEMPTS:
                raise exc.failure(request.database) from None
            outcome.warnings.append(f"Attempt {attempt}: {exc.why} while the dump ran; it was thrown away.")
        attempt += 1


def _inspect_database(connection: t.Any, server: Server, request: DumpRequest) -> _inspect.Schema:
    grants = _grants.parse_grants(str(row[0]) for row in rows(connection, "SHOW GRANTS"))
    missing = _grants.missing_for_dump(grants, database=request.database, server=server)
    if missing:
        raise BackupError(
            f"Failed to dump {request.database}: the account lacks {', '.join(missing)}, so the dump would be "
            "incomplete without an error. Grant it.",
            reason="missing_privilege",
        )
    limit = _inspect.session_limit(connection, server)
    if limit is not None:
        raise BackupError(
            f"Failed to dump {request.database}: {limit} in every session of the account, so rows would be missing "
            "without an error. Set it back to its default, globally and in init_connect.",
            reason="limited_session",
        )
    _marker.refuse_unfinished(connection, request.database)
    schema = _inspect.read_schema(connection, request.database)
    if schema is None:
        raise BackupError(
            f"Failed to dump {request.database}: the server has no such database. Check larapee_backup_db_name.",
            reason="no_database",
        )
    return schema


def _plan(
    request: DumpRequest, server: Server, schema: _inspect.Schema, around: _making.Surroundings
) -> dict[str, t.Any]:
    last = around.newest(_KIND)
    return {
        "branch": request.branch,
        "database": request.database,
        "directory": request.local_path,
        "engine": server.engine,
        "version": server.version,
        "compressor": _compress.compressor(request.compression).name,
        "encrypted": request.encrypt,
        "objects": schema.objects,
        "data_bytes": schema.data_bytes,
        "last_full": last.name if last else None,
    }


def _attempt(
    request: DumpRequest,
    options: t.Mapping[str, str],
    server: Server,
    client: _dump_client.DumpClient,
    around: _making.Surroundings,
    outcome: DumpOutcome,
) -> _manifest.Manifest:
    with connect(options) as connection, _ddl_guard.hold_ddl_off(options, server) as guard:
        rows(connection, _NO_LONG_WAIT)
        settled = guard.settle()
        schema = _inspect_database(connection, server, request)
        if schema.not_transactional and not guard.holds_writes:
            raise BackupError(
                f"Failed to dump {request.database}: {', '.join(schema.not_transactional)} have no transactions, and "
                f"writes to them cannot be held off ({guard.why}). Convert them to InnoDB.",
                reason="not_transactional",
            )
        # Taken before the snapshot: what is committed by now is in it, whatever the clock does later.
        now = _clock.now()
        reservation = _publish.reserve(
            request.local_path,
            kind=_KIND,
            compression=request.compression,
            encrypted=request.encrypt,
            now=now,
            run_id=request.run_id,
        )
        with reservation:
            command = _dump_client.dump_command(
                client,
                server,
                option_file=request.option_file,
                options=options,
                database=request.database,
                history=_with_history(schema, client),
            )
            watch = FreezeWatch(options, server, request.database, guard.give_up)
            try:
                stream = DumpStream(request, server, client, guard, reservation, command=command, watch=watch)
            except BackupError as exc:
                if guard.frozen is None:
                    raise
                raise _SchemaChanged from exc
            if guard.frozen is not None:
                raise _SchemaChanged
            guard.require_alive()
            # The dump took as long as it took; the server may have closed the idle connection meanwhile.
            with connect(options) as later:
                rows(later, _NO_LONG_WAIT)
                if _inspect.fingerprint(later, request.database) != schema.fingerprint:
                    raise _SchemaChanged
                stream.check(schema)
                _require_position(later, server, stream.coordinates, settled)
            document = _describe(
                request,
                server,
                client,
                around,
                schema,
                guard,
                now,
                stream,
                name=reservation.name,
            )
            document.update(_add_fingerprint(request, options, server, guard, reservation, outcome))
            manifest = _manifest.check_manifest(document)
            raw = _manifest.manifest_bytes(manifest)
            reservation.publish(manifest=raw, signature=_making.sign(request, raw, at=manifest.created_at))
    outcome.warnings += around.note_clock(now) + _making.after_publishing(request, manifest)
    with contextlib.suppress(OSError):
        # A demand that stays only makes one more epoch.
        _epoch.clear_demand(request.state_path, branch=request.branch)
    return manifest


def _require_position(
    connection: t.Any, server: Server, where: _dump_client.Coordinates | None, settled: str | None
) -> None:
    if server.engine != "mariadb" or where is None:
        return
    if _commits.state_at(connection, where.file, where.position, settled_state=settled) is None:
        raise _PositionUnknown


def _add_fingerprint(
    request: DumpRequest,
    options: t.Mapping[str, str],
    server: Server,
    guard: _ddl_guard.DdlGuard,
    reservation: _publish.Reservation,
    outcome: DumpOutcome,
) -> dict[str, t.Any]:
    """Take a fingerprint, later than the dump's snapshot, as the full's companion; the full is as good without one."""
    fields: dict[str, t.Any] = {"companion": None, "fingerprint": None}
    if not request.fingerprint:
        return fields
    try:
        found = _fingerprint.take(
            options,
            server,
            request.database,
            queries=request.business_queries,
            receipt_query=request.receipt_query,
            checksums=True,
            limit_bytes=request.fingerprint_limit_bytes,
            settle=guard.settle,
        )
        fields["companion"] = _fingerprint.write_companion(request, reservation, found)
    except BackupError as exc:
        outcome.warnings.append(f"The full has no fingerprint to compare a restore with. {exc}")
        return fields
    fields["fingerprint"] = _fingerprint.manifest_fields(found)
    outcome.warnings += [f"Not in the fingerprint: {problem}." for problem in found.problems]
    return fields


def _with_history(schema: _inspect.Schema, client: _dump_client.DumpClient) -> bool:
    return bool(schema.versioned) and client.history and not schema.by_transaction


def _describe(
    request: DumpRequest,
    server: Server,
    client: _dump_client.DumpClient,
    around: _making.Surroundings,
    schema: _inspect.Schema,
    guard: _ddl_guard.DdlGuard,
    now: dt.datetime,
    stream: DumpStream,
    *,
    name: str,
) -> dict[str, t.Any]:
    coordinates = stream.coordinates
    position: dict[str, t.Any] = {"time": _manifest.format_time(now)}
    if coordinates is not None:
        position.update(dataclasses.asdict(coordinates))
    previous = around.newest(_KIND)
    epoch, why = _epoch.decide_epoch(
        previous.manifest if previous else None,
        server_id=server.server_id,
        engine=server.engine,
        start=position,
        demanded=_epoch.demanded(request.state_path, branch=request.branch),
    )
    return {
        **_making.common_fields(request, around, name=name, created_at=now, epoch=epoch),
        "format": "sql",
        "epoch_reason": why,
        "size": stream.stored.size,
        "sha256": stream.stored.sha256,
        "plain_size": stream.plain.size,
        "plain_sha256": stream.plain.sha256,
        "tool_versions": {"dump": client.version, **_making.tool_versions(request)},
        "engine": server.engine,
        "version": server.version,
        "server_id": server.server_id,
        "database": request.database,
        "schema_character_set": schema.character_set,
        "schema_collation": schema.collation,
        "objects": schema.objects,
        "longest_line": stream.longest_line,
        "ddl_guard": guard.mode,
        "start": position,
        "end": position,
        "snapshot_at": _manifest.format_time(stream.snapshot_at),
    }


__all__ = ("DumpOutcome", "DumpRequest", "dump_database")

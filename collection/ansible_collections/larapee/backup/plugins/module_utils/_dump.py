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
import os
import typing as t

from . import (
    _catalog,
    _clock,
    _compress,
    _encrypt,
    _epoch,
    _io,
    _lock,
    _manifest,
    _names,
    _process,
    _publish,
    _sequence,
    _signature,
)
from ._dump_stream import DumpStream
from ._errors import BackupError
from ._mysql import _ddl_guard, _dump_client, _grants, _inspect, _marker
from ._mysql._connection import Server, connect, identify, rows
from ._mysql._option_file import read_option_file, refuse_system_schema
from ._request import DumpRequest

_KIND: t.Final = "db_full"
# A full that was dumped while a migration ran is thrown away and taken again.
_ATTEMPTS = 3
# The next full is rarely more than a third larger than the last.
_GROWTH = 1.3


class _SchemaChanged(Exception):
    """DDL came between the start and the end of the dump."""


@dataclasses.dataclass
class DumpOutcome:
    """``manifest`` is None in check mode; ``plan`` says what will be or was done."""

    plan: dict[str, t.Any]
    manifest: _manifest.Manifest | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


def dump_database(request: DumpRequest, *, check_mode: bool = False) -> DumpOutcome:
    """Take a full of one database; raises BackupError, and then nothing new exists at the place."""
    _check_request(request)
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
            removed = _publish.sweep(request.local_path, kind=_KIND)
        else:
            removed = []
        warnings = [f"Removed what an interrupted run left: {', '.join(removed)}."] if removed else []
        catalogue, last = _read_place(request, warnings, check_mode=check_mode)
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
        outcome = DumpOutcome(plan=_plan(request, server, schema, catalogue), warnings=warnings)
        _check_space(request, catalogue)
        if check_mode:
            return outcome
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                outcome.manifest = _attempt(request, options, server, client, catalogue, last, outcome)
                break
            except _SchemaChanged:
                outcome.warnings.append(
                    f"Attempt {attempt}: a definition changed while the dump ran; it was thrown away."
                )
        else:
            raise BackupError(
                f"Failed to dump {request.database}: definitions changed during each of {_ATTEMPTS} attempts. Run it "
                "when no migration runs, or grant RELOAD (MySQL: BACKUP_ADMIN) to the account.",
                reason="schema_changed",
            )
    return outcome


def _check_request(request: DumpRequest) -> None:
    if not _names.is_branch_code(request.branch):
        raise BackupError(
            f"Failed to use the branch {request.branch!r}: a branch's code has letters, digits, dots, dashes and "
            "underscores only. Set larapee_backup_branch.",
            reason="bad_branch",
        )
    if request.encrypt:
        _encrypt.encryptor(request.recipients)
    _compress.compressor(request.compression)
    _sign(request, b"", at=_clock.now())


def _sign(request: DumpRequest, message: bytes, *, at: dt.datetime) -> bytes:
    """Sign *message*; raise BackupError when those who verify would not accept that *at* that time."""
    signature = _signature.sign(message, key=request.signing_key)
    if request.allowed_signers is not None:
        try:
            _signature.verify(
                message, signature, principal=request.branch, allowed_signers=request.allowed_signers, at=at
            )
        except _signature.SignatureError as exc:
            raise BackupError(
                f"Failed to use the signing key {request.signing_key}: at {_manifest.format_time(at)} its signature "
                f"is not accepted, {exc}. Correct {request.allowed_signers}, the key, or this host's clock.",
                reason="signature_not_accepted",
            ) from exc
    return signature


def _read_place(request: DumpRequest, warnings: list[str], *, check_mode: bool) -> tuple[_catalog.Catalogue, int]:
    """The credible part of the place's catalogue, and the last number given (0 when not known)."""
    if check_mode and not os.path.isdir(request.local_path):
        return _catalog.Catalogue(directory=request.local_path, entries=(), problems={}, unmanaged=()), 0
    found = _catalog.read_catalogue(request.local_path)
    try:
        last = _sequence.last_given(request.state_path, branch=request.branch, kind=_KIND)
    except _sequence.SequenceError as exc:
        warnings.append(f"Numbers go on from the catalogue: {exc}.")
        last = 0
    catalogue = _sequence.credible(found, last=last, branch=request.branch, kind=_KIND)
    never_given = [entry.name for entry in found.entries if entry not in catalogue.entries]
    if never_given:
        warnings.append(f"Their numbers were never given, so they do not count: {', '.join(never_given)}.")
    return catalogue, last


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
    request: DumpRequest, server: Server, schema: _inspect.Schema, catalogue: _catalog.Catalogue
) -> dict[str, t.Any]:
    fulls = catalogue.of_kind(_KIND, branch=request.branch)
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
        "last_full": fulls[-1].name if fulls else None,
    }


def _check_space(request: DumpRequest, catalogue: _catalog.Catalogue) -> None:
    fulls = catalogue.of_kind(_KIND, branch=request.branch)
    needed = request.reserve_bytes + int(fulls[-1].manifest.size * _GROWTH if fulls else 0)
    directory = request.local_path
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory) or "/"
    free = _io.free_bytes(directory)
    if free < needed:
        raise BackupError(
            f"Failed to dump into {request.local_path}: {free} bytes are free, {needed} are needed by the size of the "
            "last full and the reserve. Free space or move the place.",
            reason="disk_full",
        )


def _attempt(
    request: DumpRequest,
    options: t.Mapping[str, str],
    server: Server,
    client: _dump_client.DumpClient,
    catalogue: _catalog.Catalogue,
    last: int,
    outcome: DumpOutcome,
) -> _manifest.Manifest:
    with connect(options) as connection, _ddl_guard.hold_ddl_off(options, server) as guard:
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
            stream = DumpStream(request, server, client, guard, reservation, command=command)
            guard.require_alive()
            # The dump took as long as it took; the server may have closed the idle connection meanwhile.
            with connect(options) as later:
                changed = _inspect.fingerprint(later, request.database) != schema.fingerprint
            if changed:
                raise _SchemaChanged
            stream.check(schema)
            document = _describe(
                request,
                server,
                client,
                catalogue,
                schema,
                guard,
                now,
                stream,
                name=reservation.name,
                sequence=_sequence.next_number(catalogue, last=last, branch=request.branch, kind=_KIND),
            )
            manifest = _manifest.check_manifest(document)
            raw = _manifest.manifest_bytes(manifest)
            reservation.publish(manifest=raw, signature=_sign(request, raw, at=manifest.created_at))
    _note_clock(catalogue, request, now, outcome)
    _after_publishing(request, manifest, outcome)
    return manifest


def _with_history(schema: _inspect.Schema, client: _dump_client.DumpClient) -> bool:
    return bool(schema.versioned) and client.history and not schema.by_transaction


def _describe(
    request: DumpRequest,
    server: Server,
    client: _dump_client.DumpClient,
    catalogue: _catalog.Catalogue,
    schema: _inspect.Schema,
    guard: _ddl_guard.DdlGuard,
    now: dt.datetime,
    stream: DumpStream,
    *,
    name: str,
    sequence: int,
) -> dict[str, t.Any]:
    fulls = catalogue.of_kind(_KIND, branch=request.branch)
    coordinates = stream.coordinates
    position: dict[str, t.Any] = {"time": _manifest.format_time(now)}
    if coordinates is not None:
        position.update(dataclasses.asdict(coordinates))
    previous = fulls[-1] if fulls else None
    epoch, why = _epoch.decide_epoch(
        previous.manifest if previous else None,
        server_id=server.server_id,
        engine=server.engine,
        start=position,
        demanded=_epoch.demanded(request.state_path, branch=request.branch),
    )
    compressor = _compress.compressor(request.compression)
    return {
        "schema": _manifest.SCHEMA_VERSION,
        "artifact": name,
        "branch": request.branch,
        "kind": _KIND,
        "format": "sql",
        "sequence": sequence,
        "epoch": epoch,
        "epoch_reason": why,
        "created_at": _manifest.format_time(now),
        "run_id": request.run_id,
        "size": stream.stored.size,
        "sha256": stream.stored.sha256,
        "plain_size": stream.plain.size,
        "plain_sha256": stream.plain.sha256,
        "compression": request.compression,
        "encryption": {"recipients": list(request.recipients)} if request.encrypt else None,
        "base": None,
        "previous": previous.name if previous else None,
        "tool_versions": {
            "dump": client.version,
            "compressor": f"{compressor.name} {_version(compressor.argv[0])}",
            **({"age": _version(_process.find_tool("age"))} if request.encrypt else {}),
        },
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
    }


def _version(path: str) -> str:
    lines = _process.run([path, "--version"]).stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "unknown"


def _note_clock(catalogue: _catalog.Catalogue, request: DumpRequest, now: dt.datetime, outcome: DumpOutcome) -> None:
    fulls = catalogue.of_kind(_KIND, branch=request.branch)
    if fulls and fulls[-1].manifest.created_at > now:
        outcome.warnings.append(
            f"The clock says {_manifest.format_time(now)}, before the last full {fulls[-1].name}. Check this host's "
            "clock; order is kept by sequence number."
        )


def _after_publishing(request: DumpRequest, manifest: _manifest.Manifest, outcome: DumpOutcome) -> None:
    """What helps people and later runs; the artifact is complete without it, so a failure here is only said."""
    try:
        _sequence.remember(request.state_path, branch=request.branch, kind=_KIND, number=manifest.sequence)
        _epoch.clear_demand(request.state_path, branch=request.branch)
        _catalog.write_checksums(_catalog.read_catalogue(request.local_path))
    except BackupError as exc:
        outcome.warnings.append(str(exc))


__all__ = ("DumpOutcome", "DumpRequest", "dump_database")

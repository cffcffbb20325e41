# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sealing is asked to do, and its last part: checked binary log files become one published artifact.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _compress, _encrypt, _fingerprint, _io, _making, _manifest, _pipeline, _publish
from ._binlog._container import ContainerWriter
from ._digest import Both, Digest
from ._errors import BackupError
from ._mysql._binlog_client import BinlogClient
from ._mysql._connection import Server
from ._mysql._option_file import read_option_file
from ._seal_join import ReadLog

_KIND: t.Final = "db_increment"
# The first event of a file follows the magic bytes.
_BEGIN: t.Final = 4


@dataclasses.dataclass(frozen=True)
class SealRequest:
    """Whose binary logs, and where to; see :class:`_making.Making` for what it shares with other requests.

    ``option_file`` is of the account that reads binary logs, which may read no table: with ``fingerprint``, that of
    ``dump_option_file`` takes one first. ``database`` is what the branch backs up; the logs hold every schema.
    """

    branch: str
    database: str
    option_file: str
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    encrypt: bool = True
    recipients: tuple[str, ...] = ()
    reserve_bytes: int = 64 * 1024 * 1024
    quota_bytes: int = 0
    allowed_signers: str | None = None
    fingerprint: bool = False
    dump_option_file: str | None = None
    business_queries: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    receipt_query: str = ""
    compression: str = "zstd"


def take_fingerprint(request: SealRequest, server: Server, warnings: list[str]) -> _fingerprint.Fingerprint | None:
    """Rows of every table, no checksums, at a position that the increment will hold; without it, there is a warning."""
    if not request.fingerprint:
        return None
    try:
        found = _fingerprint.take(
            read_option_file(request.dump_option_file or request.option_file),
            server,
            request.database,
            queries=request.business_queries,
            receipt_query=request.receipt_query,
            checksums=False,
            limit_bytes=0,
        )
    except BackupError as exc:
        warnings.append(f"The increment has no fingerprint to compare a restore with. {exc}")
        return None
    warnings += [f"Not in the fingerprint: {problem}." for problem in found.problems]
    return found


def pack(
    request: SealRequest,
    around: _making.Surroundings,
    read: t.Sequence[ReadLog],
    *,
    server: Server,
    client: BinlogClient,
    base: _manifest.Manifest,
    last: _manifest.Manifest,
    now: dt.datetime,
    fingerprint: _fingerprint.Fingerprint | None,
    warnings: list[str],
) -> _manifest.Manifest:
    """Publish *read* as the increment that continues *last*; raises BackupError, and then there is none."""
    reservation = _publish.reserve(
        request.local_path,
        kind=_KIND,
        compression=request.compression,
        encrypted=request.encrypt,
        now=now,
        run_id=request.run_id,
    )
    with reservation:
        try:
            plain, stored = _pass(request, read, reservation)
        except OSError as exc:
            raise BackupError(
                f"Failed to write {reservation.part_path}: {exc.strerror}. {_io.free_bytes(request.local_path)} bytes "
                "are free; nothing was kept, the next run seals all of it.",
                reason="disk_full" if _pipeline.disk_full(exc) else "write_failed",
            ) from exc
        document = {
            **_making.common_fields(request, around, name=reservation.name, created_at=now, epoch=base.epoch),
            "format": "binlog",
            "base": base.artifact,
            "previous": last.artifact,
            "size": stored.size,
            "sha256": stored.sha256,
            "plain_size": plain.size,
            "plain_sha256": plain.sha256,
            "tool_versions": {"binlog": client.version, **_making.tool_versions(request)},
            "engine": server.engine,
            "version": server.version,
            "server_id": server.server_id,
            "database": request.database,
            **describe_logs(read, last=last),
            **_write_fingerprint(request, reservation, fingerprint, read, warnings),
        }
        manifest = _manifest.check_manifest(document)
        raw = _manifest.manifest_bytes(manifest)
        reservation.publish(manifest=raw, signature=_making.sign(request, raw, at=manifest.created_at))
    return manifest


def _pass(request: SealRequest, read: t.Sequence[ReadLog], reservation: _publish.Reservation) -> tuple[Digest, Digest]:
    """Pack, compress, encrypt and write; the digests of both ends."""
    plain, stored = Digest(), Digest()
    elements: list[_pipeline.Command | _pipeline.Producer | _pipeline.Tap] = [
        ContainerWriter([(log.name, log.path) for log in read]),
        plain,
        _compress.compressor(request.compression),
    ]
    if request.encrypt:
        elements.append(_encrypt.encryptor(request.recipients))
    elements.append(Both(stored, _making.allowance(request)))
    results = _pipeline.run_pipeline(elements, target=reservation.open_part())
    _pipeline.require_success(results, what="seal the binary logs", advice="Nothing was kept; the next run seals all.")
    return plain, stored


def describe_logs(read: t.Sequence[ReadLog], *, last: _manifest.Manifest) -> dict[str, t.Any]:
    """The manifest's fields about the files *read*, which continue *last*."""
    first, final = read[0], read[-1]
    times = [at for log in read for at in (log.facts.first_at, log.facts.last_at) if at is not None]
    return {
        "start": {
            "file": first.name,
            "position": _BEGIN,
            "gtid": str(first.facts.before),
            "time": _format(times[0] if times else first.facts.created_at),
        },
        "end": {
            "file": final.name,
            "position": final.size,
            "gtid": str(final.facts.after),
            "time": _format(times[-1] if times else final.facts.created_at),
        },
        "files": [
            {
                "name": log.name,
                "size": log.size,
                "sha256": log.sha256,
                "identity": log.facts.identity,
                "end": log.end,
            }
            for log in read
        ],
        "transactions": sum(log.facts.groups for log in read),
        "definitions": sum(log.facts.definitions for log in read),
        "largest_event": max(log.facts.largest_event for log in read),
        "time_went_back": _went_back(read, times, last),
    }


def _went_back(read: t.Sequence[ReadLog], times: t.Sequence[int], last: _manifest.Manifest) -> bool:
    """Whether a transaction was committed at an earlier time than one before it, also one in *last*."""
    before = _manifest.parse_time(last.position["time"]).timestamp()
    if last.kind == "db_increment" and last.document["transactions"] and times and times[0] < before:
        return True
    return any(log.facts.went_back for log in read) or any(after < at for at, after in zip(times, times[1:]))


def _format(at: int) -> str:
    return _manifest.format_time(dt.datetime.fromtimestamp(at, dt.timezone.utc))


def _write_fingerprint(
    request: SealRequest,
    reservation: _publish.Reservation,
    fingerprint: _fingerprint.Fingerprint | None,
    read: t.Sequence[ReadLog],
    warnings: list[str],
) -> dict[str, t.Any]:
    fields: dict[str, t.Any] = {"companion": None, "fingerprint": None}
    if fingerprint is None:
        return fields
    if not any(log.name == fingerprint.file and fingerprint.position <= log.size for log in read):
        warnings.append(
            f"The increment has no fingerprint to compare a restore with: it was taken at {fingerprint.file}:"
            f"{fingerprint.position}, which this increment does not hold."
        )
        return fields
    try:
        fields["companion"] = _fingerprint.write_companion(request, reservation, fingerprint)
    except BackupError as exc:
        warnings.append(f"The increment has no fingerprint to compare a restore with. {exc}")
        return fields
    fields["fingerprint"] = _fingerprint.manifest_fields(fingerprint)
    return fields


__all__ = ("SealRequest", "describe_logs", "pack", "take_fingerprint")

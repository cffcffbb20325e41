# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of an artifact: schema version 1, unknown fields kept.

A manifest travels in clear: no amounts, no file names, no secrets in it. Published as
docs/schemas/manifest.schema.json.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import sys
import typing as t
import uuid

from . import _io, _names

SCHEMA_VERSION: t.Final = 1
KINDS: t.Final = ("db_full", "db_increment", "files_full", "files_increment", "config")
FILES_KINDS: t.Final = ("files_full", "files_increment", "config")

# Required beside the attributes of Manifest, by how the kind begins; a restore relies on them after it has begun to
# change its target.
_FIELDS: tuple[tuple[str, dict[str, type]], ...] = (
    ("", {"format": str, "tool_versions": dict}),
    ("db_", {"engine": str, "version": str, "server_id": int, "database": str, "start": dict, "end": dict}),
    ("db_full", {"schema_character_set": str, "schema_collation": str, "objects": dict}),
    ("db_full", {"longest_line": int, "ddl_guard": str}),
    ("db_increment", {"base": str, "previous": str, "files": list, "time_went_back": bool}),
    ("files_increment", {"base": str, "previous": str}),
)
# Of one binary log file of an increment of the database; ``end`` says how the server closed it.
_LOG_FILE: dict[str, type] = {"name": str, "size": int, "sha256": str, "identity": str, "end": str}
LOG_ENDS: t.Final = ("rotate", "stop", "crash")
_LOG_COUNTS: t.Final = ("transactions", "definitions", "largest_event")
_FILES_COUNTS: t.Final = (
    ("", ("entries", "deletions")),
    ("tree", ("entries", "bytes")),
    ("problems", ("changed", "vanished", "unreadable", "skipped")),
)
_COMPANION_HASHES: t.Final = ("sha256", "plain_sha256")
# Required too, but may be null.
_NULLABLE: tuple[tuple[str, dict[str, type]], ...] = (
    ("", {"encryption": dict, "base": str, "previous": str}),
    ("db_full", {"epoch_reason": str}),
)
# Shorter than what differs anyhow, as a SHA-256 does.
_LONG_TEXT: t.Final = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_BEGINNING = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


class ManifestError(ValueError):
    """The bytes are not a manifest that this version can use; the text says what is wrong with them."""


def format_time(time: dt.datetime) -> str:
    """ISO 8601 in UTC with seconds, as manifests write times."""
    return time.astimezone(dt.timezone.utc).strftime(_TIME_FORMAT)


def parse_time(text: str) -> dt.datetime:
    """The reverse of :func:`format_time`; raises ValueError."""
    return dt.datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=dt.timezone.utc)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A checked manifest; ``document`` is all of it, the attributes are what every kind has (sizes in bytes)."""

    document: t.Mapping[str, t.Any]
    artifact: str
    branch: str
    kind: str
    sequence: int
    epoch: str
    created_at: dt.datetime
    run_id: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str
    compression: str
    encrypted: bool
    set_number: int
    adopted_moment: dt.datetime | None

    @property
    def recovery_point(self) -> dt.datetime:
        """Up to when (UTC) this artifact restores what it is of."""
        return self.adopted_moment or self.created_at

    @property
    def order(self) -> tuple[int, dt.datetime, int]:
        """Orders artifacts of one kind: by number, never by clock; adopted ones have none and come first."""
        if self.adopted_moment is not None:
            return (0, self.adopted_moment, 0)
        return (1, _BEGINNING, self.sequence)

    @property
    def position(self) -> dict[str, t.Any]:
        """Where the database stood: ``file``, ``position``, ``gtid``, ``time`` (empty for files)."""
        end = self.document.get("end")
        return dict(end) if isinstance(end, dict) else {}


def parse_manifest(raw: bytes) -> Manifest:
    """Return the manifest in *raw*; raise ManifestError that says what is wrong."""
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_shared)
    except (ValueError, RecursionError) as exc:
        raise ManifestError("it is not JSON") from exc
    if not isinstance(document, dict):
        raise ManifestError("it is not a JSON object")
    return check_manifest(document)


def _shared(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    """An object whose fields and short texts are kept once for all manifests: a place may have tens of thousands."""
    return {sys.intern(key): sys.intern(each) if _is_short(each) else each for key, each in pairs}


def _is_short(value: t.Any) -> bool:
    return isinstance(value, str) and len(value) < _LONG_TEXT


def check_manifest(document: t.Mapping[str, t.Any]) -> Manifest:
    """Return *document* as a manifest; raise ManifestError for a missing, wrong or contradicting field."""
    version = _field(document, "schema", int)
    if version != SCHEMA_VERSION:
        raise ManifestError(f"its schema is {version}, this version reads {SCHEMA_VERSION}")
    artifact = _field(document, "artifact", str)
    name = _names.parse_name(artifact)
    if name is None:
        raise ManifestError("the field artifact is not an artifact's name")
    kind = _field(document, "kind", str)
    encryption = document.get("encryption")
    if kind != name.kind or document.get("compression") != name.compression or bool(encryption) != name.encrypted:
        raise ManifestError("kind, compression or encryption contradict the artifact's name")
    branch = _field(document, "branch", str)
    if not _names.is_branch_code(branch):
        raise ManifestError("the field branch is not a branch's code")
    _check_values(document)
    _check_kind(document, kind)
    adopted_moment = _check_adoption(document)
    return Manifest(
        document=document,
        artifact=artifact,
        branch=branch,
        kind=kind,
        sequence=document["sequence"],
        epoch=document["epoch"],
        created_at=_time(document, "created_at"),
        run_id=document["run_id"],
        size=document["size"],
        sha256=document["sha256"],
        plain_size=document["plain_size"],
        plain_sha256=document["plain_sha256"],
        compression=name.compression,
        encrypted=name.encrypted,
        set_number=_optional_count(document, "set"),
        adopted_moment=adopted_moment,
    )


def _check_adoption(document: t.Mapping[str, t.Any]) -> dt.datetime | None:
    """When the old file was begun, for an adopted artifact; only that one has the number 0."""
    sequence = _field(document, "sequence", int)
    if document.get("adopted") is None:
        if sequence < 1:
            raise ManifestError("the field sequence is out of range")
        return None
    if sequence != 0:
        raise ManifestError("the field sequence is not 0 in an adopted artifact")
    return _time(_field(document, "adopted", dict), "moment")


def _check_values(document: t.Mapping[str, t.Any]) -> None:
    for field in ("epoch", "run_id"):
        try:
            uuid.UUID(_field(document, field, str))
        except ValueError as exc:
            raise ManifestError(f"the field {field} is not a UUID") from exc
    for field in ("sha256", "plain_sha256"):
        if not _SHA256.fullmatch(_field(document, field, str)):
            raise ManifestError(f"the field {field} is not a SHA-256")
    for field in ("size", "plain_size"):
        _count(document, field)
    _time(document, "created_at")


def _check_kind(document: t.Mapping[str, t.Any], kind: str) -> None:
    for start, fields in (*_FIELDS, *_NULLABLE):
        for field, of_type in fields.items():
            null = field in document and document[field] is None and (start, fields) in _NULLABLE
            if kind.startswith(start) and not null:
                _field(document, field, of_type)
    if kind in FILES_KINDS:
        _check_files(document)
    elif document.get("companion") is not None:
        _check_companion(document)
        _check_fingerprint(_field(document, "fingerprint", dict))
    if kind == "db_increment":
        _check_logs(document)
    if kind == "db_full":
        counts = list(document["objects"].values())
        if not counts or any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts):
            raise ManifestError("the field objects has no counts")
        if "snapshot_at" in document:
            _time(document, "snapshot_at")


def _check_files(document: t.Mapping[str, t.Any]) -> None:
    for holder, fields in _FILES_COUNTS:
        part = _field(document, holder, dict) if holder else document
        for field in fields:
            _count(part, field)
    if document.get("companion") is None and document.get("adopted") is not None:
        return
    _check_companion(document)


def _check_companion(document: t.Mapping[str, t.Any]) -> None:
    companion = _field(document, "companion", dict)
    for field in ("size", "plain_size"):
        _count(companion, field)
    for field in _COMPANION_HASHES:
        if not _SHA256.fullmatch(_field(companion, field, str)):
            raise ManifestError(f"the field companion.{field} is not a SHA-256")


def _check_fingerprint(fingerprint: t.Mapping[str, t.Any]) -> None:
    _field(fingerprint, "file", str)
    _count(fingerprint, "position")
    _time(fingerprint, "taken_at")
    _field(fingerprint, "checksums", bool)
    if fingerprint.get("receipt") is not None:
        _field(fingerprint, "receipt", str)


def _check_logs(document: t.Mapping[str, t.Any]) -> None:
    for field in _LOG_COUNTS:
        _count(document, field)
    files = document["files"]
    if not files or any(not isinstance(each, dict) for each in files):
        raise ManifestError("the field files names no binary log file")
    for each in files:
        for field, of_type in _LOG_FILE.items():
            _field(each, field, of_type)
        if not all(_SHA256.fullmatch(each[field]) for field in ("sha256", "identity")) or each["end"] not in LOG_ENDS:
            raise ManifestError(f"the field files describes {each['name']} wrongly")
    for edge, name in (("start", files[0]["name"]), ("end", files[-1]["name"])):
        position = document[edge]
        if _field(position, "file", str) != name:
            raise ManifestError(f"the fields {edge} and files contradict each other")
        _count(position, "position")
        _time(position, "time")


def manifest_bytes(manifest: Manifest) -> bytes:
    """The exact bytes that are written and signed."""
    return _io.json_bytes(manifest.document)


def _time(document: t.Mapping[str, t.Any], name: str) -> dt.datetime:
    try:
        return parse_time(_field(document, name, str))
    except ManifestError:
        raise
    except ValueError as exc:
        raise ManifestError(f"the field {name} is not a time in UTC") from exc


def _count(document: t.Mapping[str, t.Any], name: str) -> int:
    value = _field(document, name, int)
    if value < 0:
        raise ManifestError(f"the field {name} is out of range")
    return value


def _optional_count(document: t.Mapping[str, t.Any], name: str) -> int:
    return 0 if document.get(name) is None else _count(document, name)


_T = t.TypeVar("_T")


def _field(document: t.Mapping[str, t.Any], name: str, kind: type[_T]) -> _T:
    value = document.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ManifestError(f"the field {name} is missing or not a {kind.__name__}")
    return value


__all__ = (
    "FILES_KINDS",
    "KINDS",
    "LOG_ENDS",
    "SCHEMA_VERSION",
    "Manifest",
    "ManifestError",
    "check_manifest",
    "format_time",
    "manifest_bytes",
    "parse_manifest",
    "parse_time",
)

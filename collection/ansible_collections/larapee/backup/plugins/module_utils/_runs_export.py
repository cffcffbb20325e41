# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run records that travel: what a branch writes for central beside its artifacts, signed.

``runs/<run id>.json`` is a row of ``backup_runs`` with ``schema`` and ``exported_at``; ``.json.sig`` beside it is the
branch's signature over its exact bytes, placed first.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import typing as t

from . import _clock, _dirfd, _io, _lock, _manifest, _signature
from ._errors import BackupError

DIRECTORY = "runs"
SCHEMA = 1
RECORD_LIMIT = 1024 * 1024
NAME = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.json", re.ASCII)
SIGNATURE_SUFFIX = ".sig"

_TEMPORARY = re.compile(r"\.[0-9a-f-]{36}\.json(\.sig)?\.\d+\.new", re.ASCII)
_LOCK_WAIT_S = 30.0
_DAY_S = 86400
# Rows are looked for by their start, files removed by their age: a run may last, and clocks are set.
_GRACE_S = _DAY_S


@dataclasses.dataclass(frozen=True)
class ExportRequest:
    """``records``: JSON text of a list of finished rows of ``branch``."""

    branch: str
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    keep_days: int
    records: str


@dataclasses.dataclass(frozen=True)
class ExportOutcome:
    """``taken``: of each run that lies there now its evidence; ``written`` of them were new, or are surer now."""

    taken: dict[str, int]
    written: int
    removed: int
    present: int


def export_runs(request: ExportRequest, *, check_mode: bool = False) -> ExportOutcome:
    """Write what is new of *records* into the place, and remove what is older than ``keep_days``."""
    documents = _documents(request)
    directory = os.path.join(request.local_path, DIRECTORY)
    if check_mode:
        new = [document for document in documents if _evidence_there(directory, document) < document["evidence"]]
        return ExportOutcome(taken={}, written=len(new), removed=0, present=0)
    lock = _lock.hold(request.state_path, f"runs-{request.branch}", run_id=request.run_id, wait_seconds=_LOCK_WAIT_S)
    with lock, _opened(directory) as held:
        written = 0
        for document in documents:
            if _evidence_there(held, document) < document["evidence"]:
                _write(held, document, signing_key=request.signing_key)
                written += 1
        removed = _remove_old(held, older_than=_clock.now().timestamp() - request.keep_days * _DAY_S - _GRACE_S)
        present = sum(NAME.fullmatch(name) is not None for name in os.listdir(held))
    taken = {document["run_id"]: document["evidence"] for document in documents}
    return ExportOutcome(taken=taken, written=written, removed=removed, present=present)


@contextlib.contextmanager
def _opened(directory: str) -> t.Iterator[str]:
    """A path into *directory* itself, made when it is missing, whatever takes its name meanwhile."""
    _io.ensure_directory(os.path.dirname(directory))
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    try:
        # Whoever runs this may be more than the owner of the place, who could have put a link here.
        descriptor, _status = _dirfd.open_directory(directory)
    except OSError as exc:
        raise BackupError(
            f"Failed to write run records into {directory}: {exc.strerror}. Let it be a directory of the account that "
            "takes the backups.",
            reason="no_directory",
        ) from exc
    try:
        yield f"/proc/self/fd/{descriptor}"
    except BackupError as exc:
        text = str(exc).replace(f"/proc/self/fd/{descriptor}", directory)
        raise BackupError(text, reason=exc.reason, facts=exc.facts) from exc
    finally:
        os.close(descriptor)


def _documents(request: ExportRequest) -> list[dict[str, t.Any]]:
    try:
        documents = json.loads(request.records)
        for document in documents:
            fits = NAME.fullmatch(f"{document['run_id']}.json") and document["branch"] == request.branch
            if not fits or document["evidence"] not in (1, 2):
                raise ValueError("one of them is no finished run of the branch")
    except (LookupError, TypeError, ValueError) as exc:
        raise BackupError(
            f"Failed to export runs of {request.branch}: the records cannot be used ({exc}). "
            "Let the role larapee.backup.export_runs hand them over.",
            reason="bad_records",
        ) from exc
    return list(documents)


def _evidence_there(directory: str, document: t.Mapping[str, t.Any]) -> int:
    """How sure the record is that lies there already; 0 where none does that could be read."""
    path = os.path.join(directory, f"{document['run_id']}.json")
    try:
        evidence = _io.read_json(path, limit=RECORD_LIMIT)["evidence"]
        return evidence if isinstance(evidence, int) and os.path.exists(path + SIGNATURE_SUFFIX) else 0
    except (OSError, ValueError, LookupError):
        return 0


def _write(directory: str, record: t.Mapping[str, t.Any], *, signing_key: str) -> None:
    document = {**record, "schema": SCHEMA, "exported_at": _manifest.format_time(_clock.now())}
    raw = _io.json_bytes(document)
    if len(raw) > RECORD_LIMIT:
        raw = _io.json_bytes({**document, "details": {"left_out": "too large to travel"}, "artifacts": []})
    path = os.path.join(directory, f"{record['run_id']}.json")
    # Central takes no record without its signature, so that one is there first.
    _io.write_file(path + SIGNATURE_SUFFIX, _signature.sign(raw, key=signing_key))
    _io.write_file(path, raw)


def _remove_old(directory: str, *, older_than: float) -> int:
    """Remove what is over age, each record before its signature; a crash leaves a signature alone, never a record."""
    removed = 0
    for name in sorted(os.listdir(directory)):
        is_record = NAME.fullmatch(name) is not None
        is_signature = NAME.fullmatch(name[: -len(SIGNATURE_SUFFIX)]) is not None and name.endswith(SIGNATURE_SUFFIX)
        if not is_record and not is_signature and _TEMPORARY.fullmatch(name) is None:
            continue
        path = os.path.join(directory, name)
        with contextlib.suppress(FileNotFoundError):
            # Nobody but the holder of the lock writes here: a temporary name is a crash's.
            if _TEMPORARY.fullmatch(name) is not None or os.lstat(path).st_mtime < older_than:
                os.unlink(path)
                removed += is_record
    return removed


__all__ = (
    "DIRECTORY",
    "NAME",
    "RECORD_LIMIT",
    "SCHEMA",
    "SIGNATURE_SUFFIX",
    "ExportOutcome",
    "ExportRequest",
    "export_runs",
)

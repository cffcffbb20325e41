# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adoption: dumps and archives that older cron lines left in a place are taken into its catalogue, where they lie.

No byte of them is changed: a manifest and its signature are put beside each. What no restore could use is refused by
name.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import re
import typing as t
import uuid

from . import _catalog, _clock, _lock, _making, _manifest, _names, _publish
from ._errors import BackupError
from ._manifest import Manifest
from ._moment import LocalTime
from ._old_file import NotAdoptableError, NotSettledError, OldFile, read_old_file

_NAMED: t.Final = 3


@dataclasses.dataclass(frozen=True)
class AdoptRequest:
    """What to adopt. ``time_zone`` is that of the file names, empty for this host's; a dump holds no collation."""

    branch: str
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    database: str
    allowed_signers: str | None = None
    time_zone: str = ""
    schema_character_set: str = "utf8mb4"
    schema_collation: str = "utf8mb4_unicode_ci"


@dataclasses.dataclass
class AdoptOutcome:
    """``adopted`` (in check mode: what would be), and by name why others were ``refused`` or left for ``later``."""

    place: str
    adopted: list[Manifest] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    later: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def failure(self) -> BackupError | None:
        """What somebody may count on, and cannot."""
        if not self.refused:
            return None
        named = "; ".join(f"{name}: {why}" for name, why in list(self.refused.items())[:_NAMED])
        more = f"; and {len(self.refused) - _NAMED} more" if len(self.refused) > _NAMED else ""
        return BackupError(
            f"Failed to adopt {len(self.refused)} of the files in {self.place}: {named}{more}. Do not count on them: "
            "take a full now, and move them out of the place.",
            reason="not_adopted",
        )

    def facts(self) -> dict[str, t.Any]:
        return {
            "adopted": [_facts(manifest) for manifest in self.adopted],
            "refused": self.refused,
            "later": self.later,
        }

    def report(self, *, check_mode: bool) -> dict[str, t.Any]:
        """What the recorder notes: they are old, so they give the branch no recovery point of today."""
        artifacts = [
            {"name": each.artifact, "size": each.size, "sha256": each.sha256}
            for each in ([] if check_mode else self.adopted)
        ]
        details = {**self.facts(), **({"warnings": self.warnings} if self.warnings else {})}
        return {"artifacts": artifacts, "recovery_point": None, "details": details}


def _facts(manifest: Manifest) -> dict[str, t.Any]:
    return {
        "artifact": manifest.artifact,
        "kind": manifest.kind,
        "recovery_point": _manifest.format_time(manifest.recovery_point),
        "size": manifest.size,
        "plain_size": manifest.plain_size,
    }


def adopt_place(request: AdoptRequest, *, check_mode: bool = False) -> AdoptOutcome:
    """Adopt every file of the place that is nobody's; raises BackupError when that cannot be done."""
    _making.check_signing(request)
    for name in (request.schema_character_set, request.schema_collation):
        if not re.fullmatch(r"\w+", name, re.ASCII):
            raise BackupError(
                f"Failed to use {name!r}: not the name of a character set or collation. Correct it.",
                reason="bad_collation",
            )
    local_time = LocalTime(request.time_zone)
    outcome = AdoptOutcome(place=request.local_path)
    epoch = str(uuid.uuid4())
    with contextlib.ExitStack() as stack:
        if not check_mode:
            for name, shared in ((f"adopt-{request.branch}", False), (f"restore-{request.branch}", True)):
                stack.enter_context(_lock.hold(request.state_path, name, run_id=request.run_id, shared=shared))
            _sweep(request.local_path)
        for name in _catalog.read_catalogue(request.local_path).unmanaged:
            try:
                outcome.adopted.append(
                    _adopt(request, name, local_time, epoch=epoch, outcome=outcome, check_mode=check_mode)
                )
            except NotAdoptableError as exc:
                outcome.refused[name] = str(exc)
            except NotSettledError as exc:
                outcome.later[name] = str(exc)
        if outcome.adopted and not check_mode:
            _catalog.write_checksums(_catalog.read_catalogue(request.local_path))
    if outcome.later:
        waiting = "; ".join(f"{name}: {why}" for name, why in outcome.later.items())
        outcome.warnings.append(f"Left for the next run: {waiting}.")
    return outcome


def _sweep(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _publish.sweep_beside(directory)


def _adopt(
    request: AdoptRequest,
    name: str,
    local_time: LocalTime,
    *,
    epoch: str,
    outcome: AdoptOutcome,
    check_mode: bool,
) -> Manifest:
    parsed = _names.parse_name(name)
    if parsed is None:
        raise ValueError(f"{name} is not the name of an artifact")
    path = os.path.join(request.local_path, name)
    found = read_old_file(path, parsed, now=_clock.now(), database=request.database)
    now = _clock.now()
    moment, latest = local_time.begun(name), min(found.written_at, now)
    if moment > latest:
        outcome.warnings.append(
            f"{name}: in {local_time.name} its name says {_manifest.format_time(moment)}, after its last change: "
            f"{_manifest.format_time(latest)} counts. Is the time zone that of the old cron line?"
        )
        moment = latest
    manifest = _manifest.check_manifest(_describe(request, name, parsed, found, moment=moment, now=now, epoch=epoch))
    if not check_mode:
        with _publish.reserve_beside(request.local_path, name, run_id=request.run_id) as reservation:
            raw = _manifest.manifest_bytes(manifest)
            reservation.publish_beside(manifest=raw, signature=_making.sign(request, raw, at=manifest.created_at))
    return manifest


def _describe(
    request: AdoptRequest,
    name: str,
    parsed: _names.ArtifactName,
    found: OldFile,
    *,
    moment: dt.datetime,
    now: dt.datetime,
    epoch: str,
) -> dict[str, t.Any]:
    position = {"time": _manifest.format_time(moment)}
    of_database = {
        "epoch_reason": "adopted",
        "server_id": 0,
        "schema_character_set": request.schema_character_set,
        "schema_collation": request.schema_collation,
        "ddl_guard": "none",
        "start": position,
        "end": position,
    }
    return {
        "schema": _manifest.SCHEMA_VERSION,
        "artifact": name,
        "branch": request.branch,
        "kind": parsed.kind,
        "format": "sql" if parsed.kind == "db_full" else "tar",
        "sequence": 0,
        "adopted": {"moment": _manifest.format_time(moment), "at": _manifest.format_time(now)},
        "epoch": epoch,
        "created_at": _manifest.format_time(now),
        "run_id": request.run_id,
        "size": found.stored.size,
        "sha256": found.stored.sha256,
        "plain_size": found.plain.size,
        "plain_sha256": found.plain.sha256,
        "compression": parsed.compression,
        "encryption": None,
        "base": None,
        "previous": None,
        **(of_database if parsed.kind == "db_full" else {}),
        **found.facts,
    }


__all__ = ("AdoptOutcome", "AdoptRequest", "adopt_place")

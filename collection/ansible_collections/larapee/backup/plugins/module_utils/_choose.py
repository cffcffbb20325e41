# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which full a restore uses, and why not another.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _intact, _manifest
from ._catalog import Catalogue, Entry
from ._errors import BackupError

LATEST: t.Final = "latest"


@dataclasses.dataclass(frozen=True)
class Choice:
    """``skipped`` maps newer artifacts that had to be passed over to what is wrong with them."""

    entry: Entry
    skipped: t.Mapping[str, str]


def choose_full(catalogue: Catalogue, *, branch: str, to: str, allowed_signers: str) -> Choice:
    """Return the newest intact full for *to*: ``latest``, or a time, GTID or position that a full stands at exactly.

    Raises BackupError with the way out when there is none. An older full is taken for ``latest`` when the newest is not
    intact; what that costs is for the caller to say.
    """
    fulls = list(reversed(catalogue.of_kind("db_full", branch=branch)))
    if not fulls:
        raise _none_at_all(catalogue, branch)
    if to != LATEST:
        fulls = [_at(fulls, to)]
    skipped: dict[str, str] = {}
    for entry in fulls:
        try:
            _intact.check_intact(entry, branch=branch, allowed_signers=allowed_signers)
            return Choice(entry=entry, skipped=skipped)
        except _intact.NotIntactError as exc:
            skipped[entry.name] = str(exc)
    reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
    raise BackupError(
        f"Failed to choose a full of {branch}: none is intact ({reasons}). Fetch the set from another place and verify "
        "it there.",
        reason="not_intact",
        facts={"skipped": skipped},
    )


def _none_at_all(catalogue: Catalogue, branch: str) -> BackupError:
    others = sorted({entry.manifest.branch for entry in catalogue.entries} - {branch})
    if others:
        return BackupError(
            f"Failed to choose a full: {catalogue.directory} holds backups of {', '.join(others)}, not of {branch}. "
            "Check larapee_backup_branch and larapee_backup_restore_source.",
            reason="wrong_branch",
        )
    damaged = "; ".join(f"{name}: {why}" for name, why in catalogue.problems.items())
    return BackupError(
        f"Failed to choose a full of {branch}: the catalogue of {catalogue.directory} has none"
        f"{f' ({damaged})' if damaged else ''}. Check larapee_backup_restore_source.",
        reason="nothing_to_restore",
    )


def _at(fulls: t.Sequence[Entry], to: str) -> Entry:
    """The full that stands exactly at *to*; the moments between are reached only by increments."""
    for entry in fulls:
        if to in _points(entry):
            return entry
    raise BackupError(
        f"Failed to restore to {to}: this catalogue holds fulls only, and none stands at that point. "
        f"{_nearest(fulls, to)} Give that time, or latest.",
        reason="target_out_of_reach",
    )


def _points(entry: Entry) -> list[str]:
    position = entry.manifest.position
    points = [_manifest.format_time(entry.manifest.recovery_point)]
    if entry.manifest.set_number:
        points.append(f"set:{entry.manifest.set_number}")
    if position.get("gtid"):
        points.append(f"gtid:{position['gtid']}")
    if position.get("file"):
        points.append(f"{position['file']}:{position.get('position')}")
    return points


def _nearest(fulls: t.Sequence[Entry], to: str) -> str:
    times = sorted(entry.manifest.recovery_point for entry in fulls)
    try:
        wanted = _manifest.parse_time(to)
    except ValueError:
        wanted = dt.datetime.max.replace(tzinfo=dt.timezone.utc)
    earlier = [time for time in times if time <= wanted]
    nearest = earlier[-1] if earlier else times[0]
    return f"The nearest that can be had is {_manifest.format_time(nearest)}."


__all__ = ("LATEST", "Choice", "choose_full")

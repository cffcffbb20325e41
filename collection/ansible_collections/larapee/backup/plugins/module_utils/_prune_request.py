# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people ask of retention, and what it has to tell them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import pwd
import socket
import typing as t

from . import _ledger, _manifest, _names, _retention
from ._errors import BackupError
from ._ledger import Ledger, Note
from ._retention import Drop, Kept
from ._sets import BackupSet

_NAMED = 3


@dataclasses.dataclass(frozen=True)
class PruneRequest:
    """What to prune, and what a person says: of sets by number, for the ``reason`` given; ``hold`` is its own reason.

    ``require_acknowledgement``: central must have what goes. ``quota_bytes``: 0 is none. ``excludes``: the name of a
    lock that is held while something is removed; ``lock``, with the branch, that of the one that a second run meets.
    ``results``: the directory where the same artifacts were verified, where that is another one.
    """

    branch: str
    directory: str
    allowed_signers: str
    state_path: str
    run_id: str
    keep_days: int = 7
    quota_bytes: int = 0
    require_acknowledgement: bool = False
    pin: tuple[int, ...] = ()
    unpin: tuple[int, ...] = ()
    acknowledge: tuple[int, ...] = ()
    lost: tuple[str, ...] = ()
    hold: str = ""
    release: bool = False
    reason: str = ""
    excludes: str = ""
    lock: str = "retention"
    results: str = ""


def check_request(request: PruneRequest) -> None:
    """Raise BackupError for what contradicts itself, or would keep less than a day."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    wrong = ""
    if request.keep_days < 1:
        wrong = (
            f"it is to keep {request.keep_days} days. Keep one at least (larapee_backup_retention_days, at central "
            "larapee_backup_central_retention_days)"
        )
    elif request.hold and request.release:
        wrong = "it is to hold and to release. Give one of them"
    elif set(request.pin) & set(request.unpin):
        wrong = "it is to pin and to unpin the same set. Give one of them"
    elif not all(map(_ledger.is_lost_name, request.lost)):
        wrong = "what is lost is named by kind and number, as verification says it. Give words such as 'db_full 7'"
    elif (request.pin or request.acknowledge or request.lost) and not request.reason.strip():
        wrong = "nobody says why. Give larapee_backup_retention_reason"
    if wrong:
        raise BackupError(f"Failed to prune {request.directory}: {wrong}.", reason="bad_request")


def require_one(branches: t.Sequence[str], wishes: t.Mapping[str, t.Any]) -> None:
    """Raise BackupError when *wishes*, which are about sets of one branch, are for many."""
    if len(branches) > 1 and any(wishes.values()):
        raise BackupError(
            f"Failed to prune {len(branches)} branches as asked: sets are pinned, acknowledged or held of one branch. "
            "Give larapee_backup_branches with that one alone.",
            reason="bad_request",
        )


def apply(request: PruneRequest, ledger: Ledger, sets: t.Sequence[BackupSet], *, now: dt.datetime) -> Ledger:
    """The ledger with what *request* says; raise BackupError for sets that are not there."""
    there = {each.number for each in sets if each.number}
    unknown = sorted({*request.pin, *request.acknowledge} - there) + sorted(
        set(request.unpin) - there - set(ledger.pinned)
    )
    if unknown:
        raise BackupError(
            f"Failed to find set {unknown[0]} of {request.branch} in {request.directory}: "
            f"{f'it has {min(there)} to {max(there)}' if there else 'no set there has a number'}. A set has the number "
            "of the run that began it with a full of the database or of the uploads; check mode lists them.",
            reason="no_such_set",
        )
    here = {f"{each.kind} {each.sequence}" for one in sets for each in one.own} & set(request.lost)
    if here:
        raise BackupError(
            f"Failed to accept the loss of {min(here)} of {request.branch}: it is in {request.directory}. Name only "
            "what verification says is missing.",
            reason="not_lost",
        )
    note: Note = {"reason": request.reason.strip(), "at": _manifest.format_time(now), "by": _who()}
    hold = ledger.hold or ({**note, "reason": request.hold.strip()} if request.hold.strip() else None)
    pinned = {**{number: note for number in request.pin}, **ledger.pinned}
    return dataclasses.replace(
        ledger,
        pinned={number: each for number, each in pinned.items() if number not in request.unpin},
        acknowledged={**{number: note for number in request.acknowledge}, **ledger.acknowledged},
        hold=None if request.release else hold,
        lost={**dict.fromkeys(request.lost, note), **ledger.lost},
    )


def failure(request: PruneRequest, drops: t.Sequence[Drop], kept: t.Sequence[Kept]) -> BackupError | None:
    """What has to end the run as failed after it did what it could; the gravest first."""
    found = [
        each
        for each in (
            _unacknowledged(request, [drop for drop in drops if drop.lost]),
            _stuck(request, [each for each in kept if each.code == _retention.NO_REPLACEMENT]),
            _waiting(request, [each for each in kept if each.code == _retention.NEEDS_ACKNOWLEDGEMENT]),
        )
        if each is not None
    ]
    if not found:
        return None
    return BackupError(" ".join(map(str, found)), reason=found[0].reason)


def _unacknowledged(request: PruneRequest, drops: t.Sequence[Drop]) -> BackupError | None:
    if not drops:
        return None
    lost = [manifest.recovery_point for drop in drops for manifest in drop.lost]
    first, last = _manifest.format_time(min(lost)), _manifest.format_time(max(lost))
    return BackupError(
        f"Failed to keep what central has not acknowledged: {request.directory} reached its quota, and "
        f"{_names_of(drops)} went. What {request.branch} had from {first} to {last} can be restored no more. Bring the "
        "pull back, or raise larapee_backup_local_quota.",
        reason="unacknowledged_pruned",
    )


def _stuck(request: PruneRequest, kept: t.Sequence[Kept]) -> BackupError | None:
    if not kept:
        return None
    return BackupError(
        f"Failed to replace {_names_of(kept)} in {request.directory}: no newer set is complete and intact "
        f"({kept[-1].why}). Nothing goes without a replacement. Verify this place and take a full now.",
        reason="no_replacement",
    )


def _waiting(request: PruneRequest, kept: t.Sequence[Kept]) -> BackupError | None:
    if not kept:
        return None
    return BackupError(
        f"Failed to replace {_names_of(kept)} in {request.directory}: {kept[-1].why}. Look at the shop: if that is "
        "right, acknowledge that newer set (larapee_backup_retention_acknowledge) or verify it with the restorer's "
        "identity; if it is not, restore.",
        reason="needs_acknowledgement",
    )


def _names_of(concerned: t.Sequence[Drop] | t.Sequence[Kept]) -> str:
    labels = [each.backup_set.label for each in concerned]
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return f"{', '.join(labels[:_NAMED])}{more}"


def _who() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


__all__ = ("PruneRequest", "apply", "check_request", "failure", "require_one")

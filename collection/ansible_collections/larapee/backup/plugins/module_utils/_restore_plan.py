# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore of the database is going to do, and what a person has to know before it does.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from . import _aim, _estimate, _log_replay, _manifest, _sequence
from ._aim import Seeker
from ._binlog import _names
from ._catalog import Catalogue, Entry
from ._choose import Choice
from ._target import Target

# For the steps that read or write SQL, the log is counted as what it adds to the full.
_SQL_STEPS: t.Final = ("prove", "transfer")


def log_bytes(choice: Choice) -> int:
    """Bytes of the log files that follow the full, its own file included."""
    first = _names.log_number(str(choice.full.manifest.position["file"])) if choice.increments else 0
    files = [each for entry in choice.increments for each in entry.manifest.document["files"]]
    return sum(int(each["size"]) for each in files if _names.log_number(each["name"]) >= first)


def sizes(choice: Choice) -> dict[str, int]:
    """By step, the bytes that it works on."""
    plain = choice.full.manifest.plain_size
    stored = {"choose": sum(entry.manifest.size for entry in choice.entries)}
    if not choice.increments:
        return {**stored, "open": plain, "transfer": plain}
    logs = log_bytes(choice)
    return {
        **stored,
        "walk": logs,
        "start": 1,
        "load": plain,
        "replay": logs,
        **dict.fromkeys(_SQL_STEPS, plain + logs),
    }


def recovery_point(choice: Choice, seeker: Seeker | None) -> dt.datetime:
    """Up to when (UTC) everything is there that was committed."""
    if not choice.increments:
        return choice.full.manifest.recovery_point
    wish = choice.wish
    if wish.time is not None:
        return min(wish.time, choice.until)
    if wish.number is not None:
        return choice.entries[-1].manifest.recovery_point
    if wish.is_latest or seeker is None or seeker.last is None:
        return choice.until
    return seeker.last.time


def make_plan(
    choice: Choice, seeker: Seeker | None, target: Target, *, state_path: str, scratch: str | None
) -> dict[str, t.Any]:
    """The plan; without a *seeker* the log was not opened, and only its end is known. *scratch*: the directory."""
    full = choice.full.manifest
    point = _manifest.format_time(recovery_point(choice, seeker))
    return {
        "artifact": choice.full.name,
        "artifacts": [entry.name for entry in choice.entries],
        # The files of that moment are restored with it: those of the full's own set would lack what rows name.
        "set": choice.wish.number or choice.entries[-1].manifest.set_number,
        "branch": full.branch,
        "to": choice.wish.text,
        "recovery_point": point,
        "position": _stop(choice, seeker),
        "transactions": 0 if not choice.increments else None if seeker is None else seeker.count,
        "next_transaction": seeker.following.document() if seeker and seeker.following else None,
        "fingerprint": _fingerprint(choice, seeker),
        "plain_size": full.plain_size,
        "log_bytes": log_bytes(choice) if choice.increments else 0,
        "scratch": scratch if choice.increments else None,
        "expected": _estimate.expected(state_path, sizes(choice)),
        "server": target.where,
        "engine": target.server.engine,
        "version": target.server.version,
        "database": target.database,
        "replaces": None if target.empty or target.schema is None else target.schema.objects,
        "lost": _lost(choice, seeker, point),
        # What had to be passed over although it was chosen first, by name, and why.
        "skipped": dict(choice.skipped),
        # Why the chain ends although something later is there.
        "broken": choice.broken,
    }


def _stop(choice: Choice, seeker: Seeker | None) -> dict[str, t.Any]:
    """The last transaction that comes back: ``file``, ``position``, ``gtid``, ``time``."""
    if seeker is not None and seeker.last is not None:
        return seeker.last.document()
    last = choice.entries[-1] if choice.increments and seeker is None else choice.full
    return last.manifest.position


def _fingerprint(choice: Choice, seeker: Seeker | None) -> dict[str, t.Any] | None:
    """The nearest fingerprint at or before the stop; None: nobody knows the last receipt."""
    if not choice.increments:
        return None
    found = _log_replay.fingerprints(choice.entries, following=seeker.following if seeker is not None else None)
    if not found:
        return None
    told = found[0].manifest.document["fingerprint"]
    kept = {key: told.get(key) for key in ("file", "position", "gtid", "taken_at", "receipt", "checksums")}
    return {"artifact": found[0].name, **kept}


def _lost(choice: Choice, seeker: Seeker | None, point: str) -> str:
    if not choice.increments:
        return f"Everything after {point} (UTC) is not in this full."
    if seeker is not None and seeker.following is not None:
        return f"The transaction {seeker.following} and everything after it does not come back."
    return f"Everything after {point} (UTC) is in no artifact of this chain."


def warn(choice: Choice, catalogue: Catalogue, *, state_path: str) -> list[str]:
    """Say it when something newer or better than what is used is known: what came after is lost with the choice."""
    full = choice.full
    warnings = []
    if full.manifest.adopted_moment is not None:
        warnings.append(
            f"{full.name} was adopted from an older cron line: nobody has proven it, and routines and events "
            "are not in it when the old command left them out."
        )
    passed_over = {name: why for name, why in choice.skipped.items() if _is_newer_full(name, catalogue, full)}
    if passed_over and choice.increments:
        why = "; ".join(f"{name}: {text}" for name, text in passed_over.items())
        warnings.append(
            f"The older full {full.name} is used with {len(choice.increments)} increments, because a newer full cannot "
            f"be ({why})."
        )
    if choice.wish.text == _aim.LATEST:
        warnings += _warn_of_latest(choice, catalogue, state_path, passed_over)
    return warnings


def _is_newer_full(name: str, catalogue: Catalogue, full: Entry) -> bool:
    found = [entry.manifest for entry in catalogue.entries if entry.name == name]
    return any(each.kind == "db_full" and each.order > full.manifest.order for each in found)


def _warn_of_latest(
    choice: Choice, catalogue: Catalogue, state_path: str, passed_over: t.Mapping[str, str]
) -> list[str]:
    branch = choice.full.manifest.branch
    reported = passed_over if choice.increments else {}
    newer = [f"{name}: {why}" for name, why in choice.skipped.items() if name not in reported]
    newer += [f"{name}: {why}" for name, why in catalogue.problems.items()]
    if choice.broken is not None and not newer:
        newer.append(choice.broken)
    given = _sequence.last_given(state_path, branch=branch, kind="db_full")
    highest = catalogue.last_sequence("db_full", branch=branch)
    if given > highest:
        newer.append(f"this host made a full number {given}, the highest here is {highest}")
    if not newer:
        return []
    return [
        f"NOT all that was backed up is restored: everything after {_manifest.format_time(choice.until)} (UTC) is "
        f"missing ({'; '.join(newer)}). Look for it at another place before the shop opens."
    ]


__all__ = ("log_bytes", "make_plan", "recovery_point", "sizes", "warn")

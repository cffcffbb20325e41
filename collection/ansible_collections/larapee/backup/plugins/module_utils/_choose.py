# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which full and which increments a restore of the database uses, and why not others.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from . import _db_chain, _intact, _manifest, _reach
from ._aim import LATEST, Wish, parse_wish
from ._catalog import Catalogue, Entry
from ._db_chain import DbChain
from ._errors import BackupError

# Up to when (UTC) nothing came after an artifact: its name, and what a signed tip says of it.
Current = t.Optional[tuple[str, dt.datetime]]


@dataclasses.dataclass(frozen=True)
class Choice:
    """``increments`` follow ``full`` in order; without any, the full itself is what was wished for.

    ``skipped`` maps artifacts that had to be passed over to what is wrong with them; ``broken`` says why the chain goes
    no further although there is something later; ``until`` is what all of it restores.
    """

    wish: Wish
    full: Entry
    increments: tuple[Entry, ...]
    skipped: t.Mapping[str, str]
    broken: str | None
    until: dt.datetime

    @property
    def entry(self) -> Entry:
        return self.full

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (self.full, *self.increments)


def choose(
    catalogue: Catalogue,
    *,
    branch: str,
    to: str,
    allowed_signers: str,
    current: Current = None,
    excluded: t.Mapping[str, str] | None = None,
) -> Choice:
    """Return what restores *to*: ``latest``, a time, GTID, position or set; each artifact of it is intact.

    An older full is taken when a newer one is not intact or in *excluded* (by name, why); what that costs is for the
    caller to say. Raises BackupError with the way out when there is nothing.
    """
    own = {
        entry.name: entry for kind in ("db_full", "db_increment") for entry in catalogue.of_kind(kind, branch=branch)
    }
    fulls = [entry for entry in own.values() if entry.manifest.kind == "db_full"]
    if not fulls:
        raise _none_at_all(catalogue, branch)
    checking = _Checking(branch, allowed_signers)
    exact = [entry for entry in reversed(fulls) if to in _points(entry)]
    wish = parse_wish(to)
    # A full also holds what was committed after its own moment, until its snapshot: by a time it is the last resort.
    if exact and (wish is None or wish.time is None):
        return _itself(exact[0], checking, branch)
    bad = dict(excluded or {})
    while True:
        chains, _astray = _db_chain.db_chains((entry.manifest for entry in own.values()), unusable=bad)
        if not chains and excluded:
            chains, _astray = _db_chain.db_chains((entry.manifest for entry in own.values()), unusable=checking.bad)
            raise _out_of_reach(to, branch, chains, current, {**checking.bad, **excluded})
        if not chains:
            raise _none_intact(branch, bad)
        found = _reach.pick(wish, chains, current) if wish is not None else None
        if found is None and exact:
            return _itself(exact[0], checking, branch)
        if found is None:
            raise _out_of_reach(to, branch, chains, current, {**checking.bad, **(excluded or {})})
        chain, length = found
        wrong = {each.artifact: checking.why_not(own[each.artifact]) for each in chain.artifacts[:length]}
        failed = {name: why for name, why in wrong.items() if why is not None}
        if not failed:
            break
        bad.update(failed)
    used = [own[each.artifact] for each in chain.artifacts[:length]]
    skipped = {name: why for name, why in bad.items() if name in checking.bad or own[name].manifest.kind == "db_full"}
    return Choice(
        wish=t.cast(Wish, wish),
        full=used[0],
        increments=tuple(used[1:]),
        skipped=skipped,
        broken=chain.broken,
        until=_reach.until(chain, current),
    )


def _itself(full: Entry, checking: _Checking, branch: str) -> Choice:
    why = checking.why_not(full)
    if why is not None:
        raise _none_intact(branch, {full.name: why})
    return Choice(Wish(LATEST), full, (), {}, None, full.manifest.recovery_point)


class _Checking:
    """Judges each artifact once: checking reads all of it. A lost companion is no reason to lose the artifact too."""

    def __init__(self, branch: str, allowed_signers: str) -> None:
        self._branch = branch
        self._allowed_signers = allowed_signers
        self._judged: dict[str, str | None] = {}

    @property
    def bad(self) -> dict[str, str]:
        return {name: why for name, why in self._judged.items() if why is not None}

    def why_not(self, entry: Entry) -> str | None:
        if entry.name not in self._judged:
            self._judged[entry.name] = self._judge(entry)
        return self._judged[entry.name]

    def _judge(self, entry: Entry) -> str | None:
        try:
            _intact.check_signed(entry, branch=self._branch, allowed_signers=self._allowed_signers)
            _intact.check_bytes(entry)
        except _intact.NotIntactError as exc:
            return str(exc)
        return None


def _none_intact(branch: str, skipped: t.Mapping[str, str]) -> BackupError:
    reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
    return BackupError(
        f"Failed to choose a full of {branch}: none is intact ({reasons}). Fetch the set from another place and verify "
        "it there.",
        reason="not_intact",
        facts={"skipped": dict(skipped)},
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


def _points(entry: Entry) -> list[str]:
    """What names the full itself: its moment, set and position."""
    position = entry.manifest.position
    points = [_manifest.format_time(entry.manifest.recovery_point)]
    if entry.manifest.set_number:
        points.append(f"set:{entry.manifest.set_number}")
    if position.get("gtid"):
        points.append(f"gtid:{position['gtid']}")
    if position.get("file"):
        points.append(f"{position['file']}:{position.get('position')}")
    return points


def _out_of_reach(
    to: str, branch: str, chains: t.Sequence[DbChain], current: Current, bad: t.Mapping[str, str]
) -> BackupError:
    reasons = "; ".join(f"{name}: {why}" for name, why in bad.items())
    gone = f" (not usable: {reasons})" if reasons else ""
    return BackupError(
        f"Failed to restore {branch} to {to}: nothing here reaches that point{gone}. "
        f"{_reach.nearest(to, chains, current)} Give latest, a time in UTC such as 2026-11-22T14:32:10Z, set:N, gtid:X "
        "or file:position within that, or look at another place.",
        reason="target_out_of_reach",
        facts={"skipped": dict(bad)},
    )


__all__ = ("LATEST", "Choice", "Current", "choose")

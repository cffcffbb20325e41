# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pull from one branch: bring what it has, adopt what is whole, acknowledge it, and say how the branch stands.

What a sweep found out is remembered, so that the next one with nothing new reads no artifact and starts no ssh-keygen.
The memory decides nothing that is dangerous: lost, everything is judged again.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import typing as t

from . import _clock, _incoming, _io, _lock, _manifest, _quarantine, _rsync, _standing, _tip
from ._errors import BackupError
from ._incoming import Verdict
from ._rsync import Way

LOG: t.Final = "log"
ALL: t.Final = "all"
# What the five-minute pull leaves to the hourly one: a large full must not hold up the next quarter of an hour.
LOG_MAX_SIZE: t.Final = 64 * 1024 * 1024
_ACKNOWLEDGE_SECONDS = 60.0
_ACKNOWLEDGE_AGAIN = dt.timedelta(hours=24)
# Of another schema it is lost, which costs another look.
_MEMORY_SCHEMA = 2
_MEMORY_LIMIT = 64 * 1024 * 1024
# Two hourly pulls: what the five-minute one leaves for its size has come by then.
_WAIT_LIMIT = dt.timedelta(hours=2)
_LOCK_WAIT = 60.0
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class PullRequest:
    """One branch; ``deadline`` in seconds, ``reserve`` in bytes, ``max_age`` in seconds, ``bandwidth`` in KiB/s."""

    way: Way
    central_path: str
    allowed_signers: str
    state_path: str
    run_id: str
    scope: str = ALL
    deadline: float = 3000.0
    reserve: int = 1 << 30
    max_age: int = 900
    bandwidth: int = 0

    @property
    def branch(self) -> str:
        return self.way.branch


def pull(request: PullRequest, *, check_mode: bool = False) -> dict[str, t.Any]:
    """The report of one pull; raises BackupError when nothing could be done at all."""
    for name in ("incoming", "branches"):
        path = os.path.join(request.central_path, name, request.branch)
        if not os.path.isdir(path):
            raise BackupError(
                f"Failed to pull from {request.branch}: there is no {path}. Prepare central for it (central_prepare).",
                reason="no_place",
            )
    with contextlib.ExitStack() as stack:
        if not check_mode:
            name = f"fetch-{request.scope}-{request.branch}"
            stack.enter_context(_lock.hold(request.state_path, name, run_id=request.run_id))
        return _Pull(request).run(check_mode=check_mode)


class _Pull:
    def __init__(self, request: PullRequest) -> None:
        self._request = request
        place = os.path.join(request.central_path, "branches", request.branch)
        self._inbox = _incoming.Inbox(
            branch=request.branch,
            incoming=os.path.join(request.central_path, "incoming", request.branch),
            place=place,
            staging=os.path.join(place, _incoming.STAGING + request.scope),
            state_path=request.state_path,
            run_id=request.run_id,
            allowed_signers=request.allowed_signers,
        )
        self._now = _clock.now()
        self._memory = self._load()
        self._errors: list[BackupError] = []
        self._details: dict[str, t.Any] = {"place": "central", "scope": request.scope}
        self._adopted: list[str] = []

    def run(self, *, check_mode: bool) -> dict[str, t.Any]:
        with self._noting_errors():
            self._fetch(check_mode=check_mode)
        # A transfer may take an hour, in which a pull beside it brings a tip.
        self._now = _clock.now()
        if not check_mode:
            with self._noting_errors():
                self._adopt()
            with self._noting_errors():
                self._take_tip()
        standing = self._standing(write=not check_mode)
        tip = _standing.tip(self._inbox.place)
        if not check_mode:
            self._require_word(tip)
            self._acknowledge(standing)
            self._save()
        return self._report(standing, tip)

    @contextlib.contextmanager
    def _noting_errors(self) -> t.Iterator[None]:
        """What came before an error stands all the same, and what comes after it is done all the same."""
        try:
            yield
        except BackupError as exc:
            self._errors.append(exc)

    def _fetch(self, *, check_mode: bool) -> None:
        request = self._request
        _rsync.fetch(
            request.way,
            self._inbox.incoming,
            deadline=request.deadline,
            reserve=request.reserve,
            max_size=LOG_MAX_SIZE if request.scope == LOG else 0,
            bandwidth=request.bandwidth,
            dry_run=check_mode,
        )

    def _alone(self) -> t.ContextManager[None]:
        """Beside the other kind of pull, and retention, which change the same place."""
        name = f"pull-{self._request.branch}"
        return _lock.hold(self._request.state_path, name, run_id=self._request.run_id, wait_seconds=_LOCK_WAIT)

    def _adopt(self) -> None:
        candidates = _incoming.candidates(self._inbox)
        signers = self._signers()
        known = self._memory["verdicts"] if self._memory["signers"] == signers else {}
        settled = (_incoming.ADOPTED, _incoming.PRUNED, _incoming.REFUSED)
        new = {
            name: stamp
            for name, stamp in candidates.items()
            if name not in known or known[name][0] != stamp or known[name][1] not in settled
        }
        verdicts: list[Verdict] = []
        if new:
            adopter = _incoming.Adopter(self._inbox, _quarantine.keep)
            # Known also when something ends it half-way.
            self._adopted = adopter.placed
            verdicts = adopter.adopt(new)
        kept = {name: known[name] for name in candidates if name in known and name not in new}
        self._judge(verdicts, kept)
        self._memory.update(signers=signers, verdicts=kept)

    def _judge(self, verdicts: t.Sequence[Verdict], kept: dict[str, list[str]]) -> None:
        before = self._memory["verdicts"]
        new_refusals, waiting, late = {}, {}, {}
        for each in verdicts:
            earlier = before.get(each.name, ["", "", "", ""])
            since = earlier[3] if earlier[1] == each.status else _manifest.format_time(self._now)
            kept[each.name] = [each.stamp, each.status, each.why, since]
            if each.status == _incoming.REFUSED:
                new_refusals[each.name] = each.why
            elif each.status == _incoming.WAITING:
                waiting[each.name] = each.why
                if self._now - _manifest.parse_time(since) > _WAIT_LIMIT:
                    late[each.name] = each.why
        refused = {name: facts[2] for name, facts in kept.items() if facts[1] == _incoming.REFUSED}
        self._details.update(
            adopted=len(self._adopted),
            held=len(kept),
            waiting=waiting,
            refused=dict(sorted(refused.items())[-20:]),
            pruned_before=sum(facts[1] == _incoming.PRUNED for facts in kept.values()),
        )
        if new_refusals:
            self._errors.append(
                BackupError(
                    f"Failed to adopt {_some(new_refusals)}. Copies are in central's quarantine. Look whether "
                    f"{self._request.branch} is still itself, and at allowed_signers (enrol).",
                    reason="refused",
                )
            )
        if late:
            self._errors.append(
                BackupError(
                    f"Failed to complete {_some(late)}, for hours. Look at what the branch has of it, and at the last "
                    "hourly pull.",
                    reason="incomplete",
                )
            )

    def _take_tip(self) -> None:
        """The branch's word on where it stands; never an older one than central has."""
        incoming = self._inbox.incoming
        try:
            raw = _io.read_small(os.path.join(incoming, _tip.NAME))
            signatures = _tip.read_signatures(incoming)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as exc:
            self._details["tip"] = f"it cannot be read: {exc}"
            return
        if raw == _standing.raw_tip(self._inbox.place):
            return
        why = "it has no signature"
        for signature in signatures:
            try:
                document = _tip.checked(
                    raw, [signature], branch=self._request.branch, allowed_signers=self._request.allowed_signers
                )
            except ValueError as exc:
                why = str(exc)
                continue
            created_at = _manifest.parse_time(document["created_at"])
            if created_at > self._now + _incoming.FUTURE:
                why = "it was signed in the future: check the clocks of branch and central"
                continue
            with self._alone():
                known = _standing.tip(self._inbox.place)
                if known is None or created_at >= _manifest.parse_time(known["created_at"]):
                    _tip.place(self._inbox.place, raw, signature)
                    return
            why = "it is older than the one that central has"
        self._details["tip"] = why

    def _standing(self, *, write: bool) -> dict[str, t.Any]:
        """As :func:`_standing.read` has it, from the memory while nobody changed the place."""
        known: dict[str, t.Any] = self._memory["standing"]
        if known.get("changed") == _standing.changed_at(self._inbox.place):
            return known
        if write:
            with self._noting_errors(), self._alone():
                _standing.write_checksums(self._inbox.place)
        self._memory["standing"] = known = _standing.read(self._inbox.place, branch=self._request.branch)
        return known

    def _acknowledge(self, standing: t.Mapping[str, t.Any]) -> None:
        """Tell the branch what central holds of what lies there: its retention waits for that.

        What verification found damaged here is not held: the branch's copy may be the last good one.
        """
        damaged = set(standing["damaged"])
        held = {
            name: standing["held"][name][0]
            for name, facts in self._memory["verdicts"].items()
            if facts[1] == _incoming.ADOPTED and name in standing["held"] and name not in damaged
        }
        document = {"schema": 1, "branch": self._request.branch, "artifacts": held}
        raw = json.dumps(document, sort_keys=True).encode()
        digest = hashlib.sha256(raw).hexdigest()
        known = self._memory["acknowledged"]
        with contextlib.suppress(LookupError, ValueError):
            if known["sha256"] == digest and self._now - _manifest.parse_time(known["at"]) < _ACKNOWLEDGE_AGAIN:
                return
        if not held or any(each.reason == "not_reached" for each in self._errors):
            return
        try:
            _rsync.acknowledge(self._request.way, raw, deadline=_ACKNOWLEDGE_SECONDS)
        except BackupError as exc:
            self._details["not_acknowledged"] = str(exc)
        else:
            self._memory["acknowledged"] = {"sha256": digest, "at": _manifest.format_time(self._now)}

    def _require_word(self, tip: t.Mapping[str, t.Any] | None) -> None:
        limit = self._request.max_age
        if tip is not None and self._now - _manifest.parse_time(tip["created_at"]) <= dt.timedelta(seconds=limit):
            return
        since = (
            "it never said where it stands" if tip is None else f"it last said where it stands at {tip['created_at']}"
        )
        self._errors.append(
            BackupError(
                f"Failed to hear from {self._request.branch}: {since}, and {limit} seconds are the limit. Look at the "
                "branch's timers and its last runs.",
                reason="not_delivered",
            )
        )

    def _report(self, standing: t.Mapping[str, t.Any], tip: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
        held = standing["held"]
        report: dict[str, t.Any] = {
            "artifacts": [
                {"name": name, "sha256": held[name][0], "size": held[name][1]} for name in self._adopted if name in held
            ],
            "recovery_point": _standing.recovery_point(standing, tip),
            "details": {**self._details, "tip_at": None if tip is None else tip["created_at"]},
        }
        if self._errors:
            report["error"] = " ".join(str(each) for each in self._errors)
            report["details"]["reason"] = self._errors[0].reason
        return report

    def _signers(self) -> str:
        try:
            return hashlib.sha256(_io.read_small(self._request.allowed_signers)).hexdigest()
        except (OSError, ValueError) as exc:
            raise BackupError(
                f"Failed to read allowed signers {self._request.allowed_signers}: {exc}. Enrol the branches (enrol).",
                reason="no_allowed_signers",
            ) from exc

    @property
    def _path(self) -> str:
        return os.path.join(self._request.state_path, "pulled", f"{self._request.branch}-{self._request.scope}.json")

    def _load(self) -> dict[str, t.Any]:
        empty: dict[str, t.Any] = {"signers": "", "verdicts": {}, "standing": {}, "acknowledged": {}}
        try:
            document = _io.read_json(self._path, limit=_MEMORY_LIMIT)
        except (OSError, ValueError):
            return empty
        if document.get("schema") != _MEMORY_SCHEMA:
            return empty
        usable = all(type(document.get(key)) is type(empty[key]) for key in empty)
        return {key: document[key] for key in empty} if usable else empty

    def _save(self) -> None:
        _io.ensure_directory(os.path.dirname(self._path))
        _io.write_json(self._path, {"schema": _MEMORY_SCHEMA, **self._memory}, durable=False)


def _some(problems: t.Mapping[str, str]) -> str:
    named = [f"{name} ({why})" for name, why in sorted(problems.items())]
    return "; ".join(named[:_NAMED]) + (f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else "")


__all__ = ("ALL", "LOG", "LOG_MAX_SIZE", "PullRequest", "pull")

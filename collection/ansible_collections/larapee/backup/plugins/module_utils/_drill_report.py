# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill proved: every step with its result, and green only when each of them was done and right.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

OK: t.Final = "OK"
FAILED: t.Final = "FAILED"
NOT_RUN: t.Final = "NOT RUN"
# By decision, which the row tells; whoever looks for a proof of it finds none.
LEFT_OUT: t.Final = "left out"
_NAMED: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Drill:
    """``steps`` as they were done, with ``name``, ``result``, ``seconds`` and ``why``; ``planned`` those that are due.

    ``plans``: of ``database``, ``uploads``, ``config`` what was restored. ``known_set``: the highest set of which a row
    tells; ``missing``: an artifact that the branch's tip names and that is not there.
    """

    branch: str
    steps: t.Sequence[t.Mapping[str, t.Any]]
    planned: t.Sequence[str]
    left_out: t.Sequence[str]
    plans: t.Mapping[str, t.Mapping[str, t.Any]]
    known_set: int
    missing: str
    rto: float


def judge(drill: Drill) -> dict[str, t.Any]:
    """The report for the recorder; it has an ``error`` unless the drill is green."""
    done = {str(each["name"]): dict(each) for each in drill.steps}
    done.update({str(each["name"]): each for each in _looked_at(drill)})
    failed = next((name for name in drill.planned if done.get(name, {}).get("result") == FAILED), None)
    steps = [_step(name, done, drill.left_out, failed) for name in drill.planned]
    total = round(sum(float(each["seconds"]) for each in steps), 1)
    bad = [each for each in steps if each["result"] not in (OK, LEFT_OUT)]
    details: dict[str, t.Any] = {
        "steps": steps,
        "total_s": total,
        "rto_s": drill.rto,
        "within_rto": total <= drill.rto,
        "green": not bad and total <= drill.rto,
        "set": drill.plans.get("database", {}).get("set"),
        # With the seconds of that step it is the speed by which status tells how much fits the objective.
        "database_bytes": drill.plans.get("database", {}).get("plain_size"),
    }
    report: dict[str, t.Any] = {"kind": "drill", "details": details}
    point = drill.plans.get("database", {}).get("recovery_point")
    if point:
        report["recovery_point"] = point
    if bad:
        # What failed tells more than what therefore was not run.
        first = next((each for each in bad if each["result"] == FAILED), bad[0])
        details["reason"] = first.get("reason") or ("not_run" if first["result"] == NOT_RUN else first["name"])
        report["error"] = _describe(drill.branch, sorted(bad, key=lambda each: each is not first))
    elif total > drill.rto:
        details["reason"] = "over_rto"
        report["error"] = (
            f"Failed to prove {drill.branch} within the objective: it took {total:.0f} s, and {drill.rto:.0f} s are "
            "allowed. See the seconds of each step in the row."
        )
    return report


def _step(
    name: str, done: t.Mapping[str, dict[str, t.Any]], left_out: t.Collection[str], failed: str | None
) -> dict[str, t.Any]:
    if name in left_out:
        return {"name": name, "result": LEFT_OUT, "seconds": 0.0, "why": "by configuration"}
    if name in done:
        return done[name]
    why = f"{failed} failed before it" if failed else "nothing says that it was done"
    return {"name": name, "result": NOT_RUN, "seconds": 0.0, "why": why}


def _looked_at(drill: Drill) -> list[dict[str, t.Any]]:
    """What needs no doing: it shows in what was restored."""
    database = drill.plans.get("database")
    if not database:
        return []
    compared = {"name": "fingerprint", "result": OK, "seconds": 0.0}
    differences = list(database.get("differences") or [])
    if differences:
        compared.update(result=FAILED, reason="not_equal", why="; ".join(differences[:_NAMED]))
    elif not database.get("compared"):
        compared.update(result=NOT_RUN, why="no fingerprint lies on the way, so that nothing was compared")
    newest = {"name": "newest", "result": OK, "seconds": 0.0}
    reason, why = _older(drill, database)
    if reason:
        newest.update(result=FAILED, reason=reason, why=why)
    return [compared, newest]


def _older(drill: Drill, database: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """Reason and words when what was restored is not the newest that is known; empty when it is."""
    skipped = {name: why for plan in drill.plans.values() for name, why in dict(plan.get("skipped") or {}).items()}
    if skipped:
        told = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:_NAMED])
        return "not_intact", f"older artifacts had to be taken ({told})"
    if database.get("broken"):
        return "broken_chain", f"the chain ends too early ({database['broken']})"
    highest = int(database.get("set") or 0)
    if highest < drill.known_set:
        return "stale_set", f"the newest set there is {highest}, and set {drill.known_set} is known"
    if drill.missing:
        return "stale_set", f"the branch signed that {drill.missing} is its newest artifact, and it is not there"
    return "", ""


def _describe(branch: str, bad: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    told = "; ".join(f"{each['name']} {each['result']}: {each.get('why', 'no word')}" for each in bad[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return f"Failed to prove {branch}: {told}{more}. Its backups count as not proven until a drill is green."


__all__ = ("FAILED", "LEFT_OUT", "NOT_RUN", "OK", "Drill", "judge")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._record import ARTIFACT_KINDS, KINDS, RunRecord, one_line

_FAILURES_KEPT = 20
# The last name and the first characters say enough; an address list of a thousand hosts does not belong into a row.
_HOSTS_NAMED = 5
# What else a run of a kind does on its way.
_PARTS = {"drill": ("restore", "verify")}


@dataclass(frozen=True)
class Failure:
    """One failed or unreachable task of one host: never more of its result than the first line of its message."""

    host: str
    task: str
    message: str
    unreachable: bool = False
    reason: str | None = None
    holder: str | None = None
    # As the host's variables say it: all that is known of a host that failed before the guard spoke for it.
    branch: str | None = None
    kind: str | None = None
    # What failed on the same host after it, while the play saved what it could.
    later: tuple[Failure, ...] = ()

    def line(self) -> str:
        if self.unreachable:
            return one_line(
                f"Unreachable: {self.host} did not answer ({self.message}). "
                "Check the machine, its network and its SSH access."
            )
        return one_line(f"{self.message} (task {self.task!r} on {self.host})")

    def to_json(self) -> dict[str, Any]:
        return {"host": self.host, "task": self.task, "message": self.message, "unreachable": self.unreachable}


@dataclass
class BranchReport:
    """What the roles said of one branch by set_stats, and the hosts that said it."""

    kind: str | None = None
    contradiction: str | None = None
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    recovery_point: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    # Why this branch failed while the play, which serves many, goes on.
    error: str | None = None
    completed: bool = False
    hosts: set[str] = field(default_factory=set)

    def take(self, host: str, report: Mapping[str, Any]) -> None:
        """Add one report; several roles and hosts may speak of one branch."""
        self.hosts.add(host)
        kind = report.get("kind")
        if isinstance(kind, str):
            # The guard speaks first; what a role says it did has to agree.
            if self.kind is None:
                self.kind = kind
            elif kind != self.kind and kind not in _PARTS.get(self.kind, ()):
                self.contradiction = kind
        for artifact in _items(report.get("artifacts")):
            self.artifacts[str(artifact.get("name"))] = dict(artifact)
        if isinstance(report.get("recovery_point"), str):
            self.recovery_point = report["recovery_point"]
        if isinstance(report.get("details"), Mapping):
            self.details.update(report["details"])
        if self.error is None and isinstance(report.get("error"), str):
            self.error = one_line(report["error"]) or "The branch failed without a message"
        if report.get("completed") is True:
            self.completed = True


@dataclass(frozen=True)
class Ending:
    """How the playbook ended: its statistics, or what stopped it before it had any."""

    processed: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    rescued: frozenset[str] = frozenset()
    stopped: str | None = None


def causes(failures: Mapping[str, Sequence[Failure]], *, rescued: Container[str]) -> dict[str, Failure]:
    """Of each host the failure that ended its success: the first one, since a play may go on to save what it can.

    Which failures were rescued is not told, only on which hosts; there the last one is the one that was not.
    """
    return {
        host: found[-1] if host in rescued else dataclasses.replace(found[0], later=tuple(found[1:]))
        for host, found in failures.items()
    }


def judge(
    pending: RunRecord,
    reports: Mapping[str, BranchReport],
    *,
    failures: Mapping[str, Failure],
    ending: Ending,
) -> list[RunRecord]:
    """The terminal rows of a run: one for each branch, or one without a branch where none is known."""
    branches = {branch: dataclasses.replace(report, hosts=set(report.hosts)) for branch, report in reports.items()}
    spoken = {host for report in reports.values() for host in report.hosts}
    strangers = set()
    for host in sorted({*ending.failed, *failures} - spoken):
        failure = failures.get(host)
        if failure is not None and failure.branch is not None:
            kind = failure.kind if failure.kind in KINDS else None
            branches.setdefault(failure.branch, BranchReport(kind=kind)).hosts.add(host)
        elif host in ending.failed:
            strangers.add(host)
    foreign = [_failure_of(host, failures).line() for host in sorted(strangers)[:_HOSTS_NAMED]]
    if not branches:
        error = _error_without_branch(pending, foreign, ending)
        return [pending.ended("failed", error=error, details=_failure_details(failures.values()))]
    # A play that served many branches to its close fails because of those that have an error: no fault of the others.
    answered = {host for report in branches.values() if report.error is not None for host in report.hosts}
    return [
        _judge_branch(
            pending,
            branch,
            report=dataclasses.replace(report, hosts=report.hosts - answered) if report.completed else report,
            failures=failures,
            foreign=foreign,
            ending=ending,
        )
        for branch, report in sorted(branches.items())
    ]


def _judge_branch(
    pending: RunRecord,
    branch: str,
    *,
    report: BranchReport,
    failures: Mapping[str, Failure],
    foreign: list[str],
    ending: Ending,
) -> RunRecord:
    artifacts = list(report.artifacts.values())
    sizes = [artifact["size"] for artifact in artifacts if isinstance(artifact.get("size"), int)]
    row = dataclasses.replace(
        pending,
        branch=branch,
        kind=report.kind,
        artifacts=artifacts,
        bytes=sum(sizes) if sizes else None,
        recovery_point=report.recovery_point,
    )
    error = _error_of_branch(row, report, failures=failures, ending=ending)
    own = [failures[host] for host in sorted(report.hosts) if host in failures]
    details = {**report.details, **(_failure_details(own) if error is not None else {})}
    if foreign:
        # A host that belongs to no branch has no row of its own beside those of the branches.
        details["failed_elsewhere"] = foreign
    return row.ended("success" if error is None else "failed", error=error, details=details)


def _error_of_branch(
    row: RunRecord, report: BranchReport, *, failures: Mapping[str, Failure], ending: Ending
) -> str | None:
    if report.error is not None:
        return report.error
    for host in sorted(report.hosts & ending.failed):
        return _failure_of(host, failures).line()
    if not report.completed:
        return ending.stopped or _incomplete(failures, ending)
    if row.kind not in KINDS:
        return f"The run told no known kind ({row.kind}). Begin the playbook with the role larapee.backup.guard."
    if report.contradiction is not None:
        return (
            f"The run was started as {row.kind}, but a role did {report.contradiction}. "
            "Start the playbook of the kind that is wanted, and leave larapee_backup_kind to it."
        )
    if row.kind in ARTIFACT_KINDS and not row.artifacts and not row.check_mode:
        return (
            "The run ended without an artifact: nothing was backed up. "
            "Check that no tag or condition left the dump out."
        )
    return None


def _incomplete(failures: Mapping[str, Failure], ending: Ending) -> str:
    others = [failures[host] for host in sorted(ending.failed) if host in failures]
    if others:
        return one_line(f"The run stopped before its close, because of {others[0].host}: {others[0].line()}")
    return (
        "The run never reached its close (larapee.backup.guard, tasks_from: close): nothing says that it was "
        "complete. Run the whole playbook, without tags or an early end."
    )


def _error_without_branch(pending: RunRecord, foreign: list[str], ending: Ending) -> str:
    if foreign:
        return foreign[0]
    if ending.stopped is not None:
        return ending.stopped
    if not ending.processed:
        return (
            f"No hosts matched in {pending.playbook}: nothing was done. Check the inventory, its groups and the limit."
        )
    return (
        "No branch was named, so nothing is known of any. Begin the playbook with the role larapee.backup.guard, "
        "and end it with its close."
    )


def _failure_of(host: str, failures: Mapping[str, Failure]) -> Failure:
    return failures.get(host) or Failure(host=host, task="unknown", message="The task failed without a message")


def _failure_details(failures: Iterable[Failure]) -> dict[str, Any]:
    kept = list(failures)[:_FAILURES_KEPT]
    told = [each for failure in kept for each in (failure, *failure.later)][:_FAILURES_KEPT]
    details: dict[str, Any] = {"failures": [failure.to_json() for failure in told]} if told else {}
    for failure in kept:
        if failure.reason is not None:
            details["reason"] = failure.reason
        if failure.holder is not None:
            details["holder"] = failure.holder
    return details


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


__all__ = ("BranchReport", "Ending", "Failure", "causes", "judge")

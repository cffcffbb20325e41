# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contradictions that are found before anything changes: every check runs, all that they find is told at once.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _preflight_accounts, _preflight_keys, _preflight_plan, _preflight_search
from ._errors import BackupError
from ._preflight_request import NOT_RUN, NOT_YET, REFUSED, WARNING, CannotTell, Check, Missing, PreflightRequest

CHECKS: dict[str, Check] = {
    "branch_codes": _preflight_plan.branch_codes,
    "objectives": _preflight_plan.objectives,
    "retention": _preflight_plan.retention,
    "recipients": _preflight_plan.recipients,
    "s3_tls": _preflight_plan.s3_tls,
    "runs_tls": _preflight_plan.runs_tls,
    "cold_lock": _preflight_plan.cold_lock,
    "restore_target": _preflight_plan.restore_target,
    "filesystem": _preflight_plan.filesystem,
    "option_files": _preflight_accounts.private_files,
    "accounts": _preflight_accounts.accounts,
    "binlog_account": _preflight_accounts.binlog_account,
    "shared_keys": _preflight_keys.shared_keys,
    "identities": _preflight_search.identities,
}
# What these refuse may be allowed by name; of the others only that they could not run.
ALLOWED_BY_NAME = ("binlog_account", "runs_tls", "s3_tls")


@dataclasses.dataclass(frozen=True)
class Finding:
    check: str
    state: str
    message: str
    allowed: bool


@dataclasses.dataclass(frozen=True)
class Outcome:
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.state in (NOT_RUN, REFUSED) and not finding.allowed]

    def states(self) -> dict[str, str]:
        """Each check with the worst that it found; ``OK`` when it found nothing."""
        order = ("OK", WARNING, NOT_YET, NOT_RUN, REFUSED)
        states = dict.fromkeys(CHECKS, order[0])
        for finding in self.findings:
            states[finding.check] = max(states[finding.check], finding.state, key=order.index)
        return states

    def failure(self) -> BackupError | None:
        found = self.failures
        if not found:
            return None
        listed = " ".join(f"[{finding.check}, {finding.state}] {finding.message}" for finding in found)
        return BackupError(
            f"Failed to pass the preflight: {len(found)} finding(s), and nothing was changed. {listed}",
            reason="preflight_refused",
        )


def examine(request: PreflightRequest) -> Outcome:
    """Run every check; one that cannot run, or breaks, is NOT RUN and never green."""
    findings = []
    for name, check in CHECKS.items():
        for state, message in _run(check, request):
            allowed = name in request.allow and (state == NOT_RUN or name in ALLOWED_BY_NAME)
            findings.append(Finding(name, state, message, allowed))
    return Outcome(tuple(findings))


def _run(check: Check, request: PreflightRequest) -> t.Iterator[tuple[str, str]]:
    try:
        yield from check(request)
    except Missing as exc:
        yield NOT_YET if request.unprepared else NOT_RUN, str(exc)
    except CannotTell as exc:
        yield NOT_RUN, str(exc)
    except (OSError, BackupError) as exc:
        yield NOT_RUN, f"Failed to run this check: {exc}. Remove the cause, then run the preflight again."


__all__ = ("ALLOWED_BY_NAME", "CHECKS", "Finding", "Outcome", "examine")

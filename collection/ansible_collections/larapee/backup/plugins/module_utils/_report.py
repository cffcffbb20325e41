# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules hand to the recorder: names, sizes, positions; never amounts, never secrets.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _manifest
from ._dump import DumpOutcome
from ._manifest import Manifest
from ._restore import RestoreOutcome
from ._verify import VerifyOutcome

# A row's error is one line for a person; the whole list is in its details.
_NAMED_FAILURES = 3
_LISTED_FAILURES = 100


def artifact_facts(manifest: Manifest) -> dict[str, t.Any]:
    return {"name": manifest.artifact, "size": manifest.size, "sha256": manifest.sha256}


def report_of_dump(outcome: DumpOutcome) -> dict[str, t.Any]:
    manifest = outcome.manifest
    if manifest is None:
        return {"artifacts": [], "recovery_point": None, "details": {"plan": outcome.plan}}
    details = {"position": manifest.position, "epoch": manifest.epoch, "objects": manifest.document["objects"]}
    if manifest.set_number:
        details["set"] = manifest.set_number
    if outcome.warnings:
        details["warnings"] = outcome.warnings
    return {
        "artifacts": [artifact_facts(manifest)],
        "recovery_point": _manifest.format_time(manifest.created_at),
        "details": details,
    }


def report_of_verification(outcome: VerifyOutcome) -> dict[str, t.Any]:
    return {
        "artifacts": [artifact_facts(entry.manifest) for entry in outcome.verified],
        "recovery_point": outcome.recovery_point,
        "details": {
            "levels": outcome.counts(),
            "failures": [vars(check) for check in outcome.failures],
            "unmanaged": list(outcome.unmanaged),
        },
    }


def report_of_estate(outcome: VerifyOutcome, place: str) -> dict[str, t.Any]:
    """The same of one branch at central, where the list of all artifacts is too long for a row of each night."""
    found = report_of_verification(outcome)
    failures = found["details"]["failures"]
    found["artifacts"] = []
    found["details"].update(
        place="central",
        failures=failures[:_LISTED_FAILURES],
        intact=len(outcome.verified),
        read={"artifacts": len(outcome.read), "bytes": sum(entry.manifest.size for entry in outcome.read)},
    )
    if failures:
        found["details"]["reason"] = "not_verified"
        found["error"] = describe_failures(outcome, place)
    return found


def report_of_restore(outcome: RestoreOutcome) -> dict[str, t.Any]:
    details: dict[str, t.Any] = {"plan": outcome.plan, "seconds": outcome.seconds}
    if outcome.warnings:
        details["warnings"] = outcome.warnings
    return {
        "artifacts": [artifact_facts(entry.manifest) for entry in outcome.entries or (outcome.entry,)],
        "recovery_point": outcome.plan["recovery_point"],
        "details": details,
    }


def describe_failures(outcome: VerifyOutcome, place: str) -> str:
    """One line that names the first failures and says what to do."""
    failures = outcome.failures
    named = "; ".join(
        f"{check.artifact} {check.level} {check.status}: {check.reason}" for check in failures[:_NAMED_FAILURES]
    )
    more = f"; and {len(failures) - _NAMED_FAILURES} more" if len(failures) > _NAMED_FAILURES else ""
    return (
        f"Failed to verify {place}: {named}{more}. Keep these files, take a new full now, and compare with the copies "
        "of other places."
    )


__all__ = (
    "artifact_facts",
    "describe_failures",
    "report_of_dump",
    "report_of_estate",
    "report_of_restore",
    "report_of_verification",
)

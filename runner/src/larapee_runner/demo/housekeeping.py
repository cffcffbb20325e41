# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last act: what retention would do, asked in check mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import DemoError
from .estate import RETENTION_DAYS
from .stored import set_numbers

if TYPE_CHECKING:
    from .stage import Stage

PLAYBOOK = "larapee.backup.retention"


def preview_retention(stage: Stage) -> None:
    backups = stage.workplace.backups
    with stage.narrator.step(f"Ask what may go: larapee-backup run {PLAYBOOK} --check") as step:
        before = sorted(path.name for path in backups.iterdir())
        run = stage.run(step, "preview retention", PLAYBOOK, stage.workplace.inventory, "--check")
        if sorted(path.name for path in backups.iterdir()) != before:
            msg = f"Failed to preview retention: {backups} is not what it was before. Read {run.log}, and report this."
            raise DemoError(msg)
        row = stage.launcher.ask("runs")["runs"][0]
        if (row["kind"], row["check_mode"]) != ("retention", True) or "deleted" not in row["details"]:
            msg = f"Failed to preview retention: the run said success, its row tells of no plan. Read {run.log}."
            raise DemoError(msg)
        going = {drop["set"]: f"would go, replaced by set {drop['replaced_by']}" for drop in row["details"]["deleted"]}
        staying = {kept["set"]: f"stays over age: {kept['why']}" for kept in row["details"]["kept_over_age"]}
        young = f"stays: it is younger than {RETENTION_DAYS} days"
        for number in set_numbers(backups):
            step.fact(f"set {number} {going.get(number) or staying.get(number) or young}")
        step.fact("a set goes only when its age is over and a newer one, hashed at that moment, replaces it")


__all__ = ("preview_retention",)

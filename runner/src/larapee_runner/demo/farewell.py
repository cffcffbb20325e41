# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the story: the runs that it left, where everything is, and how to look further."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DemoError

if TYPE_CHECKING:
    from .launcher import Launcher
    from .narrator import Narrator
    from .workplace import Workplace

STOCK_TOOLS_PAGE = Path("docs") / "restore-with-stock-tools.md"


def _own_command() -> str:
    """How this command was called, if that can be typed again: make calls it from an environment of its own."""
    called = Path(sys.argv[0])
    if called.name != "larapee-backup":
        return f"{sys.executable} -m larapee_runner"
    return os.path.relpath(called) if called.is_absolute() else str(called)


def say_farewell(narrator: Narrator, workplace: Workplace, launcher: Launcher) -> None:
    narrator.say()
    if not launcher.show("runs"):
        msg = (
            f"Failed to show the runs: `larapee-backup runs` did not end well. Its configuration is {workplace.config}."
        )
        raise DemoError(msg)
    artifact = next(path for path in sorted(workplace.backups.glob("db-*.manifest.json"), reverse=True))
    places = {
        "the backup": artifact.with_name(artifact.name.removesuffix(".manifest.json")),
        "its manifest": artifact,
        "the restorer's keys": workplace.restorer,
        "runs, journal, locks": workplace.state,
        "output of each run": workplace.logs,
        "restored data": workplace.new_server / "data",
    }
    narrator.say()
    narrator.say("The restored database equals the lost one, at the position of its full.", style="bold")
    narrator.say("The servers are stopped. Everything is kept until the next demo here:")
    for name, path in places.items():
        narrator.say(f"    {name:<22}{path}")
    narrator.say()
    narrator.say("To look further:")
    narrator.say(f"    export LARAPEE_BACKUP_CONFIG={workplace.config}")
    narrator.say(f"    {_own_command()} runs")
    narrator.say(f"    {_own_command()} status")
    page = launcher.cwd / STOCK_TOOLS_PAGE
    if page.is_file():
        narrator.say(f"    restore it without this project, with age, gzip and mariadb alone: {page}")


__all__ = ("say_farewell",)

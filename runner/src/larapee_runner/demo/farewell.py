# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the story: the runs that it left, where everything is, and how to look further."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DemoError
from .stored import newest_set

if TYPE_CHECKING:
    from .launcher import Launcher
    from .narrator import Narrator
    from .workplace import Workplace

STOCK_TOOLS_PAGES = {
    "the database, with age, gzip, zstd, tar, mariadb and mariadb-binlog alone": Path("docs")
    / "restore-with-stock-tools.md",
    "the files, with age, zstd and tar alone": Path("docs") / "restore-files-with-stock-tools.md",
}


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
    places = {
        **{f"newest {family}": stored.artifact for family, stored in newest_set(workplace.backups).items()},
        "the restorer's keys": workplace.restorer,
        "runs, journal, locks": workplace.state,
        "output of each run": workplace.logs,
        "restored data": workplace.new_server / "data",
        "restored uploads": workplace.restored_uploads,
        "restored config": workplace.restored_config,
        "the lost files, aside": workplace.aside,
    }
    narrator.say()
    narrator.say(
        "The restored database, uploads and configuration equal the lost ones at the last sealed second.", style="bold"
    )
    narrator.say("The servers are stopped. Everything is kept until the next demo here:")
    for name, path in places.items():
        narrator.say(f"    {name:<22}{path}")
    narrator.say()
    narrator.say("To look further:")
    narrator.say(f"    export LARAPEE_BACKUP_CONFIG={workplace.config}")
    narrator.say(f"    {_own_command()} runs")
    narrator.say(f"    {_own_command()} status")
    for what, location in STOCK_TOOLS_PAGES.items():
        page = launcher.cwd / location
        if page.is_file():
            narrator.say(f"    restore {what}: {page}")


__all__ = ("say_farewell",)

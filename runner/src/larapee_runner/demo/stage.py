# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all acts share: the two servers, the shop's application directory, and the commands that are run."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .application import Application
from .server import ThrowawayServer

if TYPE_CHECKING:
    from pathlib import Path

    from .launcher import Launcher, Running
    from .narrator import Narrator, Step
    from .workplace import Workplace

OPERATOR, LOG_READER, RESTORER, APPLICATION = "larapee-backup", "larapee-binlog", "larapee-restore", "larapee-app"
BACKUP = "larapee.backup.branch_backup"
WHAT = {"full": "take a full", "increment": "take an increment", "log": "seal the binary log"}


class Stage:
    def __init__(self, narrator: Narrator, workplace: Workplace, launcher: Launcher, *, orders: int, seed: int) -> None:
        self.narrator = narrator
        self.workplace = workplace
        self.launcher = launcher
        self.orders = orders
        self.seed = seed
        self.passwords = {user: secrets.token_urlsafe(24) for user in (OPERATOR, LOG_READER, RESTORER, APPLICATION)}
        self.shop_server = ThrowawayServer(workplace.shop_server, server_id=1)
        self.new_server = ThrowawayServer(workplace.new_server, server_id=2)
        self.application = Application(workplace.application)
        self.cleanup = ExitStack()
        for server in (self.shop_server, self.new_server):
            self.cleanup.callback(server.close)
            self.cleanup.callback(server.stop)

    def start_backup(self, kind: str) -> Running:
        arguments = ("run", BACKUP, "-i", str(self.workplace.inventory), "-e", f"larapee_backup_kind={kind}")
        return self.launcher.start(WHAT[kind], *arguments)

    def run(self, step: Step, what: str, playbook: str, inventory: Path, *more: str) -> Running:
        run = self.launcher.start(what, "run", playbook, "-i", str(inventory), *more)
        try:
            run.wait(lambda: step.now(f"{run.seconds:.0f} s"))
        finally:
            run.stop()
        return run


__all__ = ("APPLICATION", "BACKUP", "LOG_READER", "OPERATOR", "RESTORER", "Stage")

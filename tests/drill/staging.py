# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging: a state, a table and an inventory of its own; what the branch made lies in a directory that it reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord, load_settings, open_store
from tests.end_to_end.branch import BRANCH, COMMAND, FULL
from tests.end_to_end.processes import below

if TYPE_CHECKING:
    from tests.end_to_end.branch import Branch, Started

DRILL = "larapee.backup.restore_drill"
APP = ["app", "side_effects", "app_key", "migrate", "health", "login", "order"]
QUERY = "SELECT path, sha256 FROM slips"


class Staging:
    def __init__(self, branch: Branch, directory: Path) -> None:
        self.branch = branch
        self.directory = directory
        self.path = directory / "drill"
        self.environ = {
            **branch.environ,
            "LARAPEE_BACKUP_STATE_DIR": str(directory / "state"),
            "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{directory / 'table' / 'runs.sqlite'}",
        }
        directory.mkdir()
        self.write_inventory()

    @property
    def inventory(self) -> Path:
        return self.directory / "hosts.yml"

    def write_inventory(self, **more: object) -> None:
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "larapee_backup_branches": [BRANCH],
            "larapee_backup_allowed_signers": str(self.branch.keys.allowed_signers),
            "larapee_backup_restore_source": str(self.branch.local),
            "larapee_backup_restore_age_identity": str(self.branch.keys.identity),
            "larapee_backup_drill_path": str(self.path),
            "larapee_backup_drill_reference_queries": [QUERY],
            # The shop of most tests is a database and files; tests/drill/test_app.py has one that sells.
            "larapee_backup_drill_leave_out": APP,
            **more,
        }
        inventory = {"staging": {"hosts": {"staging-001": host}}}
        self.inventory.write_text(yaml.safe_dump(inventory), encoding="utf-8")

    def sell(self, number: int) -> Path:
        """A row that names a file with its hash."""
        path = self.branch.uploads / "slips" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        content = os.urandom(20_000)
        path.write_bytes(content)
        with self.branch.server.connect(database=self.branch.database) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS slips (path VARCHAR(99) PRIMARY KEY, sha256 CHAR(64))")
            name = str(path.relative_to(self.branch.uploads))
            cursor.execute("INSERT INTO slips VALUES (%s, %s)", (name, hashlib.sha256(content).hexdigest()))
            connection.commit()
        return path

    def back_up(self, kind: str) -> None:
        code, started = self.branch.playbook(FULL, "-e", f"larapee_backup_kind={kind}")
        assert code == 0, started.output

    def back_up_all(self) -> None:
        self.sell(1)
        self.back_up("full")
        self.sell(2)
        self.back_up("increment")

    def start(self, *arguments: str, wrapped: bool = False) -> Started:
        argv = (*COMMAND, "run") if wrapped else ("ansible-playbook",)
        return self.branch.start(*argv, "-i", str(self.inventory), *arguments, DRILL, environ=self.environ)

    def drill(self, *arguments: str, wrapped: bool = False) -> tuple[int, Started]:
        started = self.start(*arguments, wrapped=wrapped)
        return started.wait(), started

    def rows(self) -> list[RunRecord]:
        """The newest first."""
        store = open_store(load_settings(self.environ).runs_url)
        with contextlib.closing(store):
            return store.query()

    def step(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.rows()[0].details["steps"] if each["name"] == name]
        return dict(found)

    def results(self) -> dict[str, str]:
        """By step; without what is left out of these drills anyway."""
        steps = self.rows()[0].details["steps"]
        return {
            each["name"]: each["result"] for each in steps if each["result"] != "left out" or each["name"] not in APP
        }

    def left(self) -> list[str]:
        """What lies in the drill's directory besides what it keeps from one drill to the next."""
        if not self.path.exists():
            return []
        return sorted(path.name for path in self.path.iterdir() if path.name not in ("state", ".larapee-drill"))

    def processes(self) -> list[int]:
        """What bears a directory of the drill, whoever its parent is."""
        bears = f"LARAPEE_BACKUP_DRILL={self.path}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if bears in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        for pid in [*below(self.directory), *self.processes()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


__all__ = ("APP", "BRANCH", "DRILL", "QUERY", "Staging")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch and a central of the tests: real keys, real tables, real ansible-playbook processes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    Settings,
    open_store,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "branch-001"


def now() -> datetime:
    return datetime.now(UTC)


def make_row(*, ago: timedelta = timedelta(minutes=5), **changes: Any) -> RunRecord:
    """A finished row of the branch, as its recorder leaves it."""
    started = now() - ago
    values: dict[str, Any] = {
        "run_id": str(uuid.uuid4()),
        "branch": BRANCH,
        "kind": "log",
        "status": "success",
        "started_at": started,
        "finished_at": started + timedelta(seconds=20),
        "duration_s": 20.0,
        "host": "shop-1",
        "launcher": "timer",
        "playbook": "larapee.backup.branch_backup",
        "evidence": Evidence.OBSERVED,
    }
    return RunRecord(**{**values, **changes})


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine with a table, a state directory and an inventory of its own."""

    top: Path
    url: str

    @property
    def state(self) -> Path:
        return self.top / "state"

    @property
    def settings(self) -> Settings:
        return Settings(runs_url=self.url, state_path=self.state, config_path=self.top / "config.yml")

    def put(self, *rows: RunRecord) -> None:
        with contextlib.closing(open_store(self.url)) as store:
            store.upsert(rows)

    def rows(self, **wanted: Any) -> list[RunRecord]:
        """The newest first."""
        with contextlib.closing(open_store(self.url)) as store:
            return store.query(**wanted)

    def play(
        self, playbook: str, *arguments: str, groups: dict[str, dict[str, Any]], **variables: Any
    ) -> tuple[int, str]:
        self.top.mkdir(exist_ok=True)
        shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
        inventory = self.top / "hosts.json"
        document = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in groups.items()}
        for group, hosts in groups.items():
            document[group]["hosts"].update(hosts)
        inventory.write_text(json.dumps({**document, "all": {"vars": shared}}), encoding="utf-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", str(inventory), *arguments, playbook],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.top),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LARAPEE_BACKUP_STATE_DIR": str(self.state),
            "LARAPEE_BACKUP_RUNS_URL": self.url,
        }


def machine(top: Path, *, url: str | None = None) -> Machine:
    top.mkdir(exist_ok=True)
    return Machine(top=top, url=url or f"sqlite:///{top / 'runs.sqlite'}")


def make_keys(directory: Path, names: Sequence[str]) -> Path:
    """An SSH key for each name, and the allowed_signers file that takes each for the branch of that name."""
    directory.mkdir(exist_ok=True)
    lines = []
    for name in names:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
        public = (directory / f"{name}.pub").read_text(encoding="utf-8").strip()
        lines.append(f'{name} namespaces="larapee-backup" {public}\n')
    (directory / "allowed_signers").write_text("".join(lines), encoding="utf-8")
    return directory

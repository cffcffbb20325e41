# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small project for each scenario, and the real command run in it as people run it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from larapee_runner.recorder import RunRecord, StoreError, open_store

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / "collection"
COMMAND_TIMEOUT_S = 90
LIBRARY = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={})
message = "Failed to lock full: another run holds the lock. Wait for it."
module.fail_json(msg=message, reason="lock_held", holder="pid 1")
"""


@dataclass
class Outcome:
    """How one command ended, and what it left."""

    code: int
    stdout: str
    stderr: str
    rows: list[RunRecord] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


class Project:
    """A directory with an inventory, an ansible.cfg and playbooks, and a state directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.state = directory / "state"
        self.mark = f"{os.getpid()}{abs(hash(directory)) % 10**6:06}"
        (directory / "library").mkdir(parents=True)
        directory.chmod(0o755)
        (directory / "library" / "refuse.py").write_text(LIBRARY)
        (directory / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {COLLECTIONS}\ninventory = hosts\n")
        (directory / "hosts").write_text(
            "here ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n"
            "away ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args='-o ConnectTimeout=2'\n"
        )

    def playbook(self, tasks: str, *, hosts: str = "here", kind: str = "verify", name: str = "play.yml") -> str:
        """Write a playbook that keeps the contract of every playbook of the collection: guard first, close last."""
        lines = "\n".join(f"    {line}" for line in tasks.strip("\n").splitlines())
        (self.path / name).write_text(
            f"- name: Probe\n  hosts: {hosts}\n  gather_facts: false\n"
            f"  vars: {{larapee_backup_branch: branch-001, larapee_backup_kind: {kind}}}\n  tasks:\n"
            "    - ansible.builtin.import_role: {name: larapee.backup.guard}\n"
            f"{lines}\n"
            "    - ansible.builtin.import_role: {name: larapee.backup.guard, tasks_from: close}\n"
        )
        return name

    def sleeping(self, *, stubborn: bool = False) -> str:
        """A playbook whose module sleeps for long; the mark in its command line finds it again."""
        trap = "trap '' TERM; " if stubborn else ""
        script = f"{trap}touch started; sleep 77 & wait; sleep 77; : {self.mark}"
        return self.playbook(f'- ansible.builtin.command: {{argv: [sh, -c, "{script}"]}}')

    def environ(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.path),
            "PYTHONPATH": f"{ROOT / 'runner/src'}:{COLLECTIONS}",
            "LANG": "C.UTF-8",
            "LARAPEE_BACKUP_STATE_DIR": str(self.state),
            **more,
        }

    def start(
        self, *args: str, cwd: Path | None = None, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "larapee_runner", *args],
            cwd=cwd or self.path,
            env=environ or self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, process: subprocess.Popen[str], *, since: float | None = None) -> Outcome:
        """Collect the end of a command; its processes are looked for at once, for it must leave none."""
        try:
            stdout, stderr = process.communicate(timeout=COMMAND_TIMEOUT_S)
        finally:
            process.kill()
        seconds = time.monotonic() - since if since is not None else 0.0
        return Outcome(process.returncode, stdout, stderr, self.rows(), self.processes(), seconds)

    def command(self, *args: str, cwd: Path | None = None, environ: dict[str, str] | None = None) -> Outcome:
        return self.wait(self.start(*args, cwd=cwd, environ=environ))

    def json(self, *args: str) -> tuple[int, Any]:
        """Run a reading command; its standard output must be one document and nothing else."""
        outcome = self.command(*args, "--json")
        return outcome.code, json.loads(outcome.stdout)

    def rows(self) -> list[RunRecord]:
        table = self.state / "runs.sqlite"
        if not table.exists():
            return []
        with contextlib.suppress(StoreError), contextlib.closing(open_store(f"sqlite:///{table}")) as store:
            return store.query()
        return []

    def journal_files(self) -> list[Path]:
        return sorted(self.state.glob("journal*/*.json"))

    def processes(self) -> list[int]:
        """The processes of this project that live, by the mark of its sleeping task or by its playbook."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                inside = Path(os.readlink(entry / "cwd")) == self.path and b"ansible-playbook" in words
                if self.mark.encode() in words or inside:
                    found.append(int(entry.name))
        return found

    def ansible(self) -> int:
        """The pid of ansible-playbook itself: of its processes, the one that the others come from."""
        return min(pid for pid in self.processes() if b"ansible-playbook" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def until(self, condition: Callable[[], Any], *, what: str, timeout_s: float = 40.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout_s} s in vain until {what}")
            time.sleep(0.05)

    def until_asleep(self) -> None:
        self.until((self.path / "started").exists, what="the module sleeps")

    def kill_leftovers(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Bench:
    """Runs all scenarios side by side: most of each is waiting."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pool = ThreadPoolExecutor(max_workers=5)
        self._running: dict[str, Future[Outcome]] = {}

    def start(self, scenarios: dict[str, Callable[[Project], Outcome]]) -> None:
        for name, scenario in scenarios.items():
            if name not in self._running:
                self._running[name] = self._pool.submit(self._play, name, scenario)

    def outcome(self, name: str) -> Outcome:
        return self._running[name].result(timeout=COMMAND_TIMEOUT_S * 2)

    def project_path(self, name: str) -> Path:
        return self._directory / name

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _play(self, name: str, scenario: Callable[[Project], Outcome]) -> Outcome:
        project = Project(self._directory / name)
        try:
            return scenario(project)
        finally:
            project.kill_leftovers()


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("runner"))
    yield bench
    bench.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "project")
    yield project
    project.kill_leftovers()

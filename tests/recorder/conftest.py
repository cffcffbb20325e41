# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ansible-playbook processes, each with a state directory and a runs table of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Recorder,
    RunRecord,
    Settings,
    load_settings,
    open_store,
)
from larapee_runner.demo.server import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
CALLBACK = "larapee.backup.backup_runs"
BRANCH = "branch-001"
PATIENCE_S = 30.0
ARTIFACT = "{name: db-20261122-0300.sql.gz.age, size: 4096, sha256: 0f}"
GUARD = """
- name: Begin
  ansible.builtin.import_role:
    name: larapee.backup.guard
"""
CLOSE = """
- name: End
  ansible.builtin.import_role:
    name: larapee.backup.guard
    tasks_from: close
"""
DUMP = f"""
- name: Dump
  ansible.builtin.set_stats:
    data:
      larapee_backup:
        {BRANCH}:
          artifacts: [{ARTIFACT}]
          recovery_point: "2026-11-22T03:00:07Z"
          details: {{engine: mariadb}}
    per_host: false
"""


def wait_for(condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {PATIENCE_S:g} s")
        time.sleep(0.02)


@dataclass
class Stage:
    """A directory in which playbooks run, and what their recorder left there."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def marker(self) -> Path:
        return self.directory / "marker"

    @property
    def table(self) -> Path:
        return self.directory / "table" / "runs.sqlite"

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    @property
    def recorder(self) -> Recorder:
        return Recorder(self.settings, witness="wrapper")

    @property
    def hold(self) -> str:
        """A task that says that it runs, and then sleeps as a dump would."""
        argv = f'[/bin/sh, -c, "echo $$ > {self.marker}.new; mv {self.marker}.new {self.marker}; exec sleep 90"]'
        return f"\n- name: Hold\n  ansible.builtin.command:\n    argv: {argv}\n  changed_when: false\n"

    def playbook(self, tasks: str, *, kind: str = "full", hosts: str = "all", branch: str = BRANCH) -> Path:
        path = self.directory / "playbook.yml"
        head = f"""\
            ---
            - name: Back up
              hosts: {hosts}
              gather_facts: false
              vars:
                larapee_backup_branch: "{branch}"
                larapee_backup_kind: {kind}
              tasks:
            """
        path.write_text(textwrap.dedent(head) + textwrap.indent(tasks, "    "), encoding="utf-8")
        return path

    def start(
        self, playbook: Path, *arguments: str, inventory: str = "localhost,", environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        interpreter = f"ansible_python_interpreter={sys.executable}"
        program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
        # A relative name, as a person types it.
        argv = [program, "-i", inventory, "-c", "local", "-e", interpreter, *arguments, playbook.name]
        return subprocess.Popen(
            argv,
            cwd=self.directory,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(
        self, playbook: Path, *arguments: str, inventory: str = "localhost,", environ: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        process = self.start(playbook, *arguments, inventory=inventory, environ=environ)
        output, _nothing = process.communicate(timeout=60)
        return process.returncode, output

    def rows(self) -> list[RunRecord]:
        store = open_store(self.settings.runs_url)
        try:
            return store.query()
        finally:
            store.close()

    def row(self) -> RunRecord:
        """The one row; a second one, or none, is a failure of the recorder."""
        rows = self.rows()
        assert len(rows) == 1, rows
        return rows[0]

    def journal(self) -> list[str]:
        state = self.settings.state_path
        return sorted(str(path.relative_to(state)) for path in state.glob("journal*/*"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    state = tmp_path / "state"
    config = tmp_path / "ansible.cfg"
    config.write_text("[defaults]\nlocalhost_warning = false\n", encoding="utf-8")
    return Stage(
        directory=tmp_path,
        environ={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(tmp_path / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collection"),
            "ANSIBLE_CALLBACKS_ENABLED": CALLBACK,
            "ANSIBLE_NOCOLOR": "1",
            "LARAPEE_BACKUP_STATE_DIR": str(state),
            "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{tmp_path / 'table' / 'runs.sqlite'}",
            # The measurement of subprocesses finds its settings here.
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        },
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("runs-server")) as running:
        yield running

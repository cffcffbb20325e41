# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of scripts/hosts, as testinfra sees them; and how long one may wait for a timer."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import testinfra

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
RUNS = """
import json, sqlite3
runs = sqlite3.connect("file:/var/lib/larapee-backup/runs.sqlite?mode=ro", uri=True)
runs.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in runs.execute("SELECT * FROM backup_runs ORDER BY started_at")]))
"""
BRANCHES = ("branch-001", "branch-002")


def container(name: str) -> str:
    done = subprocess.run([TOP / "scripts/hosts", "name", name], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def connect(name: str) -> Host:
    os.environ["CONTAINERS_CONF"] = str(TOP / ".cache/containers/containers.conf")
    return testinfra.get_host(f"podman://{container(name)}")


@pytest.fixture(params=BRANCHES)
def branch(request: pytest.FixtureRequest) -> Host:
    return connect(request.param)


@pytest.fixture
def code(branch: Host) -> str:
    return branch.check_output("hostname")


@pytest.fixture
def central() -> Host:
    return connect("central-001")


@pytest.fixture
def staging() -> Host:
    return connect("staging-001")


@pytest.fixture
def wait_for() -> Callable[[str, Callable[[], object], float], object]:
    """Asks again until there is an answer; what was waited for is in the message when there is none."""

    def wait(what: str, ask: Callable[[], object], seconds: float) -> object:
        ends = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > ends:
                pytest.fail(f"waited {seconds:g} seconds for {what}")
            time.sleep(2)
        return answer

    return wait


@pytest.fixture
def rows() -> Callable[[Host, str, str], list[dict[str, Any]]]:
    """Tells the rows of a host that have ended: of a kind and a branch, the oldest first."""

    def ended(host: Host, kind: str, branch: str) -> list[dict[str, Any]]:
        done = host.run("python3 -c %s", RUNS)
        found = json.loads(done.stdout) if done.rc == 0 else []
        return [row for row in found if (row["kind"], row["branch"]) == (kind, branch) and row["status"] != "pending"]

    return ended

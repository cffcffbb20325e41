# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of scripts/hosts, as testinfra sees them; and how long one may wait for a timer."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import testinfra

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
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

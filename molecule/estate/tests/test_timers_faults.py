# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults between hosts, and of a whole host. They come last, and each puts back what it broke."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
NAME = "branch-001"
LIST = (
    "runuser -u larapee-pull -- rsync --list-only --timeout=20"
    " -e 'ssh -F none -i /etc/larapee-backup/ssh/pull_key/branch-001"
    " -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes"
    " -o UserKnownHostsFile=/etc/larapee-backup/ssh/known_hosts' larapee-backup@{address}:"
)
ROWS = """
import json, sqlite3
runs = sqlite3.connect("file:/var/lib/larapee-backup/runs.sqlite?mode=ro", uri=True)
print(json.dumps(runs.execute("SELECT run_id, kind, status FROM backup_runs ORDER BY started_at").fetchall()))
"""


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True, capture_output=True)


@pytest.fixture
def machine() -> str:
    done = subprocess.run([TOP / "scripts/hosts", "name", NAME], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def shop(machine: str, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("CONTAINERS_CONF", str(TOP / ".cache/containers/containers.conf"))
    return testinfra.get_host(f"podman://{machine}")


@pytest.fixture
def address(shop: Host) -> str:
    return shop.check_output("hostname -I").split()[0]


@pytest.fixture
def other_host_key(shop: Host) -> Iterator[None]:
    """What answers at the branch's address is not the branch."""
    key = "/etc/ssh/ssh_host_ed25519_key"
    shop.check_output(f"mv {key} {key}.own && mv {key}.pub {key}.own.pub && ssh-keygen -q -t ed25519 -N '' -f {key}")
    shop.check_output("systemctl restart ssh")
    yield
    shop.check_output(f"mv {key}.own {key} && mv {key}.own.pub {key}.pub && systemctl restart ssh")


@pytest.fixture
def cut_off(shop: Host) -> Iterator[None]:
    """No packet comes in or goes out, but on the loopback interface."""
    shop.check_output("iptables -I INPUT ! -i lo -j DROP && iptables -I OUTPUT ! -o lo -j DROP")
    yield
    shop.check_output("iptables -D INPUT ! -i lo -j DROP && iptables -D OUTPUT ! -o lo -j DROP")


def rows(shop: Host) -> list[list[Any]]:
    done = shop.run("python3 -c %s", ROWS)
    return json.loads(done.stdout) if done.rc == 0 else []


def test_central_reads_what_the_branch_has(central: Host, address: str) -> None:
    assert "tip.json" in central.check_output(LIST.format(address=address))


@pytest.mark.usefixtures("other_host_key")
def test_central_gives_nothing_to_a_wrong_host_key(central: Host, address: str) -> None:
    done = central.run(LIST.format(address=address))
    assert done.rc != 0
    assert "Host key verification failed" in done.stderr


@pytest.mark.usefixtures("cut_off")
def test_a_branch_that_is_cut_off_goes_on_by_itself(
    central: Host, shop: Host, address: str, wait_for: Callable[[str, Callable[[], object], float], object]
) -> None:
    assert central.run(LIST.format(address=address)).rc != 0
    before = {row[0] for row in rows(shop)}
    wait_for(
        "a log without the network",
        lambda: [row for row in rows(shop) if row[0] not in before and row[1:] == ["log", "success"]],
        150,
    )


def test_power_cut_in_the_middle_of_a_run(
    machine: str, shop: Host, wait_for: Callable[[str, Callable[[], list[str]], float], list[str]]
) -> None:
    """Killed at once with all that runs there: the run's row becomes failed, and the timers go on by themselves."""
    pending = wait_for("a run of a timer", lambda: [row[0] for row in rows(shop) if row[2] == "pending"], 150)
    podman("kill", machine)
    podman("start", machine)
    known = {row[0] for row in rows(shop)}
    wait_for(
        "the lost run's row, and a success after it",
        lambda: (
            [row for row in rows(shop) if row[0] in pending and row[2] == "failed"]
            and [row for row in rows(shop) if row[0] not in known and row[1:] == ["log", "success"]]
        ),
        240,
    )

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that die at a bad moment: what central has then, told by age, zstd, tar, mariadb-binlog and sha256sum."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import random
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

    Rows = Callable[[Host, str, str], list[dict[str, Any]]]
    WaitFor = Callable[[str, Callable[[], object], float], Any]

TOP = Path(__file__).resolve().parents[3]
CODE = "branch-001"
PLACE = f"/srv/backups/larapee/branches/{CODE}"
# As molecule/inventory.yml has them.
LOG_INTERVAL = dt.timedelta(seconds=60)
PULL_INTERVAL = dt.timedelta(seconds=60)
RPO = dt.timedelta(minutes=15)
DEATHS = int(os.environ.get("DEATHS", "1"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
SOLD = re.compile(r"@4='(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)'")


@pytest.fixture
def machine() -> Callable[[str], str]:
    """The container of a host."""

    def named(host: str) -> str:
        done = subprocess.run([TOP / "scripts/hosts", "name", host], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return named


@pytest.fixture
def shop(machine: Callable[[str], str]) -> Host:
    import testinfra

    return testinfra.get_host(f"podman://{machine(CODE)}")


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True, capture_output=True)


def newest_sale(shop: Host) -> dt.datetime:
    """Of those that are committed."""
    query = "SELECT MAX(created_at) FROM larapos.orders"
    told = shop.check_output("mariadb --batch --skip-column-names --execute %s", query)
    return dt.datetime.fromisoformat(told).replace(tzinfo=dt.UTC)


def restorable(central: Host, machine: str, directory: Path) -> dt.datetime:
    """The newest sale in what central holds: of the last increment in an unbroken chain, decrypted by the restorer."""
    podman("cp", f"{machine}:{PLACE}", str(directory))
    place = directory / CODE
    manifests = [json.loads(path.read_text()) for path in place.glob("db-*.manifest.json")]
    by_name = {each["artifact"]: each for each in manifests}
    last = max((each for each in manifests if each["kind"] == "db_increment"), key=lambda each: each["sequence"])
    for each in chain(last, by_name):
        line = f"{each['sha256']}  {each['artifact']}\n"
        subprocess.run(["sha256sum", "--check", "--quiet"], cwd=place, input=line, text=True, check=True)
    logs = directory / "logs"
    logs.mkdir()
    identities = TOP / ".cache/molecule/identities.txt"
    with (
        subprocess.Popen(["age", "-d", "-i", identities, place / last["artifact"]], stdout=subprocess.PIPE) as plain,
        subprocess.Popen(["zstd", "-d", "-c"], stdin=plain.stdout, stdout=subprocess.PIPE) as tar,
    ):
        subprocess.run(["tar", "-x", "-C", logs], stdin=tar.stdout, check=True)
    names = [logs / each["name"] for each in last["files"]]
    argv = ["mariadb-binlog", "--base64-output=decode-rows", "--verbose", "--database=larapos"]
    told = subprocess.run([*argv, *names], capture_output=True, text=True, check=True).stdout
    return max(dt.datetime.fromisoformat(found).replace(tzinfo=dt.UTC) for found in SOLD.findall(told))


def chain(last: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """From *last* back to the full that it stands on; fails where one is missing."""
    found = [last]
    while found[-1]["kind"] == "db_increment":
        found.append(by_name[found[-1]["previous"]])
    return found


def longest(rows: list[dict[str, Any]]) -> dt.timedelta:
    return dt.timedelta(seconds=max((row["duration_s"] or 0 for row in rows if row["status"] == "success"), default=0))


# It waits for timers, several times.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [SEED + number for number in range(DEATHS)])
def test_what_central_has_of_a_branch_that_dies(
    seed: int,
    central: Host,
    shop: Host,
    machine: Callable[[str], str],
    rows: Rows,
    wait_for: WaitFor,
    tmp_path: Path,
) -> None:
    """SIGKILL at a moment that SEED repeats; its disk is not looked at again until central's copy was judged."""
    # The host may just have been started again, by the test before.
    wait_for("the shop's server", lambda: shop.run("mariadb --execute 'SELECT 1'").rc == 0, 120)
    known = len(rows(shop, "log", CODE))
    wait_for("a log run", lambda: len(rows(shop, "log", CODE)) > known, 240)
    began = newest_sale(shop)
    wait_for("an increment at central after that", lambda: pulled_since(central, began), 400)
    chance = random.Random(seed)  # noqa: S311 - repeated by its seed
    time.sleep(chance.uniform(0, (LOG_INTERVAL + PULL_INTERVAL).total_seconds()))
    lost_after = newest_sale(shop)
    allowed = LOG_INTERVAL + PULL_INTERVAL + longest(rows(shop, "log", CODE)) + longest(rows(central, "sync", CODE))
    podman("kill", machine(CODE))
    try:
        age = lost_after - restorable(central, machine("central-001"), tmp_path)
    finally:
        podman("start", machine(CODE))
    logging.getLogger(__name__).warning("lost %.1f s of at most %.1f s", age.total_seconds(), allowed.total_seconds())
    assert age <= min(allowed, RPO)


def pulled_since(central: Host, moment: dt.datetime) -> bool:
    """Whether central holds an increment that ends after *moment*."""
    names = central.run("sh -c %s", f'grep -l \'"kind": "db_increment"\' {PLACE}/*.manifest.json').stdout.split()
    if not names:
        return False
    newest = max((json.loads(central.file(name).content_string) for name in names), key=lambda each: each["sequence"])
    return dt.datetime.fromisoformat(newest["created_at"]) > moment


def test_central_dies_in_the_middle_of_a_pull(
    central: Host, machine: Callable[[str], str], rows: Rows, wait_for: WaitFor
) -> None:
    """Killed with all that runs there; the run's row becomes failed, and the next pull goes on."""
    watch = "for _ in $(seq 3000); do pgrep -u larapee-pull -x rsync >/dev/null && exit 0; sleep 0.05; done; exit 1"
    assert central.run("sh -c %s", watch).rc == 0, "no pull began"
    podman("kill", machine("central-001"))
    died = dt.datetime.now(dt.UTC)
    podman("start", machine("central-001"))

    def since(status: str) -> list[dict[str, Any]]:
        found = [row for row in rows(central, "sync", CODE) if row["status"] == status]
        return [row for row in found if moment(row["finished_at"]) >= died - dt.timedelta(seconds=1)]

    wait_for("the lost run's row", lambda: since("failed"), 240)
    wait_for("a pull after it", lambda: since("success"), 300)
    assert central.run(f"cd {PLACE} && sha256sum --check --quiet SHA256SUMS").rc == 0
    manifests = central.check_output(f"ls {PLACE}").split()
    halves = [name for name in manifests if name.endswith(".sig") and name.removesuffix(".sig") not in manifests]
    assert halves == []


def moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)

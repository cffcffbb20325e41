# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging proves two shops by its timer, from the locked bucket; then it is given what cannot be proven."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import testinfra
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
RUNS = """
import json, sqlite3
runs = sqlite3.connect("file:/var/lib/larapee-restore/state/runs.sqlite?mode=ro", uri=True)
runs.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in runs.execute("SELECT * FROM backup_runs ORDER BY started_at")]))
"""
LOCAL = "/var/backups/larapee/local"
COPIES = "/var/lib/larapee-restore/copies"
DRILLS = "/var/lib/larapee-restore/drill"
INVENTORY = "/etc/larapee-backup/inventory.yml"
WRAPPER = "/opt/larapee-backup/current/bin/larapee-backup"
STEPS = (
    *("source", "server", "database", "fingerprint", "newest", "uploads", "config", "app", "references"),
    *("side_effects", "app_key", "migrate", "health", "login", "order"),
)
WRONG_KEY = f"base64:{'A' * 43}="
FLIP = """
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(5000)
    byte = file.read(1)[0]
    file.seek(5000)
    file.write(bytes([byte ^ 1]))
"""
BROKEN = """<?php return new class extends Illuminate\\Database\\Migrations\\Migration {
    public function up(): void { throw new Exception('no such column'); }
};
"""


def container(name: str) -> str:
    done = subprocess.run([TOP / "scripts/hosts", "name", name], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True, capture_output=True)


def connect(name: str) -> Host:
    os.environ["CONTAINERS_CONF"] = str(TOP / ".cache/containers/containers.conf")
    return testinfra.get_host(f"podman://{container(name)}")


def wait(what: str, ask: Callable[[], object], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < ends, f"waited {seconds:g} seconds for {what}"
        time.sleep(2)


def ended(staging: Host, kind: str) -> list[dict[str, Any]]:
    """The rows of those that ended, the oldest first."""
    done = staging.run("python3 -c %s", RUNS)
    rows = json.loads(done.stdout) if done.rc == 0 else []
    return [
        {**row, "details": json.loads(row["details"] or "{}")}
        for row in rows
        if row["kind"] == kind and row["status"] != "pending"
    ]


def drills(staging: Host) -> list[dict[str, Any]]:
    return ended(staging, "drill")


def proofs(staging: Host, slips: int) -> list[dict[str, Any]]:
    """The rows of drills that found as many slips, each with its hash."""
    found = []
    for row in drills(staging):
        hashed = [each.get("hashed", 0) for each in row["details"].get("steps", []) if each["name"] == "references"]
        if row["status"] == "success" and hashed[0] >= slips:
            found.append(row)
    return found


def mariadb(host: Host, query: str) -> str:
    answer: str = host.check_output("mariadb --batch --skip-column-names larapos --execute %s", query)
    return answer


def sell(shop: Host) -> None:
    """Until there are slips, which are files that rows name."""
    shop.check_output("sh -c %s", 'umask 077; echo -n "the cashier\'s own words" >/root/password')
    argv = "lab-pos-sell --email cashier@lab.example --password-file /root/password --acknowledged /root/sold"
    shop.check_output("sh -c %s", f"systemd-run --quiet --unit=seller {argv}")
    wait("slips", lambda: int(mariadb(shop, "SELECT COUNT(*) FROM payment_slips")) > 1, 60)


@pytest.fixture(scope="module", params=["001", "002"])
def pair(request: pytest.FixtureRequest) -> tuple[Host, Host]:
    return connect(f"branch-{request.param}"), connect(f"staging-{request.param}")


@pytest.mark.timeout(1200)
def test_both_branches_are_proven_by_the_timer(pair: tuple[Host, Host]) -> None:
    shop, staging = pair
    sell(shop)
    slips = int(mariadb(shop, "SELECT COUNT(*) FROM payment_slips"))
    live = mariadb(staging, "SELECT COUNT(*) FROM orders")
    wait("a drill that proves what was sold", lambda: proofs(staging, slips), 900)
    proven = proofs(staging, slips)[0]
    assert proven["branch"] == shop.check_output("hostname")
    assert {each["name"]: each["result"] for each in proven["details"]["steps"]} == dict.fromkeys(STEPS, "OK")
    assert proven["details"]["within_rto"]
    # Nobody started it but the timer, and the weekly one waits for its day.
    assert staging.check_output("systemctl show -p TriggeredBy --value larapee-backup-drill-soon.service") == (
        "larapee-backup-drill-soon.timer"
    )
    assert "Sun *-*-* 05:00:00" in staging.check_output("systemctl show -p TimersCalendar larapee-backup-drill.timer")
    # What lives on staging is as it was.
    assert mariadb(staging, "SELECT COUNT(*) FROM orders") == live


@pytest.mark.timeout(300)
def test_the_key_is_proven_by_its_unit(pair: tuple[Host, Host]) -> None:
    shop, staging = pair
    assert "Wed *-*-* 05:00:00" in staging.check_output(
        "systemctl show -p TimersCalendar larapee-backup-key-drill.timer"
    )
    staging.check_output("systemctl start --wait larapee-backup-key-drill.service")
    row = ended(staging, "verify")[-1]
    assert (row["status"], row["branch"]) == ("success", shop.check_output("hostname"))
    assert row["details"]["place"] == "key"
    assert row["details"]["key_drill"]


class Place:
    """What branch-001 made, copied to where staging reads it instead of the bucket: to be spoilt."""

    def __init__(self, shop: Host, staging: Host, directory: Path) -> None:
        self.shop, self.staging, self.directory = shop, staging, directory

    def back_up(self) -> None:
        self.shop.check_output("systemctl start --wait larapee-backup-full-soon.service")

    def newest(self, pattern: str) -> str:
        found: str = self.staging.check_output("sh -c %s", f"ls -t $(find {COPIES} -name '{pattern}') | head -n 1")
        return found

    def copy(self) -> None:
        local = self.directory / "local"
        podman("cp", f"{container('branch-001')}:{LOCAL}/.", str(local))
        self.staging.check_output(f"rm -rf {COPIES}")
        podman("cp", str(local), f"{container('staging-001')}:{COPIES}")
        self.staging.check_output(f"chown -R larapee-restore: {COPIES}")

    def drill(self) -> dict[str, Any]:
        before = len(drills(self.staging))
        # The unit that the weekly timer starts; it fails as its drill does.
        self.staging.run("systemctl start --wait larapee-backup-drill.service")
        assert len(drills(self.staging)) == before + 1
        assert self.staging.check_output(f"ls {DRILLS}") == "state"
        assert self.staging.run(f"grep -lz LARAPEE_BACKUP_DRILL={DRILLS} /proc/*/environ").stdout == ""
        return drills(self.staging)[-1]

    def fails(self, step: str, reason: str, words: str) -> None:
        row = self.drill()
        assert (row["status"], row["details"]["reason"]) == ("failed", reason), row
        found = {each["name"]: each["result"] for each in row["details"]["steps"]}
        assert [name for name in STEPS if found[name] == "FAILED"] == [step]
        assert words in row["error"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    shop, staging = connect("branch-001"), connect("staging-001")
    shop.run("systemctl stop seller.service")
    # The branch makes a full when this test asks for one, and staging drills when it asks.
    for name in ("full-soon", "full", "increment", "log"):
        shop.check_output(f"systemctl stop larapee-backup-{name}.timer")
    staging.check_output("systemctl stop larapee-backup-drill-soon.timer")
    wait("its drill to end", lambda: not staging.service("larapee-backup-drill-soon").is_running, 180)
    inventory = yaml.safe_load(staging.check_output(f"cat {INVENTORY}"))
    inventory["staging"]["vars"]["larapee_backup_restore_source"] = COPIES
    directory = tmp_path_factory.mktemp("place")
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
    podman("cp", str(directory / "inventory.yml"), f"{container('staging-001')}:{INVENTORY}")
    made = Place(shop, staging, directory)
    made.back_up()
    return made


@pytest.mark.timeout(300)
def test_what_is_whole_is_proven(place: Place) -> None:
    place.copy()
    row = place.drill()
    assert row["status"] == "success", row["error"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("pattern", "step"), [("db-*.sql.gz.age", "newest"), ("public-uploads-*.tar.zst.age", "uploads")]
)
def test_a_flipped_byte(place: Place, pattern: str, step: str) -> None:
    place.copy()
    name = place.newest(pattern)
    place.staging.check_output("python3 -c %s %s", FLIP, name)
    place.fails(step, "not_intact", Path(name).name)


@pytest.mark.timeout(300)
def test_a_missing_upload(place: Place) -> None:
    path = mariadb(place.shop, "SELECT path FROM payment_slips ORDER BY id LIMIT 1")
    place.shop.check_output(f"mv /var/www/storage/app/public/{path} /root/slip")
    try:
        place.back_up()
    finally:
        place.shop.check_output(f"mv /root/slip /var/www/storage/app/public/{path}")
    place.copy()
    place.fails("references", "references_missing", path)


@pytest.mark.timeout(300)
def test_another_app_key(place: Place) -> None:
    place.shop.check_output("cp -p /var/www/.env /root/env")
    place.shop.check_output(f"sed -i 's|^APP_KEY=.*|APP_KEY={WRONG_KEY}|' /var/www/.env")
    try:
        place.back_up()
    finally:
        place.shop.check_output("cp -p /root/env /var/www/.env")
    place.copy()
    place.fails("app_key", "app_key", "pos:app-key-check")


@pytest.mark.timeout(300)
def test_a_broken_migration(place: Place) -> None:
    place.back_up()
    place.copy()
    path = "/var/www/database/migrations/2030_01_01_000000_break.php"
    place.staging.check_output("sh -c %s", f"cat >{path} <<'END'\n{BROKEN}END\nchgrp www-data {path}")
    try:
        place.fails("migrate", "migrate", "no such column")
    finally:
        place.staging.check_output(f"rm {path}")


@pytest.mark.timeout(300)
def test_a_stale_set(place: Place) -> None:
    place.copy()
    older = place.directory / "older"
    (place.directory / "local").rename(older)
    place.back_up()
    place.copy()
    assert place.drill()["status"] == "success"
    place.staging.check_output(f"rm -rf {COPIES}")
    podman("cp", str(older), f"{container('staging-001')}:{COPIES}")
    place.staging.check_output(f"chown -R larapee-restore: {COPIES}")
    place.fails("newest", "stale_set", "is known")

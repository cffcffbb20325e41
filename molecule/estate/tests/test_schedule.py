# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timers and cron on a real host: they fire, in their sandbox; a changed calendar does not; a job that went is gone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
READ_ALL = "0000000000000004"
SOON: dict[str, Any] = {
    "name": "soon",
    "playbook": "larapee.backup.verify",
    "every": 10,
    "account": "tell",
    "capabilities": ["CAP_DAC_READ_SEARCH"],
    "writable_paths": ["/srv/started"],
}
DAILY: dict[str, Any] = {**SOON, "name": "daily", "at": "23:15", "time_zone": "UTC"}
del DAILY["every"]

pytestmark = pytest.mark.xdist_group("schedule")


def schedule(jobs: list[dict[str, Any]], *more: str, scheduler: str = "systemd") -> str:
    chosen = {"larapee_backup_schedule_jobs": jobs, "larapee_backup_scheduler": scheduler}
    inventories = [TOP / "molecule/localhost.yml", TOP / ".cache/molecule/inventory.yml"]
    argv = ["ansible-playbook", *[f"--inventory={path}" for path in inventories], "-e", json.dumps(chosen), *more]
    done = subprocess.run(
        [*argv, TOP / "molecule/estate/files/schedule.yml"],
        cwd=TOP, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def _nothing_scheduled(staging: Host) -> Iterator[None]:
    yield
    schedule([])
    staging.check_output("rm -f /srv/started/* /srv/elsewhere/*")


def started(host: Host) -> list[str]:
    return host.run("cat /srv/started/log").stdout.splitlines()


def test_a_timer_fires_by_itself_in_its_sandbox(
    staging: Host, wait_for: Callable[[str, Callable[[], object], float], object]
) -> None:
    assert "changed=0" not in schedule([SOON], "--check")
    assert not staging.file("/etc/systemd/system/larapee-backup-soon.timer").exists
    schedule([SOON])
    assert "changed=0" in schedule([SOON])
    wait_for("two starts", lambda: len(started(staging)) > 1, 60)
    assert set(started(staging)) == {"tell run larapee.backup.verify -i /etc/larapee-backup/inventory.yml"}
    assert READ_ALL in staging.check_output("cat /srv/started/capabilities")
    assert not staging.file("/srv/elsewhere/file").exists
    assert staging.check_output("systemctl show -p NoNewPrivileges --value larapee-backup-soon.service") == "yes"


def test_a_changed_calendar_does_not_make_up_for_a_time_that_it_never_had(staging: Host) -> None:
    schedule([DAILY])
    stamp = "/var/lib/systemd/timers/stamp-larapee-backup-daily.timer"
    staging.check_output(f"touch -d '2 days ago' {stamp}")
    staging.check_output("systemctl daemon-reload")
    passed = staging.check_output("date -u -d '-2 minutes' +%H:%M")
    schedule([{**DAILY, "at": passed}])
    staging.check_output("sleep 3")
    assert started(staging) == []
    # A host that was off at that time does make up for it.
    staging.check_output("systemctl stop larapee-backup-daily.timer")
    staging.check_output(f"touch -d '2 days ago' {stamp}")
    staging.check_output("systemctl start larapee-backup-daily.timer")
    staging.check_output("sleep 3")
    assert len(started(staging)) == 1


def test_a_job_that_went_takes_its_units_along(staging: Host) -> None:
    schedule([SOON, DAILY])
    schedule([DAILY])
    units = staging.check_output("systemctl list-unit-files --no-legend 'larapee-backup-soon*' || true")
    assert units == ""
    assert staging.service("larapee-backup-daily.timer").is_running
    assert "changed=0" in schedule([DAILY])


def test_cron_instead_of_timers(staging: Host, wait_for: Callable[[str, Callable[[], object], float], object]) -> None:
    schedule([SOON, DAILY])
    minutely = {**SOON, "every": 60}
    schedule([minutely, DAILY], scheduler="cron")
    assert staging.run("ls /etc/systemd/system/larapee-backup-*").rc != 0
    assert "changed=0" in schedule([minutely, DAILY], scheduler="cron")
    wait_for("cron", lambda: started(staging), 100)
    assert started(staging)[0].startswith("tell run ")
    assert READ_ALL in staging.check_output("cat /srv/started/capabilities")
    schedule([DAILY])
    assert staging.run("ls /etc/cron.d/larapee-backup-*").rc != 0

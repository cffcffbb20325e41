# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts are what the tests take them for, and the roles left them in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

    WaitFor = Callable[[str, Callable[[], object], float], object]


def test_the_branches_are_of_two_releases_of_debian(branch: Host, code: str) -> None:
    assert branch.system_info.distribution == "debian"
    assert branch.system_info.release.split(".")[0] == {"branch-001": "12", "branch-002": "13"}[code]


def test_the_shop_sells(branch: Host) -> None:
    count = "mariadb --batch --skip-column-names larapos --execute 'SELECT COUNT(*) FROM orders'"
    before = int(branch.check_output(count))
    branch.check_output("sleep 3")
    assert int(branch.check_output(count)) > before


def test_branch_can_be_reached_from_central_by_its_name(central: Host, branch: Host, code: str) -> None:
    key = branch.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()[1]
    assert key in central.check_output("ssh-keyscan -T 30 -t ed25519 %s", code)


def test_central_keeps_what_it_adopted_from_everybody_but_root(central: Host) -> None:
    for below, owner, mode in (("incoming", "root", 0o711), ("branches", "root", 0o700), ("quarantine", "root", 0o700)):
        directory = central.file(f"/srv/backups/larapee/{below}")
        assert (below, directory.user, directory.mode) == (below, owner, mode)
    for branch in ("branch-001", "branch-002"):
        assert central.file(f"/srv/backups/larapee/incoming/{branch}").user == "larapee-pull"
        assert central.file(f"/srv/backups/larapee/branches/{branch}").user == "root"


def test_a_person_starts_a_run_without_naming_an_inventory(branch: Host, central: Host) -> None:
    previewed = branch.run("runuser -u larapee-backup -- larapee-backup run larapee.backup.retention --check")
    assert previewed.rc == 0, previewed.stdout + previewed.stderr
    previewed = central.run("larapee-backup run larapee.backup.retention_central --check")
    assert previewed.rc == 0, previewed.stdout + previewed.stderr


def test_no_unit_of_ours_stays_failed(branch: Host, central: Host, wait_for: WaitFor) -> None:
    """One that verifies a place before anything was copied there fails, and rightly so."""
    listed = "systemctl list-units --all --state=failed --plain --no-legend 'larapee-backup-*'"
    wait_for("no failed unit", lambda: not any(host.check_output(listed) for host in (branch, central)), 600)

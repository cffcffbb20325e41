# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the accounts of backups can do on prepared hosts, tried as these accounts with the tools of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testinfra.host import Host

OPERATOR, PULLER = "larapee-backup", "larapee-pull"
TEMPORARY = ("/tmp", "/var/tmp", "/run/lock")  # noqa: S108 - named, not used
IDENTITY = "AGE-SECRET-KEY-1[0-9A-Z]{50}"
HAYSTACK = "/etc /home /root /srv /usr/local /var/backups /var/lib/larapee-backup /var/www"


def as_account(host: Host, account: str, command: str) -> tuple[int, str]:
    done = host.run("runuser -u %s -- sh -c %s", account, command)
    return done.rc, done.stdout + done.stderr


def may_write(host: Host, account: str) -> set[str]:
    skipped = r"\( -path /proc -o -path /sys -o -path /dev -o -path /run/user \) -prune"
    _code, found = as_account(host, account, f"find / {skipped} -o -writable ! -type l -print 2>/dev/null")
    sockets = r"find /run -type s 2>/dev/null"
    written = set(found.split()) - set(host.check_output(sockets).split())
    return {path for path in written if not path.startswith(TEMPORARY)}


@pytest.mark.parametrize("account", [OPERATOR, PULLER])
def test_no_account_of_backups_may_use_sudo_or_a_password(branch: Host, central: Host, account: str) -> None:
    host = branch if account == OPERATOR else central
    assert "is not allowed to run sudo" in host.run("sudo -n -l -U %s", account).stdout
    assert host.check_output("getent shadow %s", account).split(":")[1] in ("*", "!", "!*")
    assert host.check_output("id --groups --name %s", account) == account


def test_the_operator_writes_its_place_and_its_state_only(branch: Host) -> None:
    own = ("/var/backups/larapee/local", "/var/lib/larapee-backup")
    files = {"/etc/larapee-backup/operator.cnf", "/etc/larapee-backup/binlog.cnf", "/etc/larapee-backup/signing_key"}
    strange = {path for path in may_write(branch, OPERATOR) if not path.startswith(own)} - files
    assert strange == set()


def test_the_puller_writes_what_comes_in_and_its_keys_only(central: Host) -> None:
    own = ("/srv/backups/larapee/incoming/branch-", "/etc/larapee-backup/ssh/pull_key", "/etc/larapee-backup/ssh/ack")
    assert {path for path in may_write(central, PULLER) if not path.startswith(own)} == set()


def test_a_branch_holds_nothing_that_opens_a_backup_or_reaches_a_bucket(branch: Host) -> None:
    for secret in (IDENTITY, "aws_secret_access_key"):
        assert branch.run(f"grep -rlEs '{secret}' {HAYSTACK}").stdout == ""
    code, said = as_account(branch, OPERATOR, "age --decrypt -i /etc/larapee-backup/signing_key /etc/hostname")
    assert code != 0, said


def test_central_holds_nothing_that_opens_a_backup(central: Host) -> None:
    assert central.run(f"grep -rlEs '{IDENTITY}' {HAYSTACK}").stdout == ""


@pytest.mark.parametrize("account", [PULLER, OPERATOR, "root"])
def test_no_key_of_a_branch_opens_central(branch: Host, central: Host, account: str) -> None:
    address = central.check_output("hostname --all-ip-addresses").split()[0]
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10"
    login = f"ssh -F none -i /etc/larapee-backup/signing_key {options} {account}@{address} id"
    code, said = as_account(branch, OPERATOR, login)
    assert (code, "Permission denied" in said) == (255, True), said


def test_the_puller_reads_nothing_of_what_was_adopted(central: Host) -> None:
    for path in ("branches", "quarantine", "snapshots", "branches/branch-001"):
        code, said = as_account(central, PULLER, f"ls /srv/backups/larapee/{path}")
        assert (code, "Permission denied" in said) == (2, True), said
    for path in ("/etc/larapee-backup/config.yml", "/etc/larapee-backup/s3/.", "/var/lib/larapee-backup/."):
        assert as_account(central, PULLER, f"test -r {path}")[0] == 1, path

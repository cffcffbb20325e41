# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches and central know each other and nobody else; keys go by rotation, and one that was interrupted goes on."""

from __future__ import annotations

import configparser
import contextlib
import datetime as dt
import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

if TYPE_CHECKING:
    from testinfra.host import Host

TOP = Path(__file__).resolve().parents[3]
ETC = "/etc/larapee-backup"
INVENTORIES = [
    TOP / name for name in ("molecule/localhost.yml", ".cache/molecule/inventory.yml", "molecule/inventory.yml")
]

pytestmark = pytest.mark.xdist_group("enrolled")


class Estate:
    """Plays the playbooks of this file's subject, with the restorer's keys at hand."""

    def __init__(self, directory: Path) -> None:
        self._state = directory / "state"
        self._state.mkdir()
        # The estate's own, so that what is made after these tests opens like what was made before.
        self.identity = TOP / ".cache/molecule/identities.txt"
        self.recipients = (TOP / ".cache/molecule/recipients.txt").read_text().split()

    def play(self, playbook: str | Path, *more: str, status: int = 0, **variables: Any) -> int:
        """Play it and return how many tasks changed something."""
        variables = {"larapee_backup_age_recipients": self.recipients} | variables
        variables |= {"larapee_backup_restore_age_identity": str(self.identity)}
        argv = ["ansible-playbook", *[f"--inventory={path}" for path in INVENTORIES], str(playbook), *more]
        done = subprocess.run(
            [*argv, "-e", json.dumps(variables)],
            cwd=TOP,
            env={**os.environ, "LARAPEE_BACKUP_STATE_DIR": str(self._state), "MOLECULE_PROJECT_DIRECTORY": str(TOP)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "AGE-SECRET-KEY" not in done.stdout + done.stderr
        return sum(int(count) for count in re.findall(r"changed=(\d+)", done.stdout))

    def rotate(self, *more: str, **variables: Any) -> int:
        return self.play("larapee.backup.rotate_keys", *more, **variables)

    def told_keys(self, code: str) -> dict[str, dict[str, str]]:
        """What the row of the last rotation says of the keys of a branch."""
        query = "SELECT details FROM backup_runs WHERE kind = 'rotate' AND branch = ? ORDER BY started_at DESC"
        with contextlib.closing(sqlite3.connect(self._state / "runs.sqlite")) as runs:
            (details,) = runs.execute(query, (code,)).fetchone()
        found: dict[str, dict[str, str]] = json.loads(details)["keys"]
        return found


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    estate = Estate(tmp_path_factory.mktemp("enrolled"))
    estate.play("larapee.backup.enrol")
    return estate


def ssh(central: Host, code: str, words: str, key: str = "pull_key") -> Any:
    known = f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={ETC}/ssh/known_hosts -o BatchMode=yes"
    identity = f"-F /dev/null -o IdentitiesOnly=yes -i {ETC}/ssh/{key}/{code}"
    inventory = yaml.safe_load(central.file(f"{ETC}/inventory.yml").content_string)
    address = inventory["branches"]["hosts"][code]["larapee_backup_ssh_host"]
    return central.run(f"runuser -u larapee-pull -- ssh {identity} {known} larapee-backup@{address} {words}")


def keys(branch: Host) -> list[str]:
    lines = branch.file(f"{ETC}/ssh/authorized_keys").content_string.splitlines()
    return [line.split()[-1] for line in lines if "ssh-ed25519" in line]


def test_enrolling_again_changes_nothing(estate: Estate) -> None:
    assert estate.play("larapee.backup.enrol") == 0


def test_private_keys_are_read_by_the_account_that_pulls_alone(estate: Estate, central: Host, code: str) -> None:
    for name in ("pull_key", "acknowledge_key"):
        key = central.file(f"{ETC}/ssh/{name}/{code}")
        assert (key.user, key.mode) == ("larapee-pull", 0o600)
    assert central.file(f"{ETC}/ssh/known_hosts").mode == 0o644
    assert central.run("runuser -u nobody -- ls %s/ssh", ETC).rc != 0


def test_central_and_the_restorer_believe_the_branch_that_was_read(
    estate: Estate, branch: Host, code: str, central: Host, staging: Host
) -> None:
    signing = branch.file(f"{ETC}/signing_key.pub").content_string.split()[1]
    for host in (central, staging):
        lines = host.file(f"{ETC}/allowed_signers").content_string.splitlines()
        assert [line.split()[0] for line in lines if signing in line] == [code]
    assert branch.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()[1] in (
        central.file(f"{ETC}/ssh/known_hosts").content_string
    )


@pytest.mark.parametrize("words", ["id", "cat /etc/shadow", "'rsync --server -e.Lsfx . /tmp'", "-W localhost:22"])
def test_the_pull_key_opens_nothing_but_the_artifacts(estate: Estate, central: Host, code: str, words: str) -> None:
    came = ssh(central, code, words)
    assert came.rc != 0
    assert "uid=" not in came.stdout
    assert "root:" not in came.stdout


def test_a_key_of_another_branch_is_refused(estate: Estate, central: Host) -> None:
    central.check_output(f"install -o larapee-pull -m 600 {ETC}/ssh/pull_key/branch-002 {ETC}/ssh/branch-001")
    came = ssh(central, "branch-001", "", key=".")
    central.check_output(f"rm {ETC}/ssh/branch-001")
    assert came.rc == 255
    assert "Permission denied" in came.stderr


def test_a_rotation_overlaps_and_ends(estate: Estate, branch: Host, code: str, central: Host) -> None:
    before = keys(branch)
    now: dict[str, Any] = {"larapee_backup_rotate": ["ssh", "recipients"], "larapee_backup_rotate_min_age_days": 0}
    assert estate.rotate("--check", "--limit", code, **now) > 0
    assert keys(branch) == before, "a preview changes nothing"
    estate.rotate("--limit", code, **now)
    both = keys(branch)
    assert both[: len(before)] == before
    assert len(both) == 2 * len(before)
    told = estate.told_keys(code)
    assert {name: fact.get("stage") for name, fact in told.items() if name.startswith("ssh")} == {
        "ssh pull": "overlap",
        "ssh acknowledge": "overlap",
    }
    assert {"signing", "recipients", "s3 writer"} <= told.keys()
    ages = [dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(fact["since"]) for fact in told.values()]
    assert all(dt.timedelta(seconds=-5) < age < dt.timedelta(days=1) for age in ages), told
    assert estate.rotate("--limit", code, **now) == 0, "nothing new begins within the overlap"
    estate.rotate("--limit", code, larapee_backup_rotate_overlap_seconds=0)
    assert keys(branch) == both[len(before) :]
    assert central.run(f"ls {ETC}/ssh/pull_key.old/{code}").rc != 0
    assert ssh(central, code, "id").rc not in (0, 255)


def test_a_rotation_never_uses_a_key_that_does_not_open_its_door(
    estate: Estate, branch: Host, code: str, central: Host
) -> None:
    known = central.file(f"{ETC}/ssh/pull_key/{code}").content_string
    branch.check_output("mv /etc/ssh/sshd_config.d/60-larapee-backup.conf /root/ && systemctl reload ssh")
    try:
        estate.rotate("--limit", code, status=2, larapee_backup_rotate=["ssh"], larapee_backup_rotate_min_age_days=0)
        assert central.file(f"{ETC}/ssh/pull_key/{code}").content_string == known
    finally:
        branch.check_output("mv /root/60-larapee-backup.conf /etc/ssh/sshd_config.d/ && systemctl reload ssh")
    following = central.check_output(f"ssh-keygen -y -f {ETC}/ssh/pull_key.next/{code}").split()[1]
    estate.rotate("--limit", code, larapee_backup_rotate_overlap_seconds=0)
    assert keys(branch)[0] == following, "run again, it goes on with the key that it had made"
    assert len(keys(branch)) == 2


def test_a_rotation_of_the_signing_key_leaves_all_that_was_signed_good(
    estate: Estate, branch: Host, code: str, central: Host, staging: Host
) -> None:
    def listed(host: Host, public: str) -> list[str]:
        lines = host.file(f"{ETC}/allowed_signers").content_string.splitlines()
        return [line for line in lines if public in line]

    def is_good(host: Host, signature: str) -> bool:
        words = f"printf receipt | ssh-keygen -Y verify -f {ETC}/allowed_signers -I {code} -n larapee-backup"
        return bool(host.run(f"set -e; f=$(mktemp); echo '{signature}' >$f; {words} -s $f").rc == 0)

    def sign(name: str = "signing_key") -> str:
        said = f"printf receipt | ssh-keygen -q -Y sign -f {ETC}/{name} -n larapee-backup"
        return str(branch.check_output(f"runuser -u larapee-backup -- sh -c '{said}'"))

    old = branch.file(f"{ETC}/signing_key.pub").content_string.split()[1]
    staging.check_output(f"mv {ETC}/allowed_signers {ETC}/away && mkdir {ETC}/allowed_signers")
    only = {"larapee_backup_rotate": ["signing"], "larapee_backup_rotate_min_age_days": 0}
    try:
        estate.rotate("--limit", code, status=2, **only)
    finally:
        staging.check_output(f"rmdir {ETC}/allowed_signers && mv {ETC}/away {ETC}/allowed_signers")
    assert branch.file(f"{ETC}/signing_key.pub").content_string.split()[1] == old, "not in use before all believe it"
    before = sign()
    assert estate.rotate("--limit", code, **only) > 0
    new = branch.file(f"{ETC}/signing_key.pub").content_string.split()[1]
    after = sign()
    assert new != old
    assert before != after
    assert branch.run(f"ls {ETC}/signing_key.old {ETC}/signing_key.next").stdout == ""
    for host in (branch, central, staging):
        assert "valid-before" in listed(host, old)[0]
        assert "valid-before" not in listed(host, new)[0]
        assert is_good(host, after)
        assert not is_good(host, before), "what the old key signs now"
    assert estate.play("larapee.backup.enrol") == 0, "what was rotated is what enrolment wants"
    # Artifacts of before stay good at central; tests of timers wait for new ones, signed by the new key.
    only_it = json.dumps({"larapee_backup_branches": [code]})
    checked = central.run("larapee-backup run larapee.backup.verify_central -e %s", only_it)
    assert checked.rc == 0, checked.stdout + checked.stderr


def test_a_rotation_of_the_storages_keys_ends_when_the_old_one_is_refused(
    estate: Estate, code: str, central: Host, tmp_path: Path
) -> None:
    def key_of(text: str) -> str:
        parser = configparser.ConfigParser()
        parser.read_string(text)
        return parser["s3"]["access_key"]

    admin = configparser.ConfigParser()
    admin.read(TOP / ".cache/molecule/s3/administrator.ini")
    hosts = yaml.safe_load((TOP / ".cache/molecule/inventory.yml").read_text())["all"]["children"]["storage"]["hosts"]
    session = boto3.session.Session(admin["s3"]["access_key"], admin["s3"]["secret_key"], region_name="us-east-1")
    endpoint, ca = f"https://{hosts['storage-001']['ansible_host']}:8333", str(TOP / ".cache/molecule/s3/ca.pem")
    iam = session.client("iam", endpoint_url=endpoint, verify=ca)
    current = f"{ETC}/s3/writer.ini"
    old = key_of(central.file(current).content_string)
    made = iam.create_access_key(UserName="writer")["AccessKey"]
    new = tmp_path / "writer.ini"
    new.write_text(f"[s3]\naccess_key = {made['AccessKeyId']}\nsecret_key = {made['SecretAccessKey']}\n")
    now = {"larapee_backup_rotate": ["s3"], "larapee_backup_rotate_s3_credentials": {"writer": str(new)}}
    estate.rotate("--limit", code, **now)
    assert key_of(central.file(current).content_string) == made["AccessKeyId"]
    assert central.file(current).mode == 0o600
    assert estate.told_keys(code)["s3 writer"]["stage"] == "overlap"
    copied = central.run("larapee-backup run larapee.backup.offsite")
    assert copied.rc == 0, copied.stdout + copied.stderr
    over = now | {"larapee_backup_rotate_overlap_seconds": 0}
    estate.rotate("--limit", code, status=2, **over)
    assert key_of(central.file(f"{current}.old").content_string) == old, "the storage still takes it"
    iam.delete_access_key(UserName="writer", AccessKeyId=old)
    estate.rotate("--limit", code, **over)
    assert central.run(f"ls {current}.old").rc != 0
    assert estate.told_keys(code)["s3 writer"]["stage"] == "at rest"
    assert estate.rotate("--limit", code, **over) == 0


def test_a_rotation_takes_a_recipient_when_proved_and_leaves_it_after_the_overlap(
    estate: Estate, branch: Host, code: str
) -> None:
    lost = re.findall(r"age1\S+", subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout)

    def taken() -> list[str]:
        return re.findall(r"^age1\S+", branch.file(f"{ETC}/recipients.txt").content_string, re.MULTILINE)

    estate.rotate("--limit", code, larapee_backup_rotate_overlap_seconds=0)
    assert sorted(taken()) == sorted(estate.recipients)
    estate.rotate("--limit", code, status=2, larapee_backup_age_recipients=estate.recipients + lost)
    assert sorted(taken()) == sorted(estate.recipients), "nobody could restore with that key"
    one = estate.recipients[:1]
    estate.rotate("--limit", code, larapee_backup_age_recipients=one, larapee_backup_rotate_overlap_seconds=86400)
    assert sorted(taken()) == sorted(estate.recipients)
    estate.rotate("--limit", code, larapee_backup_age_recipients=one, larapee_backup_rotate_overlap_seconds=0)
    assert taken() == one

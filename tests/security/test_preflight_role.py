# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role preflight as a playbook runs it: the inventory of all branches is compared, and nothing changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}"


class Estate:
    """Two branches and a central, all of them this machine; every path below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "etc"
        self.app = directory / "app"
        self.etc.mkdir()
        self.app.mkdir()
        (self.app / ".env").write_text("DB_USERNAME=shop\nDB_PASSWORD=theirs\n")
        for name in ("operator", "binlog"):
            path = self.etc / f"{name}.cnf"
            path.write_text(f"[client]\nuser={name}\npassword=of-{name}\nsocket=/run/mysqld/mysqld.sock\n")
            path.chmod(0o600)
        (self.etc / "signing_key").touch(0o600)
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "larapee_backup_branch": "{{ inventory_hostname }}",
            "larapee_backup_app_path": str(self.app),
            "larapee_backup_state_path": str(directory / "state"),
            "larapee_backup_local_path": str(directory / "local"),
            "larapee_backup_age_recipients": ["age1" + "q" * 58, "age1" + "p" * 58],
            "larapee_backup_signing_key": str(self.etc / "signing_key"),
            "larapee_backup_db_option_file": str(self.etc / "operator.cnf"),
            "larapee_backup_binlog_option_file": str(self.etc / "binlog.cnf"),
        }
        self.branches: dict[str, dict[str, Any]] = {"branch-001": {}, "branch-002": {}}

    def run(self, side: str, *arguments: str, **variables: Any) -> tuple[int, str]:
        inventory = {
            "all": {"vars": self.variables},
            "branches": {"hosts": self.branches},
            "central": {"hosts": {"central-host": {}}},
        }
        play = {
            "hosts": "branches" if side == "branch" else side,
            "gather_facts": False,
            "vars": {"larapee_backup_preflight_side": side},
            "roles": ["larapee.backup.preflight"],
        }
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
        (self.directory / "play.yml").write_text(yaml.safe_dump([play]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment = kept | {
            "ANSIBLE_COLLECTIONS_PATH": str(TOP / "collection"),
            "ANSIBLE_HOME": str(self.directory / "ansible-home"),
            "ANSIBLE_NOCOLOR": "1",
        }
        given = json.dumps(variables | {"_preflight_etc": str(self.etc)})
        argv = ["ansible-playbook", "-i", "inventory.yml", "play.yml", "-e", given, *arguments]
        done = subprocess.run(
            argv, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    tmp_path.chmod(0o755)
    return Estate(tmp_path)


def test_a_sound_branch_passes_and_nothing_is_changed(estate: Estate) -> None:
    code, output = estate.run("branch")
    assert code == 0, output
    assert "changed=0" in output
    assert "of-operator" not in output


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_contradictions_are_refused_all_at_once_in_check_mode_too(estate: Estate, check: list[str]) -> None:
    for each in estate.branches.values():
        each["larapee_backup_signing_public_key"] = KEY.format("AAAA")
    (estate.app / ".env").write_text("DB_USERNAME=operator\n")
    (estate.directory / "local").mkdir()
    (estate.directory / "local/id").write_text("AGE-SECRET-KEY-1" + "Q" * 58)
    code, output = estate.run("branch", *check, larapee_backup_log_interval=1800, larapee_backup_retention_days=1)
    assert code == 2
    assert "Failed to pass the preflight: 5 finding(s), and nothing was changed." in output
    for name in ("objectives", "retention", "accounts", "shared_keys", "identities"):
        assert f"[{name}, REFUSED]" in output


def test_codes_and_keys_of_all_branches_are_compared_on_central(estate: Estate) -> None:
    ssh = estate.etc / "ssh"
    for name in ("pull_key", "acknowledge_key"):
        (ssh / name).mkdir(parents=True)
    (estate.etc / "allowed_signers").write_text("")
    (ssh / "known_hosts").write_text("")
    code, output = estate.run("central", larapee_backup_central_reserve=1)
    assert code == 0, output
    estate.branches["branch-001-new"] = {"larapee_backup_branch": "branch-001", "larapee_backup_db_server_id": 2}
    estate.branches["branch-002"] = {"larapee_backup_db_server_id": 2}
    code, output = estate.run("central", larapee_backup_central_reserve=1, larapee_backup_offsite_lock_days=30)
    assert code == 2
    for name in ("branch_codes", "shared_keys", "cold_lock"):
        assert f"[{name}, REFUSED]" in output
    plain = {"larapee_backup_s3_endpoint": "http://s3.example.com", "larapee_backup_central_reserve": 1}
    assert "[s3_tls, REFUSED]" in estate.run("central", **plain)[1]
    assert "[s3_tls, REFUSED]" not in estate.run("central", **plain, larapee_backup_s3_allow_plain=True)[1]
    (ssh / "known_hosts").unlink()
    code, output = estate.run("central", larapee_backup_central_reserve=1)
    assert "[shared_keys, NOT RUN]" in output


def test_a_live_target_wants_its_code_typed(estate: Estate) -> None:
    source = {"larapee_backup_restore_source": "/srv/copy/branch-001"}
    code, output = estate.run("branch", "--limit", "branch-001", **source)
    assert code == 2
    assert "[restore_target, REFUSED]" in output
    code, output = estate.run("branch", "--limit", "branch-001", **source, larapee_backup_restore_confirm="branch-001")
    assert code == 0, output


def test_a_virgin_host_passes_before_it_is_prepared_and_not_afterwards(estate: Estate) -> None:
    for path in (estate.app / ".env", *estate.etc.iterdir()):
        path.unlink()
    code, output = estate.run("branch", larapee_backup_preflight_unprepared=True)
    assert code == 0, output
    assert "NOT YET" in output
    code, output = estate.run("branch")
    assert code == 2
    assert "[accounts, NOT RUN]" in output

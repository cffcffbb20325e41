# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The branch's host is lost, central is there: the shop comes back over SSH, and no key to central is left anywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.pull.sshd import Sshd

from .branch import BRANCH, RESTORE
from .test_set_restore import back_up, copy, require_same_config, require_same_tree, select, sql, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .branch import Branch, Started


class Estate:
    """``central`` is a host of the inventory, with an sshd that the target reaches."""

    def __init__(self, branch: Branch, root: Path) -> None:
        self.branch = branch
        self.place = root / "branches" / BRANCH
        self.sshd = Sshd(root / "sshd")
        self.sshd.open({})
        self.keys = branch.directory / "run"
        self.inventory = root / "central.yml"
        host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        self.inventory.write_text(yaml.safe_dump({"central": {"hosts": {"vault": host}}}))

    @property
    def url(self) -> str:
        return f"ssh://127.0.0.1:{self.sshd.port}{self.place.parent}"

    def lose_the_branch(self) -> None:
        """As adoption has it: root's, and nobody else's."""
        shutil.copytree(self.branch.local, self.place, ignore=shutil.ignore_patterns("runs", "tip.*"))
        for path in (self.place.parent, self.place, *self.place.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
        shutil.rmtree(self.branch.local)

    def arguments(self, **more: object) -> list[str]:
        options = {
            "larapee_backup_restore_source": self.url,
            "larapee_backup_restore_central_sshd_config": str(self.sshd.etc / "config"),
            "larapee_backup_restore_key_path": str(self.keys),
            **more,
        }
        return ["-i", str(self.inventory), *targets(self.branch), "-e", json.dumps(options)]

    def restore(self, *arguments: str, **more: object) -> tuple[int, Started]:
        return self.branch.playbook(RESTORE, *arguments, *self.arguments(**more))

    def require_nothing_left(self) -> None:
        assert not self.keys.exists()
        assert (self.sshd.etc / "authorized_keys").read_text() == ""
        for secret in ("OPENSSH PRIVATE KEY", "larapee-backup fetch"):
            argv = ["grep", "-rlaF", secret, str(self.branch.directory), str(self.sshd.etc)]
            found = subprocess.run(argv, capture_output=True, text=True).stdout.split()
            assert found in ([], [str(self.sshd.etc / "host_key")]), secret


@pytest.fixture
def estate(branch: Branch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    found = Estate(branch, tmp_path_factory.mktemp("central"))
    yield found
    found.sshd.close()


def test_the_shop_comes_back_from_central_over_ssh(branch: Branch, estate: Estate) -> None:
    back_up(branch, "full")
    sql(branch, "INSERT INTO receipts VALUES (4001, 'B01-20261122-4001', 'the last', X'01')")
    (branch.uploads / "late.jpg").write_bytes(b"late")
    back_up(branch, "log")
    sold = select(branch, branch.database)
    uploads = copy(branch.uploads, branch.directory / "aside" / "uploads")
    config = branch.directory / "aside" / "config"
    for path in branch.config:
        copy(path, config / str(path).lstrip("/"))
    estate.lose_the_branch()
    code, previewed = estate.restore("--check")
    assert code == 0, previewed.output
    estate.require_nothing_left()
    fetched = branch.state / "fetched" / BRANCH
    assert len(list(fetched.glob("*.manifest.json"))) == 5
    code, restored = estate.restore("-vvv")
    assert code == 0, restored.output
    assert "0 artifacts of 0 bytes came" in restored.words, "the preview brought all of it"
    assert select(branch, branch.restored) == sold
    require_same_tree(uploads, branch.directory / "restored-uploads")
    require_same_config(branch, config)
    assert [(row.kind, row.status, row.check_mode) for row in branch.rows()[:2]] == [
        ("restore", "success", False),
        ("restore", "success", True),
    ]
    estate.require_nothing_left()


def test_a_refused_fetch_leaves_nothing_and_says_why(branch: Branch, estate: Estate) -> None:
    back_up(branch, "full")
    estate.lose_the_branch()
    for path in estate.place.glob("*.sig"):
        path.unlink()
    code, refused = estate.restore()
    assert code == 2
    assert "its signature is missing" in refused.words
    assert "its signature is missing" in str(branch.rows()[0].error)
    estate.require_nothing_left()
    code, refused = estate.restore(larapee_backup_restore_source=estate.url + "/nowhere")
    assert code == 2
    assert "there is no such directory" in refused.words
    estate.require_nothing_left()


def test_an_inventory_without_central_is_told(branch: Branch, estate: Estate) -> None:
    code, refused = estate.restore(larapee_backup_restore_central="vault-2")
    assert code == 2
    assert "there is no host vault-2" in refused.words
    estate.require_nothing_left()


def test_a_central_that_ansible_does_not_reach_is_told(branch: Branch, estate: Estate) -> None:
    far = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    estate.inventory.write_text(yaml.safe_dump({"central": {"hosts": {"vault": far}}}))
    code, refused = estate.restore()
    assert code == 2
    assert "Failed to reach vault for ssh://" in refused.words
    assert "Failed to reach vault" in str(branch.rows()[0].error)
    estate.require_nothing_left()


def test_what_a_killed_play_left_ends_by_itself_and_the_next_removes_it(branch: Branch, estate: Estate) -> None:
    back_up(branch, "full")
    estate.lose_the_branch()
    door = estate.sshd.etc / "authorized_keys"
    started = branch.start_playbook(RESTORE, *estate.arguments(larapee_backup_restore_fetch_bandwidth=20))
    ends = time.monotonic() + 60
    while "larapee-backup fetch" not in door.read_text():
        assert time.monotonic() < ends, started.output
        time.sleep(0.05)
    started.process.kill()
    started.process.wait()
    assert 'expiry-time="' in door.read_text()
    code, restored = estate.restore()
    while code != 0 and "is held" in restored.words and time.monotonic() < ends:
        code, restored = estate.restore()
    assert code == 0, restored.output
    estate.require_nothing_left()

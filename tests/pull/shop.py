# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch behind a real sshd on loopback, with the two doors for central, and central itself."""

from __future__ import annotations

import datetime as dt
import os
import pwd
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils import _pull, _rsync, _tip
from tests.pull.sshd import Sshd
from tests.retention.branch import Branch

ROOT = Path(__file__).resolve().parents[2]
ACKNOWLEDGE = ROOT / "collection/ansible_collections/larapee/backup/roles/branch/files/acknowledge.py"
ACCOUNT = "nobody"


class Shop:
    """``local`` is what the branch has, ``central`` central's directory; keys and hosts as enrolment leaves them."""

    def __init__(self, root: Path, keys: Path, code: str) -> None:
        self.code = code
        self.root = root
        self.keys = keys
        self.state = root / "state"
        self.central = root / "central"
        self.ssh = root / "ssh"
        self.shop_state = root / f"shop-{code}"
        self.branch = Branch(root, keys, code=code, directory=root / f"local-{code}")
        self.branch.encrypted = True
        self.branch.state = self.shop_state
        self.branch.now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)
        owner = pwd.getpwnam(ACCOUNT)
        self.make_central()
        for door in ("pull_key", "acknowledge_key"):
            (self.ssh / door).mkdir(parents=True, exist_ok=True)
            key = self.ssh / door / code
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", door, "-f", str(key)], check=True)
            os.chown(key, owner.pw_uid, owner.pw_gid)
        self._sshd = Sshd(root / f"sshd-{code}")
        self.port = 0

    def make_central(self) -> None:
        """Central's directories, as its preparation leaves them."""
        owner = pwd.getpwnam(ACCOUNT)
        for name in ("incoming", "branches", "quarantine"):
            (self.central / name / self.code).mkdir(parents=True, mode=0o700)
        self.central.chmod(0o711)
        (self.central / "incoming").chmod(0o711)
        os.chown(self.incoming, owner.pw_uid, owner.pw_gid)

    @property
    def local(self) -> Path:
        return self.branch.directory

    @property
    def incoming(self) -> Path:
        return self.central / "incoming" / self.code

    @property
    def place(self) -> Path:
        return self.central / "branches" / self.code

    @property
    def acknowledged(self) -> Path:
        return self.shop_state / "acknowledged" / f"{self.code}.json"

    def adopted(self) -> list[str]:
        return sorted(path.name.removesuffix(".manifest.json") for path in self.place.glob("*.manifest.json"))

    def made(self) -> list[str]:
        return sorted(path.name.removesuffix(".manifest.json") for path in self.local.glob("*.manifest.json"))

    def tip(self) -> None:
        request = _tip.TipRequest(
            branch=self.code,
            kind="log",
            local_path=str(self.local),
            state_path=str(self.shop_state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys / self.code),
        )
        _tip.write_tip(request)

    def doors(self) -> dict[Path, str]:
        """By public key of central's, the command that the branch's sshd forces it to."""
        rrsync = shutil.which("rrsync")
        assert rrsync, "rrsync is not in PATH: apt-get install rsync"
        commands = {
            "pull_key": f"{rrsync} -ro {self.local}",
            "acknowledge_key": f"/usr/bin/python3 -I {ACKNOWLEDGE} {self.code} {self.shop_state}",
        }
        return {self.ssh / door / f"{self.code}.pub": command for door, command in commands.items()}

    def open(self) -> Shop:
        """Start the branch's sshd, with the two doors."""
        self._sshd.open(self.doors())
        self.port = self._sshd.port
        (self.ssh / "known_hosts").write_text(self._sshd.known_host())
        return self

    def close(self) -> None:
        self._sshd.close()

    def way(self, **changes: Any) -> _rsync.Way:
        facts: dict[str, Any] = {
            "branch": self.code,
            "host": "127.0.0.1",
            "port": self.port,
            "user": "root",
            "ssh_directory": str(self.ssh),
            "account": ACCOUNT,
            "connect_timeout": 5,
            "silence_timeout": 5,
        }
        return _rsync.Way(**{**facts, **changes})

    def pull(self, *, check_mode: bool = False, way: _rsync.Way | None = None, **changes: Any) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "central_path": str(self.central),
            "allowed_signers": str(self.keys / "allowed_signers"),
            "state_path": str(self.state),
            "run_id": str(uuid.uuid4()),
            "reserve": 0,
        }
        request = _pull.PullRequest(way=way or self.way(), **{**facts, **changes})
        return _pull.pull(request, check_mode=check_mode)

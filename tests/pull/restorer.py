# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that is restored, and the play that lets it in at central."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _door, _fetch_key, _fetch_ssh
from tests.central.central import CODES, defects
from tests.pull.sshd import Sshd

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils import _fetch
    from tests.central.central import Central

CODE = CODES[0]
LARGE = "db-20260305-0010.sql.gz.age"


class Restorer:
    """``branch`` is what central has of one; ``port`` is where the host takes central's sshd to be."""

    def __init__(self, central: Central, root: Path) -> None:
        self.central = central
        self.directory = root / "fetched"
        self.key_directory = root / "run"
        self.branch = central.branch(CODE, runs=3)
        self.branch.run("log")
        self.place = self.branch.directory
        self.sshd = Sshd(root / "sshd")
        self.sshd.open({})
        self.port = self.sshd.port

    @property
    def url(self) -> str:
        return f"ssh://127.0.0.1:{self.port}{self.central.path}/branches"

    @property
    def door_file(self) -> Path:
        return self.sshd.etc / "authorized_keys"

    def door(self, **changes: Any) -> _door.Door:
        facts = {
            "branch": CODE,
            "target": "new-host",
            "path": str(self.place),
            "account": "root",
            "sshd_config": str(self.sshd.etc / "config"),
        }
        return _door.Door(**{**facts, **changes})

    def let_in(self, *, valid_seconds: int = 600) -> None:
        public = _fetch_key.make(str(self.key_directory), branch=CODE)
        self.door().open(public, valid_seconds=valid_seconds)

    def request(self, **changes: Any) -> _fetch_ssh.SshRequest:
        return _fetch_ssh.SshRequest(**self.central.common(CODE, **{"directory": str(self.directory), **changes}))

    def way(self, *, host_keys: list[str] | None = None) -> Any:
        address = _fetch_ssh.parse(self.url, branch=CODE)
        way = _fetch_key.way(address, branch=CODE, key_directory=str(self.key_directory))
        _fetch_key.pin(way, host_keys or self.door().host_keys())
        return way

    def fetch(self, **changes: Any) -> _fetch.FetchOutcome:
        return _fetch_ssh.fetch(self.way(), self.url, self.request(**changes))

    def large(self, size: int) -> bytes:
        stored = os.urandom(size)
        self.branch.place.put(LARGE, sequence=4, stored=stored, signer=CODE, branch=CODE)
        return stored

    def artifacts(self, of: Path | None = None) -> dict[str, bytes]:
        found = (of or self.directory).iterdir()
        wanted = ("db-", "public-uploads-", "config-")
        return {path.name: path.read_bytes() for path in found if path.name.startswith(wanted)}

    def defects(self) -> list[str]:
        names = sorted(name for name in self.artifacts() if not name.endswith((".json", ".sig")))
        sums = subprocess.run(["sha256sum", *names], cwd=self.directory, capture_output=True, check=True).stdout
        (self.directory / "SHA256SUMS").write_bytes(sums)
        found = defects(self.directory, self.central.keys, self.directory.parent, CODE)
        (self.directory / "SHA256SUMS").unlink()
        return found


__all__ = ("CODE", "LARGE", "Restorer")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all contestants work on: one branch's server with its shop, keys, and a place for artifacts."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from larapee_runner.demo.server import ThrowawayServer, create_operator

from . import ours, shop
from .measure import REPORT
from .settings import SettingsError
from .shop_schema import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .settings import Settings

BRANCH = "branch-001"
OPERATOR = "larapee-backup"
OPERATOR_PASSWORD = "of-a-server-that-lives-for-one-benchmark"
# MariaDB's own default: the data is larger than what the server holds of it, as in a shop.
BUFFER_POOL = "128M"


@dataclass(frozen=True)
class Estate:
    """Everything lies below ``root``; ``server`` is None where no part needs one."""

    root: Path
    recipients: tuple[str, ...]
    server: ThrowawayServer | None = None

    @property
    def place(self) -> Path:
        return self.root / "place"

    @property
    def option_file(self) -> Path:
        return self.root / "operator.cnf"

    @property
    def common(self) -> dict[str, Any]:
        """What every request of ours says."""
        return {"branch": BRANCH, "state_path": str(self.root / "state"), "run_id": str(uuid.uuid4())}

    @property
    def making(self) -> dict[str, Any]:
        """What every request says that makes an artifact."""
        return {
            **self.common,
            "local_path": str(self.place),
            "signing_key": str(self.root / "signing-key"),
            "allowed_signers": str(self.root / "allowed_signers"),
            "recipients": self.recipients,
        }

    @property
    def required_server(self) -> ThrowawayServer:
        if self.server is None:
            raise ValueError("this part needs a server")
        return self.server


def process(operation: str, request: Callable[[], dict[str, Any]]) -> Callable[[Path], Sequence[str]]:
    """The command line of a process of ours, for a contestant; the request is made anew for each run."""

    def argv(scratch: Path) -> Sequence[str]:
        path = scratch / "request.json"
        path.write_text(json.dumps(request()))
        return [sys.executable, str(Path(ours.__file__)), operation, str(path), str(scratch / REPORT)]

    return argv


@contextmanager
def opened(settings: Settings, tell: Callable[[str], None]) -> Iterator[Estate]:
    """Make the estate, and remove it at the end; what a killed benchmark left is removed first."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    root = settings.directory / "work"
    with (settings.directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"Failed to use {settings.directory}: another benchmark runs there. Wait for it, or set BENCH_DIR."
            raise SettingsError(msg) from None
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700)
        try:
            estate = Estate(root=root, recipients=_make_keys(root))
            if "dump" not in settings.parts:
                yield estate
                return
            with ThrowawayServer(root / "server", extra_args=[f"--innodb-buffer-pool-size={BUFFER_POOL}"]) as server:
                tell(f"Filling the shop's database: about {settings.sql_mb} MB of SQL.")
                shop.fill(server, megabytes=settings.sql_mb, seed=settings.seed)
                create_operator(server, database=DATABASE, user=OPERATOR, password=OPERATOR_PASSWORD)
                server.write_option_file(estate.option_file, user=OPERATOR, password=OPERATOR_PASSWORD)
                yield replace(estate, server=server)
        finally:
            shutil.rmtree(root, ignore_errors=True)


def _make_keys(root: Path) -> tuple[str, ...]:
    key = root / "signing-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    (root / "allowed_signers").write_text(f'{BRANCH} namespaces="larapee-backup" {public}\n')
    recipients = []
    for number in (1, 2):
        identity = root / f"identity-{number}"
        subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
        shown = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True)
        recipients.append(shown.stdout.strip())
    return tuple(recipients)


__all__ = ("BRANCH", "Estate", "opened", "process")

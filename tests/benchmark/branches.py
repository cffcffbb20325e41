# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches that share one sshd, each behind doors of its own, and central, which pulls from them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.pull.shop import Shop
from tests.pull.sshd import Sshd

from .measure import ContestantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .estate import Estate

# The module's own, except for the account: it could not get to the benchmark's directory, which is nobody else's.
WIDTH = 8
CONNECT_TIMEOUT_S = 15
# Those who are pulled from say where they stand once, before everything is measured.
_MAX_AGE_S = 86_400


class Branches:
    """``shops`` by code; all work with copies of one signing key."""

    def __init__(self, estate: Estate, name: str, codes: Sequence[str]) -> None:
        if os.geteuid() != 0:
            msg = "Failed to start an sshd: only root can. Leave sweep and transfer out of BENCH_PARTS."
            raise ContestantError(msg)
        self.root = estate.root / name
        keys = self.root / "keys"
        keys.mkdir(parents=True)
        public = (estate.root / "signing-key.pub").read_text().strip()
        (keys / "allowed_signers").write_text(
            "".join(f'{code} namespaces="larapee-backup" {public}\n' for code in codes)
        )
        for code in codes:
            shutil.copy(estate.root / "signing-key", keys / code)
        self.shops = {code: Shop(self.root, keys, code) for code in codes}
        for shop in self.shops.values():
            shop.branch.now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)
        self._run_id = str(estate.common["run_id"])
        self._allowed_signers = keys / "allowed_signers"
        self._sshd = Sshd(self.root / "sshd")

    @property
    def port(self) -> int:
        return self._sshd.port

    @property
    def ssh(self) -> Path:
        return self.root / "ssh"

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._sshd.open({public: command for shop in self.shops.values() for public, command in shop.doors().items()})
        try:
            (self.ssh / "known_hosts").write_text(self._sshd.known_host())
            yield
        finally:
            self._sshd.close()

    def way(self) -> dict[str, Any]:
        """Of a way to any of them, what is the same for all."""
        return {
            "host": "127.0.0.1",
            "user": "root",
            "ssh_directory": str(self.ssh),
            "account": "",
            "connect_timeout": CONNECT_TIMEOUT_S,
        }

    def sweep(self, ports: Mapping[str, int], *, central: Path, state: Path) -> dict[str, Any]:
        """The request for a pull from the branches at *ports*."""
        return {
            "ports": dict(ports),
            "way": self.way(),
            "width": WIDTH,
            "pull": {
                "central_path": str(central),
                "state_path": str(state),
                "allowed_signers": str(self._allowed_signers),
                "run_id": self._run_id,
                "max_age": _MAX_AGE_S,
            },
        }


__all__ = ("CONNECT_TIMEOUT_S", "Branches")

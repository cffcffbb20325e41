# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One large artifact from a branch to central: the plan's rsync, and this project's pull, over the same sshd."""

from __future__ import annotations

import datetime as dt
import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .branches import Branches
from .estate import BRANCH, process
from .measure import Contestant, Stage, makes_nothing, shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .estate import Estate

PLAN = "plan: rsync -az --delete"
OURS = "ours, the pull"
FETCH = "ours, its transfer alone"


@contextmanager
def stage(estate: Estate, *, mebibytes: int) -> Iterator[Stage]:
    branches = Branches(estate, "transfer", [BRANCH])
    shop = branches.shops[BRANCH]
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    # Encrypted, as artifacts are: nothing compresses it.
    stored = os.urandom(mebibytes << 20)
    shop.branch.place.put(f"db-{yesterday:%Y%m%d}-2315.sql.gz.age", branch=BRANCH, signer=BRANCH, stored=stored)
    shop.tip()
    with branches.opened():

        def pull(scratch: Path) -> Sequence[str]:
            for name in ("incoming", "branches", "quarantine"):
                (scratch / "central" / name / BRANCH).mkdir(parents=True)
            paths = {"central": scratch / "central", "state": scratch / "state"}
            request = branches.sweep({BRANCH: branches.port}, **paths)
            return process("sweep", lambda: {**request, "dead": [], "is_first": True})(scratch)

        def fetch(scratch: Path) -> Sequence[str]:
            target = scratch / "incoming"
            target.mkdir()
            way: dict[str, Any] = {**branches.way(), "branch": BRANCH, "port": branches.port}
            return process("fetch", lambda: {"way": way, "target": str(target)})(scratch)

        yield Stage(
            (
                Contestant(PLAN, shell(_plan(branches)), size=makes_nothing),
                Contestant(OURS, pull, size=makes_nothing),
                Contestant(FETCH, fetch, size=makes_nothing),
            )
        )


def _plan(branches: Branches) -> str:
    """As the plan has it; its ssh is told the way, and otherwise left as it is."""
    ssh = f"ssh -F none -p {branches.port} -l root -i {branches.ssh}/pull_key/{BRANCH} -o IdentitiesOnly=yes"
    ssh += f" -o UserKnownHostsFile={branches.ssh}/known_hosts"
    return f"rsync -az --delete -e {shlex.quote(ssh)} 127.0.0.1:/ {{scratch}}/{BRANCH}/"


__all__ = ("FETCH", "OURS", "PLAN", "stage")

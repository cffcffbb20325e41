# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A night at central: the plan's sha256sum over two branches, and this project's verification and snapshot of them."""

from __future__ import annotations

import collections
import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _catalog
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place
from tests.retention.branch import Branch

from . import ours
from .estate import process
from .measure import Contestant, Stage, makes_nothing, shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .estate import Estate

PLAN = "plan: sha256sum -c"
FIRST = "ours, the first night"
LATER = "ours, a later night"
SHARE = "ours, a seventh of the bytes"
SNAPSHOT = "ours, a snapshot by links"
CODES = ("branch-001", "branch-002")
_SHARE_DAYS = 7
_FULLS = 4


def many(estate: Estate, *, artifacts: int) -> Stage:
    """*artifacts* of which hardly any has more than a few kilobytes: a day and more of five-minute increments."""
    central = _Central(estate, "many")
    for code in CODES:
        branch = Branch(central.root, central.keys, code=code, directory=central.place(code))
        branch.state = central.root / f"shop-{code}"
        branch.encrypted = True
        branch.run()
        for _increment in range(artifacts // len(CODES) - 3):
            branch.pass_hours(1 / 12)
            branch.run("seal", checksums=False)
        branch.write_checksums()
    return central.stage(FIRST, LATER, SHARE, SNAPSHOT)


def large(estate: Estate, *, megabytes: int) -> Stage:
    """A few fulls of *megabytes* together."""
    central = _Central(estate, "large")
    size = megabytes * 1_000_000 // (len(CODES) * _FULLS)
    for code in CODES:
        place = Place(central.place(code), central.keys)
        for day in range(1, _FULLS + 1):
            facts: dict[str, Any] = {"branch": code, "signer": code, "stored": os.urandom(size)}
            place.put(f"db-202611{day:02d}-2315.sql.gz.age", sequence=day, **facts)
        _catalog.write_checksums(_catalog.read_catalogue(str(place.directory)))
    return central.stage(LATER, SNAPSHOT)


class _Central:
    def __init__(self, estate: Estate, name: str) -> None:
        self.root = estate.root / f"central-{name}"
        self.keys = self.root / "keys"
        self.keys.mkdir(parents=True)
        public = (estate.root / "signing-key.pub").read_text().strip()
        lines = [f'{code} namespaces="larapee-backup" {public}\n' for code in CODES]
        (self.keys / "allowed_signers").write_text("".join(lines))
        for code in CODES:
            shutil.copy(estate.root / "signing-key", self.keys / code)
        self._run_id = str(estate.common["run_id"])
        self._nights: collections.Counter[str] = collections.Counter()

    def place(self, code: str) -> Path:
        path = self.root / "central/branches" / code
        path.mkdir(parents=True)
        return path

    def _request(self, state: str, days: int = 1, nights: int = 1) -> Callable[[], dict[str, Any]]:
        def request() -> dict[str, Any]:
            self._nights[state] += nights
            return {
                "branches": CODES,
                "central_path": str(self.root / "central"),
                "allowed_signers": str(self.keys / "allowed_signers"),
                "state_path": str(self.root / state),
                "run_id": self._run_id,
                "read_days": days,
                "night": self._nights[state],
            }

        return request

    def stage(self, *names: str) -> Stage:
        sums = "; ".join(
            f"(cd {shlex.quote(str(self.root / 'central/branches' / code))} && sha256sum --check --quiet SHA256SUMS)"
            for code in CODES
        )
        contestants = {
            FIRST: process("verify-central", self._request("first")),
            LATER: process("verify-central", self._request("later")),
            SHARE: process("verify-central", self._request("share", _SHARE_DAYS)),
            SNAPSHOT: process("snapshot", self._request("later", nights=0)),
        }
        for state in {"later", "share"} if len(names) > 2 else {"later"}:
            ours.verify_central(self._request(state)())
        chosen = [Contestant(name, contestants[name], size=makes_nothing) for name in names]
        return Stage((Contestant(PLAN, shell(f"set -e; {sums}"), size=makes_nothing), *chosen), prepare=self._forget)

    def _forget(self, _round: int) -> None:
        """What the first night must not find."""
        shutil.rmtree(self.root / "first", ignore_errors=True)


__all__ = ("FIRST", "LATER", "PLAN", "SHARE", "SNAPSHOT", "large", "many")

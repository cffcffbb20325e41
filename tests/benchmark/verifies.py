# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored bytes of a whole place: the plan's sha256sum, and this project's verification without an identity."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .estate import process
from .measure import Contestant, Stage, makes_nothing, shell

if TYPE_CHECKING:
    from .estate import Estate

PLAN = "plan: sha256sum"
OURS = "ours, without an identity"


def stage(estate: Estate) -> Stage:
    # The artifacts only: manifests and signatures are ours, the plan has none to read.
    names = sorted(path.name.removesuffix(".manifest.json") for path in estate.place.glob("*.manifest.json"))
    artifacts = " ".join(shlex.quote(str(estate.place / name)) for name in names)

    def request() -> dict[str, object]:
        allowed = str(estate.root / "allowed_signers")
        return {**estate.common, "directory": str(estate.place), "allowed_signers": allowed}

    plan, ours = shell(f"sha256sum {artifacts} > {{scratch}}/sums"), process("verify", request)
    return Stage((Contestant(PLAN, plan, size=makes_nothing), Contestant(OURS, ours, size=makes_nothing)))


__all__ = ("OURS", "PLAN", "stage")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the chain draw: what happens to a branch, and to the place that has its artifacts."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from tests.pitr.lives import Step

# What happens, and how often beside the others.
EVENTS = {
    "sell": 24,
    "write": 4,
    "seal": 3,
    "full": 3,
    "slow_full": 2,
    "failed_full": 1,
    "restart": 2,
    "crash": 2,
    "purge": 1,
    "reset": 1,
    "rebuild": 1,
    "save": 3,
    "roll_back_server": 1,
    "roll_back_host": 2,
    "forget": 2,
    "jump": 1,
}
WHAT = [what for what, often in EVENTS.items() for _time in range(often)]
STEPS = st.lists(st.builds(Step, st.sampled_from(WHAT), st.integers(1, 4)), min_size=8, max_size=32)


@dataclasses.dataclass(frozen=True)
class Fate:
    """What befell the place: by position among the artifacts, what is gone and what is damaged."""

    lost: frozenset[int]
    damaged: frozenset[int]
    shuffled: int


_FEW = st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 16), min_size=1, max_size=2))
FATES = st.builds(Fate, lost=_FEW, damaged=_FEW, shuffled=st.integers(0, 1000))

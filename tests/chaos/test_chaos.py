# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three crashes of ``make chaos`` with short intervals; the seed is printed, and CHAOS_SEED repeats them."""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

from tests.chaos.crash import crash
from tests.database.estate import make_keys

if TYPE_CHECKING:
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer

CRASHES, INTERVAL_S = 3, 2.0


def test_a_crash_loses_no_more_than_the_interval_and_brings_nothing_wrong_back(
    tmp_path: Path, target: ThrowawayServer
) -> None:
    first = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    sys.stdout.write(f"CHAOS_SEED={first}\n")
    keys = make_keys(tmp_path)
    crashes = []
    for seed in range(first, first + CRASHES):
        directory = tmp_path / str(seed)
        directory.mkdir()
        crashes.append(crash(directory, keys, target, seed=seed, interval_s=INTERVAL_S))
    assert {each.seed: each.failures for each in crashes if each.failures} == {}
    assert sum(each.sealed for each in crashes) > 0, "no log run ended in time: nothing was shown"

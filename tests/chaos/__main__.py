# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make chaos N=20 SEED=n INTERVAL=5``: crashes at random moments; what was lost, and what was wrong.

Exits 1 when a restore was wrong, or lost more than the interval and the time to seal.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from larapee_runner.demo.server import ThrowawayServer
from tests.chaos.crash import Crash, crash
from tests.database.estate import make_keys

HEAD = "| seed | died | sealed | receipts printed | lost | seconds lost | bound | slowest seal s | restore s | wrong |"


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(each: Crash) -> str:
    cells = [each.seed, each.when, each.sealed, each.printed, each.lost, f"{each.loss_s:.1f}", f"{each.bound_s:.1f}"]
    cells += [f"{each.slowest_s:.2f}", f"{each.restore_s:.1f}", "; ".join(each.failures) or "0"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> int:
    count, interval_s = int(os.environ.get("N", "20")), float(os.environ.get("INTERVAL", "5"))
    first = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1, 1_000_000)
    tell(f"{count} crashes, a log run every {interval_s:g} s; repeat with SEED={first}\n\n{HEAD}")
    tell(f"|{'---|' * HEAD.count(' | ')}---|")
    crashes = []
    with tempfile.TemporaryDirectory(prefix="larapee-chaos-") as name:
        root = Path(name)
        keys = make_keys(root)
        with ThrowawayServer(root / "target", server_id=2000, log_bin=False) as target:
            for seed in range(first, first + count):
                directory = root / str(seed)
                directory.mkdir()
                crashes.append(crash(directory, keys, target, seed=seed, interval_s=interval_s))
                tell(line(crashes[-1]))
    worst = max(crashes, key=lambda each: each.loss_s)
    wrong = [each for each in crashes if each.failures]
    tell(f"\nGreatest loss: {worst.loss_s:.1f} s, {max(each.lost for each in crashes)} receipts. Wrong: {len(wrong)}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acts of the story, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .business import Business
from .housekeeping import preview_retention
from .recovery import Recovery
from .stage import Stage

if TYPE_CHECKING:
    from .launcher import Launcher
    from .narrator import Narrator
    from .workplace import Workplace


class Acts:
    def __init__(self, narrator: Narrator, workplace: Workplace, launcher: Launcher, *, orders: int, seed: int) -> None:
        self._stage = Stage(narrator, workplace, launcher, orders=orders, seed=seed)

    def close(self) -> None:
        """Stop selling, then the servers; their data stays."""
        self._stage.cleanup.close()

    def play(self) -> None:
        """Ends well only if equality was proven and every receipt is accounted for; raises DemoError otherwise."""
        business, recovery = Business(self._stage), Recovery(self._stage)
        business.prepare()
        till = business.start_selling(business.fill())
        business.take_full(till)
        business.work_on(till)
        business.take_increment(till)
        business.verify(till)
        moment = business.seal_log(till)
        sold = business.lose_everything(till, moment)
        recovery.preview(moment)
        recovery.restore()
        recovery.compare_database(moment)
        recovery.compare_files(moment)
        recovery.tell_losses(moment, sold)
        preview_retention(self._stage)


__all__ = ("Acts",)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pull from many branches that have nothing new, from a tenth of them, and from as many of which some are dead."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from . import ours
from .branches import Branches
from .estate import process
from .measure import Contestant, Stage, makes_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .estate import Estate

TENTH = "ours, a tenth of the branches"
ALL = "ours, all branches"
DEAD = "ours, 5 % of them dead"
FEWER = 10
_DEAD_SHARE = 20
_QUEUE = 4096


@contextmanager
def stage(estate: Estate, *, number: int) -> Iterator[Stage]:
    codes = [f"branch-{each:04d}" for each in range(1, number + 1)]
    branches = Branches(estate, "sweep", codes)
    for shop in branches.shops.values():
        shop.branch.run("full")
        shop.tip()
    with branches.opened(), _dead_ports() as dead_ports:
        alive = dict.fromkeys(codes, branches.port)
        # Of each kind one at least, and far from each other: a sweep meets them all the time.
        deads = max(len(dead_ports), number // _DEAD_SHARE)
        dead = {codes[each * number // deads]: dead_ports[each % len(dead_ports)] for each in range(min(deads, number))}

        def request(**changes: Any) -> Callable[[], dict[str, Any]]:
            ports = {**alive, **changes.get("dead", {})}
            some = dict(list(ports.items())[: changes.get("number", number)])
            paths = {"central": branches.root / "central", "state": branches.root / "state"}
            return lambda: {**branches.sweep(some, **paths), "dead": list(changes.get("dead", {}))}

        ours.sweep({**request()(), "is_first": True})
        requests = {
            TENTH: request(number=max(1, number // FEWER)),
            ALL: request(),
            DEAD: request(dead=dead),
        }
        yield Stage(
            tuple(
                Contestant(name, process("sweep", each), size=makes_nothing, watched=True)
                for name, each in requests.items()
            )
        )


@contextmanager
def _dead_ports() -> Iterator[list[int]]:
    """Of one who takes connections and never says a word, one who takes none, and one who is not there."""
    with ExitStack() as stack:
        silent, full, closed = (stack.enter_context(socket.socket()) for _each in range(3))
        for each in (silent, full, closed):
            each.bind(("127.0.0.1", 0))
        silent.listen(_QUEUE)
        full.listen(0)
        for _each in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield [each.getsockname()[1] for each in (silent, full, closed)]


__all__ = ("ALL", "DEAD", "FEWER", "TENTH", "stage")

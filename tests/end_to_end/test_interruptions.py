# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM and SIGKILL of the wrapper and of ansible-playbook at five points: one right row, no orphan, a clean next run."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .branch import BRANCH, FULL
from .holds import COMMITTED, POINTS, RECORDED, STARTING, Hold
from .processes import below, children_of, wait_for

if TYPE_CHECKING:
    from .branch import Branch, Started

WRAPPER, BELOW_WRAPPER, ALONE = "wrapper", "ansible below the wrapper", "ansible alone"
GONE_WITHIN_S = 10.0
EXIT_CODES = {
    (WRAPPER, signal.SIGTERM): 143,
    (WRAPPER, signal.SIGKILL): -9,
    (BELOW_WRAPPER, signal.SIGTERM): 1,
    (BELOW_WRAPPER, signal.SIGKILL): 1,
    (ALONE, signal.SIGTERM): -15,
    (ALONE, signal.SIGKILL): -9,
}
CASES = [
    (victim, number, point)
    for point in POINTS
    for number in (signal.SIGTERM, signal.SIGKILL)
    for victim in (WRAPPER, BELOW_WRAPPER, ALONE)
    # Before its callback begins, ansible-playbook alone has no witness: that run is a missed one.
    if (victim, point) != (ALONE, STARTING)
]


def interrupt(branch: Branch, victim: str, number: signal.Signals, point: str) -> Started:
    """A full that is ended at the point; when this returns, nothing of it runs any more."""
    hold = Hold(branch, point)
    begin = branch.start_playbook if victim == ALONE else branch.start_run
    started = begin(FULL, *hold.arguments, environ=hold.environ)
    hold.wait()
    (pid,) = children_of(started.pid) if victim == BELOW_WRAPPER else (started.pid,)
    os.kill(pid, number)
    if point in (STARTING, RECORDED):
        # What stands still here is ours, and no work of the run that somebody would have to end.
        hold.release()
    assert started.wait() == EXIT_CODES[victim, number], started.output
    wait_for(lambda: not below(branch.directory), what="the end of all that the run had started", patience_s=GONE_WITHIN_S)
    wait_for(lambda: not branch.connections(), what="the end of its connections", patience_s=1.0)
    hold.release()
    return started


@pytest.mark.parametrize(
    ("victim", "number", "point"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1].name}-{case[2]}", marks=pytest.mark.xdist_group(f"interrupt-{n % 2}"))
        for n, case in enumerate(CASES)
    ],
)
def test_interrupted_full(branch: Branch, victim: str, number: signal.Signals, point: str) -> None:
    started = interrupt(branch, victim, number, point)

    code, reconciled = branch.command("journal", "reconcile")
    assert code == 0, reconciled.output
    row = branch.row()
    print(row, started.output)
    assert row.status == "failed"
    assert row.branch == (None if point in (STARTING, RECORDED) else BRANCH)
    assert row.error
    assert row.finished_at is not None
    assert branch.journal() == []
    assert (row.evidence is Evidence.INFERRED) == (number is signal.SIGKILL and victim == ALONE)
    print(sorted(branch.place()))

    if victim == ALONE:
        code, next_run = branch.playbook(FULL)
    else:
        code, next_run = branch.run(FULL)
    assert code == 0, next_run.output
    newest, interrupted = branch.rows()
    assert (newest.status, newest.error) == ("success", None)
    assert interrupted == row
    outcome = branch.verify()
    assert outcome.failures == []
    names = {entry.name for entry in outcome.verified}
    assert len(names) == (2 if point == COMMITTED else 1)
    assert branch.place() == {"SHA256SUMS"} | {
        name + suffix for name in names for suffix in ("", ".manifest.json", ".manifest.json.sig")
    }

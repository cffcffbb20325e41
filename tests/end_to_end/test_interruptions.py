# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM and SIGKILL at the points of a full, of whoever can be hit: one right row, no orphan, a clean next run."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._names import companion_name
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence

from .branch import BRANCH, FULL
from .holds import ARCHIVING, COMMITTED, DUMPING, PLACED, POINTS, RECORDED, SIGNING, STARTING, Hold
from .processes import below, children_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .branch import Branch

SIGTERM, SIGKILL = signal.SIGTERM, signal.SIGKILL
# Everything at once is what systemd does when it stops a unit, and what a power cut does.
WRAPPER, ANSIBLE, ANSIBLE_BELOW_WRAPPER, EVERYTHING = "wrapper", "ansible", "ansible-below-wrapper", "everything"
MODULE = "module"
GONE_WITHIN_S = 10.0
POINTS_OF = {
    WRAPPER: POINTS,
    # Before its callback begins it has no witness: such a run shows as a missed one.
    ANSIBLE: POINTS[POINTS.index(RECORDED) :],
    ANSIBLE_BELOW_WRAPPER: (STARTING, DUMPING, PLACED),
    EVERYTHING: (DUMPING, SIGNING, PLACED, COMMITTED, ARCHIVING),
    MODULE: (DUMPING, COMMITTED, ARCHIVING),
}
EXIT_CODES = {
    (WRAPPER, SIGTERM): 143,
    (WRAPPER, SIGKILL): -9,
    (ANSIBLE, SIGTERM): -15,
    (ANSIBLE, SIGKILL): -9,
    (ANSIBLE_BELOW_WRAPPER, SIGTERM): 1,
    (ANSIBLE_BELOW_WRAPPER, SIGKILL): 1,
    (EVERYTHING, SIGTERM): 143,
    (EVERYTHING, SIGKILL): -9,
    (MODULE, SIGTERM): 1,
    (MODULE, SIGKILL): 1,
}
CASES = [
    (victim, number, point) for victim, points in POINTS_OF.items() for number in (SIGTERM, SIGKILL) for point in points
]


def interrupt(branch: Branch, victim: str, number: signal.Signals, point: str) -> None:
    """Start a full and end it at the point; when this returns, nothing of it runs any more."""
    hold = Hold(branch, point)
    begin = branch.start_playbook if victim == ANSIBLE else branch.start_run
    started = begin(FULL, *hold.arguments, environ=hold.environ)
    hold.wait(started)
    victims = [started.pid]
    if victim == EVERYTHING:
        victims = list(below(branch.directory))
    elif victim == ANSIBLE_BELOW_WRAPPER:
        victims = children_of(started.pid)
    elif victim == MODULE:
        victims = [hold.module]
    if number is SIGKILL:
        # None of several must have the time to notice the end of another.
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
    assert victims
    for pid in victims:
        # One of several may have ended by the end of another.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if victim == MODULE:
        # The run goes on without it, by the same programs.
        hold.release()
    assert started.wait() == EXIT_CODES[victim, number], started.output
    if number is SIGKILL and point in (STARTING, RECORDED) and victim != ANSIBLE_BELOW_WRAPPER:
        # What stands still is no work of a module's, and who could end it is dead: it would have ended by itself.
        hold.release()
    wait_for(lambda: not below(branch.directory), what="the end of all that the run started", patience_s=GONE_WITHIN_S)
    wait_for(lambda: not branch.connections(), what="the end of its connections", patience_s=1.0)
    hold.remove()


def expected_end(victim: str, number: signal.Signals, point: str) -> tuple[Evidence, str]:
    """How sure the row is, and what it tells."""
    if number is SIGKILL and (victim in (ANSIBLE, EVERYTHING) or (victim, point) == (WRAPPER, STARTING)):
        return Evidence.INFERRED, "lost: the process of the run (pid "
    if victim == MODULE:
        how = (
            "Failed to finish: interrupted (signal 15)"
            if number is SIGTERM
            else "Failed to finish: the module was killed by signal 9"
        )
        return Evidence.OBSERVED, how
    if victim == ANSIBLE_BELOW_WRAPPER and (number is SIGKILL or point == STARTING):
        return Evidence.OBSERVED, "Failed to finish run: ansible-playbook was killed. "
    if point == STARTING:
        return Evidence.OBSERVED, "Failed to finish run: interrupted by SIGTERM. "
    return Evidence.OBSERVED, "Ended by signal 15 (SIGTERM) during task "


def made(victim: str, point: str) -> set[str]:
    """What exists afterwards. A run whose module was killed goes on with the parts that are left."""
    kinds = {"db"} if point in (COMMITTED, ARCHIVING) else set()
    if victim == MODULE:
        kinds |= {"config"} if point == ARCHIVING else {"public-uploads", "config"}
    return kinds


def told(victim: str, number: signal.Signals, point: str) -> set[str]:
    """What the row names: of what was made, that of which a module has told who writes the row."""
    if victim == MODULE:
        return (made(victim, point) | {"tip.json"}) - ({"db"} if point == COMMITTED else set())
    observed = expected_end(victim, number, point)[0] is Evidence.OBSERVED
    return {"db"} if point == ARCHIVING and observed else set()


def kinds_of(names: Iterable[str]) -> set[str]:
    return {name.partition("-2")[0] for name in names}


def files_of(names: Iterable[str]) -> set[str]:
    """All files of these artifacts."""
    found = set()
    for name in names:
        found |= {name, companion_name(name), f"{name}.manifest.json", f"{name}.manifest.json.sig"}
    return found


@pytest.mark.parametrize(
    ("victim", "number", "point"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1].name}-{case[2]}", marks=pytest.mark.xdist_group(f"cut-{n % 2}"))
        for n, case in enumerate(CASES)
    ],
)
def test_interrupted_full(branch: Branch, victim: str, number: signal.Signals, point: str) -> None:
    interrupt(branch, victim, number, point)
    left = branch.place()
    there = {name.removesuffix(".manifest.json") for name in left if name.endswith(".manifest.json") and name[0] != "."}
    assert kinds_of(there) == made(victim, point)
    if number is SIGKILL and victim in (EVERYTHING, MODULE):
        assert any(name.endswith(".intent") for name in left), "nothing was left for the next run to remove"
    else:
        tip = {"tip.json", "tip.json.sig"} if victim == MODULE else set()
        sums = {"SHA256SUMS"} if victim == MODULE or point == ARCHIVING else set()
        assert left == files_of(there) | tip | sums, "the run left its own rubbish"

    code, reconciled = branch.command("journal", "reconcile")
    assert code == 0, reconciled.output
    row = branch.row()
    evidence, words = expected_end(victim, number, point)
    assert (row.status, row.evidence) == ("failed", evidence)
    assert str(row.error).startswith(words)
    early = point in (STARTING, RECORDED)
    assert (row.branch, row.kind) == ((None, None) if early else (BRANCH, "full"))
    assert row.finished_at is not None
    assert kinds_of({artifact["name"] for artifact in row.artifacts}) == told(victim, number, point)
    assert branch.journal() == []

    code, next_run = (branch.playbook if victim == ANSIBLE else branch.run)(FULL)
    assert code == 0, next_run.output
    newest, interrupted = branch.rows()
    assert (newest.status, newest.error) == ("success", None)
    assert interrupted == row
    outcome = branch.verify()
    assert outcome.failures == []
    names = {entry.name for entry in outcome.verified}
    # A manifest that was placed made the artifact exist, whatever became of the run.
    assert there < names
    assert len(names) == len(there) + 3
    # The record of the interrupted run leaves with the next one, if it knew its branch.
    records = set() if early else {"runs"}
    assert branch.place() == {"SHA256SUMS", "tip.json", "tip.json.sig"} | records | files_of(names)

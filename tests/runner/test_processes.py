# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orphans come to us and are ended; tried in a process of its own, for the test runner must not adopt anything."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from .conftest import ROOT

PROGRAM = """
import os, subprocess, sys, time
from larapee_runner import processes
{adopt}
# The shell dies at once; what it started in sessions of their own has no parent but the adopter.
subprocess.run(["sh", "-c", sys.argv[1]], check=True)
time.sleep(0.3)
found = len(processes.descendants())
began = time.monotonic()
left = processes.end_descendants(grace_s=3.0)
print(found, len(left), len(processes.descendants()), round(time.monotonic() - began, 1))
"""
ADOPT = "assert processes.become_subreaper()"
SLEEPERS = "for i in 1 2 3; do setsid sleep 44.25 & done"
STUBBORN = "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' &"


def play(script: str, *, adopt: str = ADOPT) -> list[float]:
    program = textwrap.dedent(PROGRAM).format(adopt=adopt)
    done = subprocess.run(
        [sys.executable, "-c", program, script],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PYTHONPATH": f"{ROOT / 'runner/src'}:{ROOT / 'collection'}", "PATH": "/usr/bin:/bin"},
    )
    return [float(word) for word in done.stdout.split()]


def test_orphans_are_ended() -> None:
    found, left, after, seconds = play(SLEEPERS)
    assert (found, left, after) == (3, 0, 0)
    assert seconds < 2.5


def test_what_does_not_listen_is_killed_after_the_grace() -> None:
    found, left, after, seconds = play(STUBBORN)
    assert found >= 1
    assert (left, after) == (0, 0)
    assert 3.0 <= seconds < 6.0


def test_without_adoption_they_would_be_out_of_reach() -> None:
    found, *_ = play("setsid sleep 2 &", adopt="")
    assert found == 0


def test_nothing_to_end() -> None:
    assert play(":") == pytest.approx([0, 0, 0, 0], abs=0.2)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs contestants in alternating order and notes what each cost: wall, CPU of all its processes and of the server."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .memory import Watch

TICKS = os.sysconf("SC_CLK_TCK")
# What a process of ours writes here, beside what it makes: its own peak memory, the size of what it made.
REPORT = "report.json"


class ContestantError(Exception):
    """A command that was to be measured failed; its figures would be worth nothing."""


@dataclass(frozen=True)
class Sample:
    """One run. ``others``: cores that the rest of the machine used meanwhile.

    ``own_peak_mib`` is of our own process alone, ``all_peak_mib`` of it and of all that it started, together.
    """

    wall_s: float
    cpu_s: float
    server_cpu_s: float
    size: int
    others: float
    own_peak_mib: float | None = None
    all_peak_mib: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_cpu_s(self) -> float:
        return self.cpu_s + self.server_cpu_s


@dataclass(frozen=True)
class Contestant:
    """``argv`` and ``size`` get an empty directory to write to; a report there tells the size better.

    ``server_pid``: of the database server that works for it, when that is another one than all others use.
    ``watched``: the memory of all its processes is noted, at the price of looking at them all the time.
    """

    name: str
    argv: Callable[[Path], Sequence[str]]
    size: Callable[[Path], int] = lambda scratch: size_of(scratch)
    server_pid: Callable[[], int | None] | None = None
    watched: bool = False


@dataclass(frozen=True)
class Stage:
    """Contestants that run one after the other on the same data, which ``prepare`` makes for each round."""

    contestants: tuple[Contestant, ...]
    prepare: Callable[[int], None] = lambda _round: None


@dataclass
class Runs:
    """What was measured of one part, by contestant, in the order of the rounds."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def median(self, name: str, figure: str) -> float:
        return statistics.median(float(getattr(sample, figure)) for sample in self.samples[name])

    def ratio(self, name: str, to: str, figure: str) -> float:
        """The median of the ratios within the rounds: what slows a whole round down cancels out."""
        return statistics.median(one / max(other, 1e-9) for one, other in self._pairs(name, to, figure))

    def difference(self, name: str, to: str, figure: str) -> float:
        return statistics.median(one - other for one, other in self._pairs(name, to, figure))

    def _pairs(self, name: str, to: str, figure: str) -> list[tuple[float, float]]:
        rounds = zip(self.samples[name], self.samples[to], strict=True)
        return [(float(getattr(one, figure)), float(getattr(other, figure))) for one, other in rounds]


class Meter:
    def __init__(
        self, directory: Path, *, environ: Mapping[str, str], server_pid: int | None, tell: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._environ = dict(environ)
        self._server_pid = server_pid
        self._tell = tell

    def rounds(self, part: str, stages: Sequence[Stage], *, rounds: int) -> Runs:
        runs = Runs()
        for number in range(rounds):
            for stage in stages:
                stage.prepare(number)
                turn = number % len(stage.contestants)
                for contestant in (*stage.contestants[turn:], *stage.contestants[:turn]):
                    sample = self.run(contestant)
                    runs.samples.setdefault(contestant.name, []).append(sample)
                    self._tell(
                        f"{part}, round {number + 1} of {rounds}: {contestant.name}: {sample.wall_s:.2f} s,"
                        f" {sample.all_cpu_s:.2f} CPU s"
                    )
        return runs

    def run(self, contestant: Contestant) -> Sample:
        scratch = self._directory / "scratch"
        scratch.mkdir()
        try:
            return self._run(contestant, scratch)
        finally:
            shutil.rmtree(scratch)

    def _run(self, contestant: Contestant, scratch: Path) -> Sample:
        argv = contestant.argv(scratch)
        # What the one before left in memory must not be written out on this one's time.
        os.sync()
        pid = contestant.server_pid() if contestant.server_pid else self._server_pid
        machine, server, children = _busy_s(), _server_cpu_s(pid), _children_cpu_s()
        started = time.perf_counter()
        with Watch() if contestant.watched else nullcontext() as watch:
            done = subprocess.run(argv, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        wall = time.perf_counter() - started
        cpu, served = _children_cpu_s() - children, _server_cpu_s(pid) - server
        others = (_busy_s() - machine - cpu - served) / wall
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()[-2000:]
            msg = f"Failed to measure {contestant.name}: it ended with status {done.returncode}: {said}"
            raise ContestantError(msg)
        report = _report(scratch)
        return Sample(
            wall_s=wall,
            cpu_s=cpu,
            server_cpu_s=served,
            size=report.pop("size") if "size" in report else contestant.size(scratch),
            others=max(others, 0.0),
            own_peak_mib=report.pop("peak_mib", None),
            all_peak_mib=watch.peak_mib if watch else None,
            facts=report,
        )


def _server_cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    # After the command's name, which may hold spaces: user and system time are fields 14 and 15 of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _busy_s() -> float:
    """Seconds that all cores together were not idle, stolen ones too."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICKS


def _report(scratch: Path) -> dict[str, Any]:
    path = scratch / REPORT
    if not path.exists():
        return {}
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def size_of(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def makes_nothing(_scratch: Path) -> int:
    return 0


def shell(script: str) -> Callable[[Path], Sequence[str]]:
    """A pipeline as people write it; ``{scratch}`` in it is the directory to write to."""
    return lambda scratch: ["bash", "-o", "pipefail", "-c", script.replace("{scratch}", shlex.quote(str(scratch)))]


__all__ = (
    "REPORT",
    "Contestant",
    "ContestantError",
    "Meter",
    "Runs",
    "Sample",
    "Stage",
    "makes_nothing",
    "shell",
    "size_of",
)

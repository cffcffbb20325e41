# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds that the figures are held against, and what makes a figure worth holding against one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import centrals, dumps, files, replays, runbook, seals, sweeps, transfers, uploads, verifies, wrapper
from .branches import CONNECT_TIMEOUT_S
from .measure import Runs

MET, MISSED, NOT_JUDGED = "met", "missed", "not judged"
LEAST_ROUNDS = 3
# Below these, the start of a process weighs more than what it does.
LEAST_TO_TIME = {
    **{"dump": 200_000_000, "files": 500_000_000, "verify": 500_000_000},
    **{"wrapper": 0, "replay": 40_000_000, "seal": 0, "central": 5_000_000, "central-bytes": 500_000_000},
    **{"sweep": 0, "transfer": 500_000_000, "upload": 500_000_000},
    "restore": 2_000_000_000,
}
LEAST_BRANCHES = 100


@dataclass(frozen=True)
class Part:
    """One part's runs; ratios are to ``baseline``, ``bytes`` is how much the contestants had to read."""

    name: str
    title: str
    baseline: str
    runs: Runs
    bytes: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    name: str
    text: str
    bound: float
    unit: str
    measured: float | None
    verdict: str
    why: str = ""

    def sentence(self) -> str:
        return f"{self.text}: {self.measured:.3g}{self.unit} where at most {self.bound:g}{self.unit} is allowed"


@dataclass(frozen=True)
class _Target:
    """``timed``: only large data and several rounds tell; else from ``least`` bytes on, one does.

    ``sha``: only a processor with SHA instructions can do it.
    """

    name: str
    part: str
    text: str
    bound: float
    figure: Callable[[Runs], float]
    unit: str = ""
    timed: bool = True
    least: int = 0
    sha: bool = False


def _ratio(name: str, to: str, figure: str) -> Callable[[Runs], float]:
    return lambda runs: runs.ratio(name, to, figure)


def _an_artifact(runs: Runs, name: str) -> float:
    """CPU milliseconds."""
    return 1000 * runs.median(name, "cpu_s") / int(runs.samples[name][0].facts["artifacts"])


def _a_branch(runs: Runs, name: str) -> float:
    """CPU seconds."""
    return runs.median(name, "cpu_s") / int(runs.samples[name][0].facts["branches"])


def _memory_of_all(runs: Runs) -> float:
    return max(sample.all_peak_mib or 0.0 for samples in runs.samples.values() for sample in samples)


_TARGETS = (
    _Target(
        "dump-wall", "dump", "full dump (gzip format, the default), wall, to the plan's", 0.42,
        _ratio(dumps.OURS_GZIP, dumps.PLAN, "wall_s"),
    ),
    _Target(
        "dump-cpu", "dump", "full dump (gzip format, the default), CPU with the server's, to the plan's", 0.47,
        _ratio(dumps.OURS_GZIP, dumps.PLAN, "all_cpu_s"),
    ),
    _Target(
        "dump-size-gzip", "dump", "full dump in gzip format, size, to the plan's", 1.15,
        _ratio(dumps.OURS_GZIP, dumps.PLAN, "size"), timed=False,
    ),
    _Target(
        "dump-size-zstd", "dump", "full dump with zstd, size, to the plan's", 0.97,
        # zstd's advantage is its window, which a small dump does not fill.
        _ratio(dumps.OURS_ZSTD, dumps.PLAN, "size"), timed=False, least=20_000_000,
    ),
    _Target(
        "files-wall", "files", "uploads full, wall, to the plan's", 0.03,
        _ratio(files.OURS_FULL, files.PLAN, "wall_s"),
    ),
    _Target(
        "files-size", "files", "uploads full with its index, size, to the plan's", 1.02,
        _ratio(files.OURS_FULL, files.PLAN, "size"), timed=False,
    ),
    _Target(
        "increment-wall", "files", "uploads increment, 1 % changed, wall, to our full", 0.10,
        _ratio(files.OURS_INCREMENT, files.OURS_FULL, "wall_s"),
    ),
    _Target(
        "verify-wall", "verify", "verification of stored bytes, wall, to sha256sum", 0.28,
        _ratio(verifies.OURS, verifies.PLAN, "wall_s"), sha=True,
    ),
    _Target(
        "wrapper-cpu", "wrapper", "larapee-backup run, CPU above ansible-playbook's", 0.4,
        lambda runs: runs.difference(wrapper.WRAPPED, wrapper.BARE, "cpu_s"), unit=" s",
    ),
    _Target(
        "replay-wall", "replay", "replay of the binary log, wall, to the stock clients' on a default server", 0.80,
        _ratio(replays.OURS, replays.STOCK, "wall_s"),
    ),
    _Target(
        "replay-day", "replay", "replay of a day of 20,000 sales, wall", 120,
        lambda runs: runs.median(replays.OURS, "wall_s"), unit=" s",
    ),
    _Target(
        "seal-cpu", "seal", "sealing five minutes of sales, CPU with the server's", 2,
        lambda runs: runs.median(seals.OURS, "all_cpu_s"), unit=" s",
    ),
    _Target(
        "central-first", "central", "central's first night, CPU an artifact with ssh-keygen's", 20,
        lambda runs: _an_artifact(runs, centrals.FIRST), unit=" ms",
    ),
    _Target(
        "central-later", "central", "central's later nights, CPU an artifact", 3,
        lambda runs: _an_artifact(runs, centrals.LATER), unit=" ms",
    ),
    _Target(
        "central-snapshot", "central", "a snapshot by links, CPU an artifact", 3,
        lambda runs: _an_artifact(runs, centrals.SNAPSHOT), unit=" ms",
    ),
    _Target(
        "central-bytes-wall", "central-bytes", "central's verification of stored bytes, wall, to sha256sum -c", 0.28,
        _ratio(centrals.LATER, centrals.PLAN, "wall_s"), sha=True,
    ),
    _Target(
        "sweep-cpu", "sweep", "pull with nothing new, central's CPU a branch", 0.15,
        lambda runs: _a_branch(runs, sweeps.ALL), unit=" s",
    ),
    _Target(
        "sweep-cpu-tenth", "sweep", "the same from a tenth of the branches", 0.15,
        lambda runs: _a_branch(runs, sweeps.TENTH), unit=" s",
    ),
    _Target(
        "sweep-growth-cpu", "sweep", "pull with nothing new, ten times the branches, CPU", sweeps.FEWER,
        _ratio(sweeps.ALL, sweeps.TENTH, "cpu_s"), unit=" times",
    ),
    _Target(
        "sweep-growth-wall", "sweep", "pull with nothing new, ten times the branches, wall", sweeps.FEWER,
        _ratio(sweeps.ALL, sweeps.TENTH, "wall_s"), unit=" times",
    ),
    _Target(
        "sweep-memory", "sweep", "pull, all processes at central together, peak memory", 500,
        _memory_of_all, unit=" MiB", timed=False,
    ),
    _Target(
        "sweep-dead", "sweep", "pull with 5 % dead branches, wall above that without, in SSH timeouts", 2,
        lambda runs: runs.difference(sweeps.DEAD, sweeps.ALL, "wall_s") / CONNECT_TIMEOUT_S,
    ),
    _Target(
        "transfer-wall", "transfer", "transfer of a large full, wall, to the plan's rsync -az --delete", 0.60,
        _ratio(transfers.FETCH, transfers.PLAN, "wall_s"),
    ),
    _Target(
        # Nine tenths of its throughput.
        "upload-wall", "upload", "copy of a large artifact offsite, wall, to boto3's bare upload_file", 1.11,
        _ratio(uploads.OURS, uploads.BARE, "wall_s"),
    ),
    _Target(
        # So far from its bound that one round tells.
        "restore-wall", "restore", "runbook for 1 GiB of dump and 1 GiB of uploads from central, wall", 600,
        lambda runs: runs.median(runbook.OURS, "wall_s"), unit=" s", timed=False, least=LEAST_TO_TIME["restore"],
    ),
)  # fmt: skip
MEMORY_MIB = 64


def judge(parts: Sequence[Part], *, rounds: int, sha_instructions: bool) -> list[Verdict]:
    """One verdict for each target whose part was measured, and one for the memory of all our processes."""
    by_name = {part.name: part for part in parts}
    verdicts = []
    for target in _TARGETS:
        part = by_name.get(target.part)
        if part is None:
            verdicts.append(_unmeasured(target))
            continue
        measured = target.figure(part.runs)
        why = _not_worth_judging(target, part, rounds=rounds, sha_instructions=sha_instructions)
        verdict = NOT_JUDGED if why else _verdict(measured, target.bound)
        verdicts.append(Verdict(target.name, target.text, target.bound, target.unit, measured, verdict, why))
    peak = _peak(parts)
    text = "our own process, peak memory"
    verdict, why = (NOT_JUDGED, "not measured") if peak is None else (_verdict(peak, MEMORY_MIB), "")
    verdicts.append(Verdict("memory", text, MEMORY_MIB, " MiB", peak, verdict, why))
    return verdicts


def _unmeasured(target: _Target) -> Verdict:
    return Verdict(target.name, target.text, target.bound, target.unit, None, NOT_JUDGED, "not measured")


def _verdict(measured: float, bound: float) -> str:
    return MET if measured <= bound else MISSED


def _not_worth_judging(target: _Target, part: Part, *, rounds: int, sha_instructions: bool) -> str:
    if target.timed and rounds < LEAST_ROUNDS:
        return f"needs {LEAST_ROUNDS} rounds"
    if target.timed and part.facts.get("branches", LEAST_BRANCHES) < LEAST_BRANCHES:
        return f"needs {LEAST_BRANCHES} branches"
    least = LEAST_TO_TIME[part.name] if target.timed else target.least
    if part.bytes < least:
        return f"needs {least // 1_000_000} MB to read"
    if target.sha and not sha_instructions:
        return "this processor has no SHA instructions"
    return ""


def _peak(parts: Sequence[Part]) -> float | None:
    peaks = [
        sample.own_peak_mib
        for part in parts
        for samples in part.runs.samples.values()
        for sample in samples
        if sample.own_peak_mib is not None
    ]
    return max(peaks, default=None)


__all__ = ("MEMORY_MIB", "MET", "MISSED", "NOT_JUDGED", "Part", "Verdict", "judge")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How figures come about, and what is made of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark import dumps, ours, report, shop, sweeps, targets, transfers, uploads, verifies
from tests.benchmark.machine import has_sha_instructions
from tests.benchmark.measure import Contestant, ContestantError, Meter, Runs, Sample, Stage
from tests.benchmark.targets import MET, MISSED, NOT_JUDGED, Part
from tests.benchmark.tree import Tree

SPIN = "import time\nwhile time.process_time() < 0.3: pass"
SAMPLE = Sample(wall_s=1.0, cpu_s=1.0, server_cpu_s=0.0, size=100, others=0.0)


@pytest.fixture
def busy() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process.pid
    process.kill()
    process.wait()


def contestant(name: str, *argv: str) -> Contestant:
    return Contestant(name, lambda _scratch: argv)


def meter(directory: Path, *, told: list[str] | None = None, server_pid: int | None = None) -> Meter:
    heard: list[str] = [] if told is None else told
    return Meter(directory, environ={"PATH": "/usr/bin:/bin"}, server_pid=server_pid, tell=heard.append)


def test_contestants_take_turns(tmp_path: Path) -> None:
    told: list[str] = []
    stage = Stage(tuple(contestant(name, "true") for name in "ABC"))
    runs = meter(tmp_path, told=told).rounds("part", [stage], rounds=4)
    assert [line.split(": ")[1] for line in told] == list("ABCBCACABABC")
    assert {name: len(samples) for name, samples in runs.samples.items()} == {"A": 4, "B": 4, "C": 4}


def test_the_whole_pipeline_and_the_server_are_counted(tmp_path: Path, busy: int) -> None:
    spin = f"{sys.executable} -c '{SPIN}'"
    sample = meter(tmp_path, server_pid=busy).run(contestant("pipeline", "bash", "-c", f"{spin} | {spin}"))
    assert sample.cpu_s >= 0.6
    assert sample.server_cpu_s > 0


def test_a_contestant_that_fails_gives_no_figure(tmp_path: Path) -> None:
    failing = contestant("half a pipeline", "bash", "-o", "pipefail", "-c", "false | cat")
    with pytest.raises(ContestantError, match="half a pipeline"):
        meter(tmp_path).run(failing)
    assert list(tmp_path.iterdir()) == []


def test_peak_memory_is_that_of_our_own_process_alone() -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'bytearray(200 << 20)'], check=True)\n"
        f"sys.path.insert(0, {str(Path(ours.__file__).parent)!r})\n"
        "import ours\n"
        "print(ours.peak_mib())"
    )
    # The one that starts it is large too: its mark must not be inherited.
    large = bytearray(200 << 20)
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 1 < float(shown) < 64 < len(large) >> 20


def timed(part: str, one: str, other: str, ratios: Sequence[float], *, size: int = 10**9) -> Part:
    samples = {one: [replace(SAMPLE, wall_s=ratio, cpu_s=ratio) for ratio in ratios], other: [SAMPLE] * len(ratios)}
    if part == "dump":
        samples[dumps.OURS_ZSTD] = samples[one]
    return Part(part, "title", other, Runs(samples), size)


def verdicts(part: Part, *, rounds: int = 3, sha: bool = True) -> dict[str, targets.Verdict]:
    return {verdict.name: verdict for verdict in targets.judge([part], rounds=rounds, sha_instructions=sha)}


def test_a_missed_target_is_said() -> None:
    slow = verdicts(timed("dump", dumps.OURS_GZIP, dumps.PLAN, (0.40, 0.43, 0.60)))
    assert (slow["dump-wall"].verdict, slow["dump-cpu"].verdict) == (MISSED, MET)
    assert slow["files-wall"].verdict == NOT_JUDGED
    [sentence] = report.missed([slow["dump-wall"], slow["dump-cpu"]])
    assert "0.43" in sentence
    assert "0.42" in sentence


def test_one_slow_round_does_not_decide() -> None:
    assert verdicts(timed("dump", dumps.OURS_GZIP, dumps.PLAN, (0.40, 0.41, 9.9)))["dump-wall"].verdict == MET


@pytest.mark.parametrize(
    ("part", "rounds", "why"),
    [
        pytest.param(timed("dump", dumps.OURS_GZIP, dumps.PLAN, (9.0, 9.0)), 2, "rounds", id="few rounds"),
        pytest.param(timed("dump", dumps.OURS_GZIP, dumps.PLAN, (9.0,) * 3, size=10**6), 3, "MB", id="little data"),
    ],
)
def test_times_that_say_nothing_are_not_judged(part: Part, rounds: int, why: str) -> None:
    verdict = verdicts(part, rounds=rounds)["dump-wall"]
    assert verdict.verdict == NOT_JUDGED
    assert why in verdict.why


def test_hashing_is_judged_where_the_processor_has_instructions_for_it() -> None:
    part = timed("verify", verifies.OURS, verifies.PLAN, (0.5,) * 3)
    assert verdicts(part)["verify-wall"].verdict == MISSED
    assert verdicts(part, sha=False)["verify-wall"].verdict == NOT_JUDGED
    assert has_sha_instructions("flags\t\t: fpu sha_ni rdpid\n")
    assert not has_sha_instructions("model name\t: sha_ni\nflags\t\t: fpu sha512\n")


def test_memory_is_held_at_any_size() -> None:
    part = timed("dump", dumps.OURS_GZIP, dumps.PLAN, (0.1,), size=1)
    part.runs.samples[dumps.OURS_GZIP][0] = replace(SAMPLE, own_peak_mib=64.1)
    assert verdicts(part, rounds=1)["memory"].verdict == MISSED


def swept(*, cpu_s: float = 8.0, dead_s: float = 20.0, mib: float = 300.0, branches: int = 100) -> Part:
    """A pull from all branches takes *cpu_s*, one from a tenth of them a second, each *branches* in the facts."""
    facts = {"branches": branches}
    every = replace(SAMPLE, wall_s=5.0, cpu_s=cpu_s, all_peak_mib=mib, facts=facts)
    samples = {
        sweeps.TENTH: [replace(SAMPLE, facts={"branches": branches // 10})] * 3,
        sweeps.ALL: [every] * 3,
        sweeps.DEAD: [replace(every, wall_s=5.0 + dead_s)] * 3,
    }
    return Part("sweep", "title", sweeps.ALL, Runs(samples), 0, facts)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        pytest.param({}, set(), id="none"),
        pytest.param({"cpu_s": 15.1}, {"sweep-cpu", "sweep-growth-cpu"}, id="CPU"),
        pytest.param({"cpu_s": 10.1}, {"sweep-growth-cpu"}, id="growth"),
        pytest.param({"dead_s": 30.1}, {"sweep-dead"}, id="dead branches"),
        pytest.param({"mib": 501.0}, {"sweep-memory"}, id="memory"),
    ],
)
def test_a_sweep_that_is_too_dear_is_said(changes: dict[str, float], missed: set[str]) -> None:
    judged = verdicts(swept(**changes))
    assert {name for name, verdict in judged.items() if verdict.verdict == MISSED} == missed


def test_a_sweep_of_few_branches_is_not_judged() -> None:
    verdict = verdicts(swept(cpu_s=99.0, branches=10))["sweep-cpu"]
    assert (verdict.verdict, verdict.why) == (NOT_JUDGED, "needs 100 branches")


@pytest.mark.parametrize(
    ("name", "part", "ours", "other", "met", "slow"),
    [
        ("transfer-wall", "transfer", transfers.FETCH, transfers.PLAN, 0.59, 0.61),
        ("upload-wall", "upload", uploads.OURS, uploads.BARE, 1.10, 1.12),
    ],
)
def test_large_artifacts_on_their_way_are_judged(
    name: str, part: str, ours: str, other: str, met: float, slow: float
) -> None:
    assert verdicts(timed(part, ours, other, (met,) * 3))[name].verdict == MET
    assert verdicts(timed(part, ours, other, (slow,) * 3))[name].verdict == MISSED


def test_the_memory_of_a_command_is_that_of_all_below_it(tmp_path: Path) -> None:
    large = "import time\nkept = bytearray(100 << 20)\ntime.sleep(1)"
    both = f"{sys.executable} -c '{large}' & {sys.executable} -c '{large}'; wait"
    before = subprocess.Popen([sys.executable, "-c", large.replace("sleep(1)", "sleep(60)")])
    try:
        watched = replace(contestant("two", "bash", "-c", both), watched=True)
        peak = meter(tmp_path).run(watched).all_peak_mib
    finally:
        before.kill()
        before.wait()
    assert peak is not None
    assert 200 < peak < 290


def test_the_same_seed_makes_the_same_data(tmp_path: Path) -> None:
    def content(tree: Tree) -> dict[str, bytes]:
        return {str(path.relative_to(tree.path)): path.read_bytes() for path in tree.path.rglob("*") if path.is_file()}

    trees = [Tree(tmp_path / name, megabytes=3, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    before = content(trees[0])
    assert before == content(trees[1])
    assert before != content(trees[2])
    for tree in trees[:2]:
        tree.change(0)
    assert content(trees[0]) == content(trees[1])
    changed = {path for path, raw in content(trees[0]).items() if before[path] != raw}
    assert (len(changed), set(before)) == (1, set(content(trees[0])))
    assert shop.statements(100, 1) == shop.statements(100, 1)
    assert shop.statements(100, 1) != shop.statements(100, 2)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark itself, on data so small that only what it says of its figures counts, not the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark import (
    centrals,
    dumps,
    files,
    replays,
    runbook,
    seals,
    sweeps,
    transfers,
    uploads,
    verifies,
    wrapper,
)
from tests.benchmark.branches import CONNECT_TIMEOUT_S

# One run of the benchmark serves all of them.
pytestmark = pytest.mark.xdist_group("benchmark")
TOP = Path(__file__).resolve().parents[2]
CONTESTANTS = {
    "dump": {dumps.PLAN, dumps.OURS_GZIP, dumps.OURS_ZSTD, dumps.CLIENT},
    "files": {files.PLAN, files.FAST, files.OURS_FULL, files.OURS_INCREMENT},
    "verify": {verifies.PLAN, verifies.OURS},
    "wrapper": {wrapper.BARE, wrapper.WRAPPED},
    "replay": {replays.STOCK, replays.OURS, replays.WALK},
    "seal": {seals.OURS},
    "central": {centrals.PLAN, centrals.FIRST, centrals.LATER, centrals.SHARE, centrals.SNAPSHOT},
    "central-bytes": {centrals.PLAN, centrals.LATER, centrals.SNAPSHOT},
    "sweep": {sweeps.TENTH, sweeps.ALL, sweeps.DEAD},
    "transfer": {transfers.PLAN, transfers.OURS, transfers.FETCH},
    "upload": {uploads.BARE, uploads.OURS},
    "restore": {runbook.PLAN, runbook.OURS},
}
TIMED = {"dump-wall", "dump-cpu", "files-wall", "increment-wall", "verify-wall", "wrapper-cpu"}
TIMED |= {"replay-wall", "replay-day", "seal-cpu"}
TIMED |= {"central-first", "central-later", "central-snapshot", "central-bytes-wall"}
TIMED |= {"sweep-cpu", "sweep-cpu-tenth", "sweep-growth-cpu", "sweep-growth-wall", "sweep-dead"}
TIMED |= {"transfer-wall", "upload-wall"}
SMALL = {"BENCH_SQL_MB": "2", "BENCH_FILES_MB": "4", "BENCH_SALES": "60", "BENCH_ARTIFACTS": "20"}
SMALL |= {"BENCH_BRANCHES": "10", "BENCH_TRANSFER_MIB": "20"}
# At any size; the bound of zstd's size needs more data than this.
HELD = {"dump-size-gzip", "files-size", "memory", "sweep-memory"}


def bench(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "COVERAGE"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = kept | {"PATH": path, "BENCH_DIR": str(directory), "ROUNDS": "1", "PEERS": ""} | variables
    return subprocess.run(
        ["scripts/bench"], cwd=TOP, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    directory = tmp_path_factory.mktemp("bench")
    return bench(directory, **SMALL), directory


def told(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "results.json").read_text())
    return document


def test_every_contestant_has_its_row(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, directory = done
    assert process.returncode == 0, process.stderr
    parts = told(directory)["parts"]
    assert set(parts) == set(CONTESTANTS)
    for name, contestants in CONTESTANTS.items():
        assert set(parts[name]["contestants"]) >= contestants
        for contestant in parts[name]["contestants"]:
            # A pipe would end the cell.
            cell = contestant.replace("|", r"\|")
            assert f"| {cell} " in process.stdout
            sample = parts[name]["contestants"][contestant]["samples"][0]
            assert sample["wall_s"] > 0
            assert sample["cpu_s"] > 0


def test_every_target_is_told(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, directory = done
    verdicts = {verdict["name"]: verdict for verdict in told(directory)["targets"]}
    assert set(verdicts) == TIMED | HELD | {"dump-size-zstd", "restore-wall"}
    assert all(f"| {verdict['text']} " in process.stdout for verdict in verdicts.values())
    assert all(verdict["measured"] is not None for verdict in verdicts.values())
    # Times of so little data are those of starting processes.
    assert {name for name, verdict in verdicts.items() if verdict["verdict"] == "not judged"} >= TIMED
    assert {name: verdicts[name]["verdict"] for name in HELD} == dict.fromkeys(HELD, "met")


def test_what_ours_makes_is_measured(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    parts = told(done[1])["parts"]
    dump, archives = parts["dump"]["contestants"], parts["files"]["contestants"]
    assert dump[dumps.OURS_GZIP]["samples"][0]["server_cpu_s"] + dump[dumps.PLAN]["samples"][0]["server_cpu_s"] > 0
    assert archives[files.OURS_FULL]["median"]["size"] > 3_000_000
    # One file in a hundred changed, and the increment holds that one only.
    assert archives[files.OURS_INCREMENT]["median"]["size"] < 700_000
    assert parts["verify"]["facts"]["artifacts"] == 4
    # Both replays worked on the same server's log, each on a server of its own.
    replay = parts["replay"]["contestants"]
    assert all(replay[name]["samples"][0]["server_cpu_s"] > 0 for name in (replays.STOCK, replays.OURS))
    assert replay[replays.WALK]["samples"][0]["facts"]["transactions"] >= 60
    assert parts["seal"]["contestants"][seals.OURS]["median"]["size"] > 10_000


def test_a_restore_is_split_by_step(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    restore = told(done[1])["parts"]["restore"]
    steps = restore["facts"]["steps"]
    assert {"stop", "database", "files", "migrate", "validate", "open", "down_s", "total_s"} <= set(steps)
    assert steps["down_s"] < steps["total_s"] < restore["contestants"][runbook.OURS]["median"]["wall_s"]
    assert all(each["median"]["server_cpu_s"] > 0 for each in restore["contestants"].values())


def test_dead_branches_are_waited_for_together(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    parts = told(done[1])["parts"]
    sweep = parts["sweep"]["contestants"]
    counted = {name: each["samples"][0]["facts"]["branches"] for name, each in sweep.items()}
    assert counted == {sweeps.TENTH: 1, sweeps.ALL: 10, sweeps.DEAD: 10}
    # One of them only is not there at all, which is noticed at once.
    waited = sweep[sweeps.DEAD]["median"]["wall_s"] - sweep[sweeps.ALL]["median"]["wall_s"]
    assert 0.5 * CONNECT_TIMEOUT_S < waited < 2 * CONNECT_TIMEOUT_S
    # The clients that a pull starts are counted, and what the benchmark started before is not.
    assert all(each["own_peak_mib"] < each["all_peak_mib"] for each in sweep.values())
    assert sweep[sweeps.TENTH]["all_peak_mib"] < 100
    assert parts["upload"]["contestants"][uploads.OURS]["samples"][0]["server_cpu_s"] > 0


def test_the_machine_is_described(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    machine = told(done[1])["machine"]
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert machine["sha_instructions"] in (True, False)
    assert {"mysqldump", "gzip", "igzip", "zstd", "tar", "sha256sum", "age"} <= set(machine["tools"])
    assert "unknown" not in machine["tools"].values()


def test_only_the_results_stay(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    assert {path.name for path in done[1].iterdir()} == {"lock", "results.json"}


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"ROUNDS": "0"}, id="no rounds"),
        pytest.param({"BENCH_SQL_MB": "much"}, id="no number"),
        pytest.param({"BENCH_PARTS": "dumps"}, id="unknown part"),
        pytest.param({"BENCH_PARTS": "verify"}, id="nothing to verify"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(tmp_path: Path, variables: dict[str, str]) -> None:
    process = bench(tmp_path, **variables)
    assert process.returncode == 2
    assert list(variables)[-1] in process.stderr
    assert list(tmp_path.iterdir()) == []

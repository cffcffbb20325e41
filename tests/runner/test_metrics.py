# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics: the facts of status in the text format, and a file that a collector never sees half of."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from larapee_runner.metrics import HELP
from larapee_runner.recorder import RunRecord, open_store, utc_now

if TYPE_CHECKING:
    from pathlib import Path

LABEL = r'[a-z]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"larapee_backup_[a-z_]+(?:\{{{LABEL}(?:,{LABEL})*\}})? [0-9.e+-]+")


def run(top: Path, *arguments: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(top),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LARAPEE_BACKUP_STATE_DIR": str(top / "state"),
        "LARAPEE_BACKUP_RUNS_URL": url or f"sqlite:///{top}/runs.sqlite",
    }
    argv = [sys.executable, "-m", "larapee_runner", "metrics", *arguments]
    return subprocess.run(argv, env=environment, cwd=top, capture_output=True, text=True, timeout=60, check=False)


def put(top: Path, *, kind: str, status: str = "success", ago: timedelta, branch: str = "branch-001") -> RunRecord:
    at = utc_now().replace(microsecond=0) - ago
    pending = RunRecord.pending(
        run_id=f"00000000-0000-4000-8000-{int(at.timestamp()):012d}", playbook="p", launcher="timer", started_at=at
    )
    ended = pending.ended(status, error=None if status == "success" else "Failed.", at=at + timedelta(seconds=20))
    row = dataclasses.replace(ended, branch=branch, kind=kind, bytes=4096, recovery_point=f"{at.isoformat()}")
    with contextlib.closing(open_store(f"sqlite:///{top}/runs.sqlite")) as store:
        store.upsert([row])
    return row


def test_each_sample_is_well_formed_and_says_what_the_rows_say(tmp_path: Path) -> None:
    good = put(tmp_path, kind="log", ago=timedelta(minutes=9))
    bad = put(tmp_path, kind="log", ago=timedelta(minutes=4), status="failed")
    put(tmp_path, kind="log", ago=timedelta(minutes=3), branch='odd "\\\nname')
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")
    samples = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [line for line in samples if not SAMPLE.fullmatch(line)] == []
    label = 'branch="branch-001",kind="log"'
    assert good.finished_at is not None
    assert bad.finished_at is not None
    assert f"larapee_backup_last_success_timestamp_seconds{{{label}}} {good.finished_at.timestamp():.15g}" in samples
    assert f"larapee_backup_last_run_timestamp_seconds{{{label}}} {bad.finished_at.timestamp():.15g}" in samples
    assert f"larapee_backup_last_run_success{{{label}}} 0" in samples
    assert f"larapee_backup_last_run_bytes{{{label}}} 4096" in samples
    assert 'larapee_backup_objective_met{branch="branch-001",objective="rpo"} 1' in samples
    assert 'larapee_backup_missed_runs{branch="branch-001"} 0' in samples
    # Each family once, with its type before its samples.
    types = re.findall(r"^# TYPE (\S+) gauge$", done.stdout, re.MULTILINE)
    assert len(types) == len(set(types))
    assert {f"larapee_backup_{name}" for name in HELP} >= set(types)


def test_the_file_is_replaced_at_once_and_others_may_read_it(tmp_path: Path) -> None:
    put(tmp_path, kind="full", ago=timedelta(hours=1))
    path = tmp_path / "collector" / "larapee.prom"
    path.parent.mkdir()
    path.write_text("old", encoding="utf-8")
    before = path.stat().st_ino
    done = run(tmp_path, "-o", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert "larapee_backup_build_info" in path.read_text(encoding="utf-8")
    assert (path.stat().st_mode & 0o777, path.stat().st_ino == before) == (0o644, False)
    assert [each.name for each in path.parent.iterdir()] == ["larapee.prom"]
    done = run(tmp_path, "-o", str(tmp_path / "nowhere" / "larapee.prom"))
    assert (done.returncode, "Failed to write" in done.stderr) == (1, True)


def test_a_table_that_cannot_be_read_is_a_metric_and_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run(tmp_path, url=f"sqlite:///{tmp_path}/file/runs.sqlite")
    assert done.returncode == 1
    assert "larapee_backup_table_reachable 0\n" in done.stdout

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import dataclasses
import uuid
from datetime import timedelta
from pathlib import Path

from larapee_runner.history import load_history, merge
from larapee_runner.recorder import Evidence, Recorder, RunRecord, Settings, open_store, utc_now


def ended(
    kind: str, *, branch: str = "branch-001", age: timedelta = timedelta(0), status: str = "success"
) -> RunRecord:
    record = RunRecord.pending(run_id=str(uuid.uuid4()), playbook="p", launcher="cli", started_at=utc_now() - age)
    return dataclasses.replace(record, branch=branch, kind=kind).ended(status, at=utc_now() - age)


def settings_in(path: Path) -> Settings:
    return Settings(runs_url=f"sqlite:///{path}/runs.sqlite", state_path=path, config_path=path / "none")


def test_the_surest_word_on_each_row_wins_wherever_it_lies() -> None:
    record = ended("full")
    inferred = dataclasses.replace(record, status="failed", evidence=Evidence.INFERRED)
    assert merge([inferred], [record]) == merge([record], [inferred]) == [record]


def test_a_run_with_branches_has_no_row_without_one() -> None:
    record = ended("full")
    nameless = dataclasses.replace(record, branch=None)
    assert merge([nameless], [record]) == [record]
    assert merge([nameless], []) == [nameless]


def test_a_last_success_of_a_frequent_kind_is_found_however_old(tmp_path: Path) -> None:
    recent = ended("log", branch="branch-002", age=timedelta(minutes=3))
    stale = [ended("log", age=timedelta(days=30)), ended("log", age=timedelta(days=40))]
    with contextlib.closing(open_store(settings_in(tmp_path).runs_url)) as store:
        store.upsert([ended("full", age=timedelta(days=300)), recent, *stale, ended("verify", branch="branch-003")])
    rows = load_history(settings_in(tmp_path), now=utc_now()).rows
    assert {row.run_id for row in rows} >= {recent.run_id, stale[0].run_id}
    assert {row.branch for row in rows} == {"branch-001", "branch-002", "branch-003"}


def test_the_journal_counts_while_the_table_lacks_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    Recorder(settings, witness="callback").record([ended("full")], table=False)
    history = load_history(settings, now=utc_now())
    assert (len(history.rows), history.journal_records, history.table_error) == (1, 1, None)

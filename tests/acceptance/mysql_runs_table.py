# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of runs in MySQL: the same rows and rules as in SQLite and MariaDB."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    StoreError,
    open_store,
)
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import (
    at_level,
    check_history,
    histories,
    make_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunStore
    from tests.engines.servers import MysqlServer

PASSWORD = 'S3cret "with" \\ # ; and €'


@pytest.fixture(scope="module")
def url(source: MysqlServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    quoted = PASSWORD.replace("\\", "\\\\")
    source.sql(
        f"CREATE DATABASE runs; CREATE USER runs@localhost IDENTIFIED WITH caching_sha2_password BY '{quoted}';"
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON runs.* TO runs@localhost; FLUSH PRIVILEGES"
    )
    path: Path = source.option_file(tmp_path_factory.mktemp("runs") / "runs.cnf", user="runs", password=PASSWORD)
    return f"mysql+pymysql://localhost/runs?read_default_file={path}"


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[RunStore]:
    with contextlib.closing(open_store(url)) as opened:
        yield opened


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories())
def test_any_order_and_repetition_ends_in_the_same_rows(store: RunStore, history: list[list[RunRecord]]) -> None:
    check_history(store, history)


def test_every_column_comes_back(store: RunStore) -> None:
    started = datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
    record = RunRecord(
        run_id=str(uuid.uuid4()),
        branch="branch-ü",
        kind="full",
        status="failed",
        started_at=started,
        finished_at=started + timedelta(microseconds=1),
        duration_s=0.000001,
        host="central",
        launcher="awx",
        launcher_ref="4711",
        playbook="larapee.backup.branch_backup",
        check_mode=True,
        artifacts=[{"name": "db-20261122-0300.sql.gz.age", "size": 2**40, "sha256": "0f" * 32}],
        bytes=2**40,
        recovery_point="2026-11-22T14:32:10Z",
        error="Failed to dump 'larapos': \\ \" ; -- 🧾. Free some space.",
        evidence=Evidence.OBSERVED,
        details={"deep": {"er": [1, None, "é", "%s", "{x}"]}},
    )
    store.upsert([record])
    assert store.query(run_id=record.run_id) == [record]


def test_observed_end_never_changes(store: RunStore) -> None:
    end = at_level(str(uuid.uuid4()), "branch-001", Evidence.OBSERVED)
    store.upsert([end])
    store.upsert([make_record(run_id=end.run_id, branch="branch-001").ended("failed", error="Another end.")])
    store.upsert([at_level(end.run_id, "branch-001", Evidence.INFERRED)])
    assert store.query(run_id=end.run_id) == [end]


def test_inference_stays_readable_below_the_observed_end(store: RunStore) -> None:
    run_id = str(uuid.uuid4())
    inferred = at_level(run_id, "branch-001", Evidence.INFERRED)
    for record in (at_level(run_id, "branch-001", Evidence.PENDING), inferred):
        store.upsert([record])
    observed = at_level(run_id, "branch-001", Evidence.OBSERVED)
    store.upsert([observed])
    store.upsert([inferred])
    (row,) = store.query(run_id=run_id)
    inference = {"error": inferred.error, "finished_at": "2026-11-22T03:00:08.123456Z"}
    assert row == dataclasses.replace(observed, details={**observed.details, "inference": inference})


def test_thousand_branches_in_one_write(store: RunStore) -> None:
    run_id = str(uuid.uuid4())
    store.upsert([make_record(run_id=run_id)])
    store.upsert([make_record(run_id=run_id, branch=f"branch-{number:04}") for number in range(1000)])
    rows = store.query(run_id=run_id)
    assert len(rows) == 1000
    assert None not in {row.branch for row in rows}


def test_two_witnesses_at_once_leave_one_row(url: str) -> None:
    run_ids = [str(uuid.uuid4()) for _number in range(40)]
    errors: list[Exception] = []
    barrier = threading.Barrier(2, timeout=20)

    def write(branch: str | None) -> None:
        try:
            with contextlib.closing(open_store(url)) as opened:
                for run_id in run_ids:
                    barrier.wait()
                    opened.upsert([make_record(run_id=run_id, branch=branch)])
        except Exception as error:  # noqa: BLE001 - told by the thread that asserts
            errors.append(error)

    threads = [threading.Thread(target=write, args=[branch]) for branch in (None, "branch-001")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with contextlib.closing(open_store(url)) as opened:
        for run_id in run_ids:
            assert [row.branch for row in opened.query(run_id=run_id)] == ["branch-001"]


def test_value_that_does_not_fit_is_refused_and_nothing_is_written(store: RunStore) -> None:
    run_id = str(uuid.uuid4())
    with pytest.raises(StoreError, match="too long"):
        store.upsert([make_record(run_id=run_id), make_record(run_id=run_id, branch="b" * 200)])
    assert store.query(run_id=run_id) == []


def test_refusal_of_the_server_is_told_without_the_password(source: MysqlServer, url: str, tmp_path: Path) -> None:
    wrong = source.option_file(tmp_path / "wrong.cnf", user="runs", password="S3cret of somebody else")
    with pytest.raises(StoreError, match="Access denied for user 'runs'") as caught:
        open_store(url.partition("=")[0] + f"={wrong}")
    assert "S3cret" not in str(caught.value)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import ansible_collections
import pytest
from hypothesis import given, settings

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    StoreError,
    load_settings,
    open_store,
    redacted_url,
)
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import (
    START,
    at_level,
    check_history,
    histories,
    make_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunStore

COLLECTIONS = str(Path(next(iter(ansible_collections.__path__))).parent)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('table')}/runs.sqlite")
    yield store
    store.close()


@settings(max_examples=150, deadline=None)
@given(history=histories())
def test_any_order_and_repetition_ends_in_the_same_rows(shared: RunStore, history: list[list[RunRecord]]) -> None:
    check_history(shared, history)


def test_observed_end_never_changes(shared: RunStore) -> None:
    end = at_level(make_record().run_id, "branch-001", Evidence.OBSERVED)
    shared.upsert([end])
    shared.upsert([make_record(run_id=end.run_id, branch="branch-001").ended("failed", error="Another end.")])
    shared.upsert([at_level(end.run_id, "branch-001", Evidence.INFERRED)])
    assert shared.query(run_id=end.run_id) == [end]


def test_inference_stays_readable_below_the_observed_end(shared: RunStore) -> None:
    run_id = make_record().run_id
    inferred = at_level(run_id, "branch-001", Evidence.INFERRED)
    shared.upsert([inferred])
    shared.upsert([at_level(run_id, "branch-001", Evidence.OBSERVED)])
    (row,) = shared.query(run_id=run_id)
    assert row.status == "success"
    assert row.details["inference"] == {"error": inferred.error, "finished_at": "2026-11-22T03:00:08.123456Z"}


def test_query_filters_and_sorts(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
    for minute in range(4):
        store.upsert(
            [
                make_record(
                    branch=f"branch-00{minute % 2}",
                    kind="full" if minute else "log",
                    started_at=START + timedelta(minutes=minute),
                )
            ]
        )
    minutes = [(row.started_at - START).seconds // 60 for row in store.query()]
    assert minutes == [3, 2, 1, 0]
    assert len(store.query(branch="branch-001")) == 2
    assert len(store.query(kind="log")) == 1
    assert len(store.query(status="success")) == 0
    assert len(store.query(since=START + timedelta(minutes=2))) == 2
    assert len(store.query(limit=3, branch="branch-000")) == 2
    assert len(store.query(limit=1)) == 1
    store.close()


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/new/runs.sqlite")
    store.upsert([make_record()])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    store.close()
    assert modes == dict.fromkeys(("runs.sqlite", "runs.sqlite-shm", "runs.sqlite-wal"), 0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    for _time in range(2):
        store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
        store.upsert([make_record()])
        store.close()
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/runs.sqlite")) as connection:
        assert len(connection.execute("SELECT id FROM backup_runs").fetchall()) == 2


def test_writer_waits_for_another_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    store = open_store(f"sqlite:///{path}", read_timeout=1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        store.upsert([make_record()])
    other.execute("ROLLBACK")
    other.close()
    store.upsert([make_record()])
    store.close()


def test_all_or_nothing(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
    with pytest.raises(StoreError, match="Failed to write the runs table"):
        store.upsert([make_record(branch="a"), make_record(branch="b", status="unheard of")])
    assert store.query() == []
    store.close()


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_text("no database, and long enough to be looked at" * 40, encoding="utf-8")
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("mysql+pymysql://runs:S3cret@host/db?read_default_file=/x", "holds a password"),
        ("mysql+pymysql://host/db", "needs a database and read_default_file"),
        ("mysql+pymysql://host/?read_default_file=/x", "needs a database"),
        ("mysql+pymysql://host/db?read_default_file=/x&password=S3cret", "needs a database and read_default_file, and"),
        ("sqlite:///relative.sqlite", "not absolute"),
        ("sqlite://host//path", "not absolute"),
        ("postgresql://host/db", "postgresql is not known"),
        ("", "no scheme is not known"),
        ("mysql+pymysql://host:port/db?read_default_file=/x", "no URL"),
    ],
)
def test_unusable_url(url: str, cause: str) -> None:
    with pytest.raises(StoreError, match=cause) as caught:
        open_store(url)
    assert "S3cret" not in str(caught.value)


def test_driver_that_is_not_installed_is_named() -> None:
    program = (
        "import sys\n"
        f"sys.path.insert(0, {COLLECTIONS!r})\n"
        "sys.modules['pymysql'] = None\n"
        "from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import StoreError, open_store\n"
        "try:\n    open_store('mysql+pymysql://localhost/runs?read_default_file=/none')\n"
        "except StoreError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert "PyMySQL is not installed for this Python" in done.stdout


def test_url_for_people() -> None:
    assert redacted_url("mysql+pymysql://runs:S3cret@host/db") == "mysql+pymysql://host/db"
    assert redacted_url("sqlite:////var/lib/runs.sqlite") == "sqlite:////var/lib/runs.sqlite"
    assert redacted_url("mysql://[S3cret") == "an unreadable URL"


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "line\nbreak", "tab\tx", "a b", "\udcff", "ü", "100%"])
def test_default_table_stands_in_the_state_directory_whatever_its_name(tmp_path: Path, name: str) -> None:
    state = tmp_path / name
    open_store(load_settings({"LARAPEE_BACKUP_STATE_DIR": str(state)}).runs_url).close()
    assert (state / "runs.sqlite").is_file()
    assert list(tmp_path.iterdir()) == [state]


@pytest.mark.parametrize("end", ["?", "?b", "#", "#b", "\n", "a\nb", "\t"])
def test_characters_that_would_name_another_file_are_refused(tmp_path: Path, end: str) -> None:
    with pytest.raises(StoreError, match="Write"):
        open_store(f"sqlite:///{tmp_path}/runs.sqlite{end}")
    assert list(tmp_path.iterdir()) == []

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import atexit
import signal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Journal,
    PlaybookRun,
    Recorder,
    RunRecord,
    _playbook_run,
    load_settings,
    open_store,
    recorder_of_this_process,
)

RUN_ID = "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"


class FakeSignals:
    """The handlers are tested in processes of their own."""

    def __init__(self, _on_signal: Any) -> None: ...

    def install(self) -> None: ...

    def deferred(self) -> FakeSignals:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_error: object) -> None: ...


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(_playbook_run, "SignalWatch", FakeSignals)
    monkeypatch.setattr(atexit, "register", lambda _function: None)
    return {"LARAPEE_BACKUP_STATE_DIR": str(tmp_path / "state")}


def make_run(environ: dict[str, str], warnings: list[str] | None = None) -> PlaybookRun:
    warn = [].append if warnings is None else warnings.append
    return PlaybookRun(playbook="site.yml", check_mode=False, warn=warn, environ=environ)


def rows(environ: dict[str, str]) -> list[RunRecord]:
    store = open_store(load_settings(environ).runs_url)
    try:
        return store.query()
    finally:
        store.close()


def test_environment_tells_the_guard_and_the_modules(environ: dict[str, str]) -> None:
    environ["LARAPEE_BACKUP_RUN_ID"] = RUN_ID
    make_run(environ).start()
    lock = Path(environ["LARAPEE_BACKUP_STATE_DIR"]) / "locks" / f"run-{RUN_ID}.callback.lock"
    assert environ["LARAPEE_BACKUP_RECORDER"] == RUN_ID
    assert environ["LARAPEE_BACKUP_OWNER_LOCK"] == str(lock)
    assert recorder_of_this_process(environ) == RUN_ID
    assert [row.status for row in rows(environ)] == ["pending"]


def test_start_that_breaks_leaves_no_word_of_an_earlier_run(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Recorder, _records: list[RunRecord], **_options: bool) -> None:
        raise RuntimeError("a defect")

    environ.update(LARAPEE_BACKUP_RUN_ID=RUN_ID, LARAPEE_BACKUP_RECORDER=RUN_ID)
    monkeypatch.setattr(Recorder, "record", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        make_run(environ).start()
    assert "LARAPEE_BACKUP_RECORDER" not in environ


@pytest.mark.parametrize("given", ["17", "", "not-a-uuid"])
def test_id_that_is_none_is_replaced(environ: dict[str, str], given: str) -> None:
    environ["LARAPEE_BACKUP_RUN_ID"] = given
    warnings: list[str] = []
    run = make_run(environ, warnings)
    run.start()
    assert environ["LARAPEE_BACKUP_RUN_ID"] == run.run_id != given
    assert len(warnings) == bool(given)


def test_lock_that_cannot_be_had_counts_as_a_journal_that_cannot_be_written(environ: dict[str, str]) -> None:
    locks = Path(environ["LARAPEE_BACKUP_STATE_DIR"]) / "locks"
    locks.parent.mkdir()
    locks.write_text("in the way", encoding="utf-8")
    warnings: list[str] = []
    make_run(environ, warnings).start()
    assert environ["LARAPEE_BACKUP_RECORDER"] == "table"
    assert "LARAPEE_BACKUP_OWNER_LOCK" not in environ
    assert "Failed to lock" in warnings[0]


def test_journal_learns_the_branch_between_two_tasks(environ: dict[str, str]) -> None:
    run = make_run(environ)
    run.start()
    run.on_stats_data("shop", {"larapee_backup": {"branch-001": {"kind": "full"}}})
    run.on_task("Dump")
    journal = Journal(Path(environ["LARAPEE_BACKUP_STATE_DIR"]))
    (record,) = journal.read(journal.path(run.run_id)).records
    assert (record.branch, record.kind, record.status) == ("branch-001", "full", "pending")
    assert [(row.branch, row.status) for row in rows(environ)] == [("branch-001", "pending")]


def test_the_row_says_before_the_end_which_job_of_its_kind_it_is(environ: dict[str, str]) -> None:
    """A run that is killed then is no run of another place."""
    run = make_run(environ)
    run.start()
    told = {"kind": "verify", "details": {"place": "hot", "levels": {}, "owner": "a role's word"}}
    run.on_stats_data("central", {"larapee_backup": {"branch-001": told}})
    run.on_task("Verify")
    (row,) = rows(environ)
    assert (row.status, row.details["place"]) == ("pending", "hot")
    assert "levels" not in row.details
    assert row.details.get("owner") != "a role's word"


@pytest.mark.parametrize("data", [{}, {"larapee_backup": []}, {"larapee_backup": {7: {}, "": {}, "b": "x"}}, {"x": {}}])
def test_stats_that_are_not_ours_change_nothing(environ: dict[str, str], data: dict[str, Any]) -> None:
    run = make_run(environ)
    run.start()
    run.on_stats_data("shop", data)
    run.finish(processed=["shop"], failed=[])
    assert [row.branch for row in rows(environ)] == [None]


@pytest.mark.parametrize("method", ["reconcile", "flush"])
def test_nothing_of_earlier_runs_stops_this_one(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(_self: Recorder, *_arguments: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Recorder, method, broken)
    warnings: list[str] = []
    run = make_run(environ, warnings)
    run.start()
    run.finish(processed=["shop"], failed=[])
    assert [row.status for row in rows(environ)] == ["failed"]
    assert any("ValueError: a defect" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("left", "said"),
    [(b"timed out after 12 s\nmore", ": timed out after 12 s. Start"), (b"", "). Start"), (None, "). Start")],
)
def test_word_of_the_launcher_is_in_the_row(
    environ: dict[str, str], tmp_path: Path, left: bytes | None, said: str
) -> None:
    environ["LARAPEE_BACKUP_STOP_REASON"] = str(tmp_path / "stop-reason")
    if left is not None:
        (tmp_path / "stop-reason").write_bytes(left)
    run = make_run(environ)
    run.start()
    run._on_signal(signal.SIGTERM)
    assert said in str(rows(environ)[0].error)


def test_end_comes_once(environ: dict[str, str]) -> None:
    run = make_run(environ)
    run.start()
    run.finish(processed=[], failed=[])
    run.finish(processed=["shop"], failed=["shop"])
    (row,) = rows(environ)
    assert str(row.error).startswith("No hosts matched")

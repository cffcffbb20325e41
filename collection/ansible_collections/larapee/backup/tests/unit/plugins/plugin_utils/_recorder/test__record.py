# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, RunRecord, one_line
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._record import dump_json, format_time, parse_time
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import (
    START,
    make_record,
)

RUN_ID = "0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001"


def test_id_is_derived_from_run_and_branch() -> None:
    record = make_record(run_id=RUN_ID, branch="branch-001")
    assert record.id == str(uuid.uuid5(uuid.UUID(RUN_ID), "branch-001"))
    assert make_record(run_id=RUN_ID).id == str(uuid.uuid5(uuid.UUID(RUN_ID), ""))


def test_json_round_trip_keeps_microseconds() -> None:
    record = make_record(
        branch="branch-001", kind="full", artifacts=[{"name": "db.sql.gz", "size": 3, "sha256": "0f"}], bytes=3
    ).ended("failed", error="Failed.", at=START + timedelta(seconds=1.5), details={"reason": "lock_held"})
    document = record.to_json()
    assert document["started_at"] == "2026-11-22T03:00:07.123456Z"
    assert document["id"] == record.id
    assert RunRecord.from_json(document) == record
    assert record.duration_s == 1.5


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "17"},
        {"status": "done"},
        {"evidence": 9},
        {"started_at": "2026-11-22T03:00:07"},
        {"started_at": None},
        {"artifacts": "none"},
        {"details": []},
        {"branch": 7},
        {"host": None},
    ],
)
def test_from_json_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        RunRecord.from_json({**make_record().to_json(), **change})


def test_from_json_refuses_what_is_incomplete() -> None:
    document = make_record().to_json()
    del document["launcher"]
    with pytest.raises(ValueError, match="launcher"):
        RunRecord.from_json(document)


def test_end_drops_the_owner_and_only_an_observed_one_has_a_duration() -> None:
    pending = make_record(details={"owner": {"pid": 1}, "kept": True})
    lost = pending.ended("failed", error="lost: x", evidence=Evidence.INFERRED)
    assert (lost.details, lost.duration_s, lost.is_finished) == ({"kept": True}, None, True)
    assert pending.ended("success").duration_s is not None


def test_clock_set_back_gives_no_negative_duration() -> None:
    assert make_record().ended("success", at=START - timedelta(hours=1)).duration_s == 0.0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n\n  first  \nsecond", "first"),
        ("tab\tand \x1b[31mcolour", "tab and [31mcolour"),
        ("nul\x00here", "nul here"),
        ("lone \udcff byte", "lone ? byte"),
        ("", ""),
        ("x" * 600, "x" * 497 + "..."),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_json_never_shows_an_object_that_it_does_not_know() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "S3cret"

    assert dump_json({"a": Secret(), "b": "lone \udcff"}) == '{"a": "<Secret>", "b": "lone ?"}'


def test_times_need_a_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        parse_time("2026-11-22T03:00:07")


def test_time_of_a_clock_that_is_wrong_comes_back() -> None:
    moment = datetime(1, 1, 1, tzinfo=UTC)
    assert format_time(moment) == "0001-01-01T00:00:00.000000Z"
    assert parse_time(format_time(moment)) == moment

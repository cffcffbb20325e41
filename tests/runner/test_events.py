# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from larapee_runner.events import EventLog, Failure


class Spy:
    def __init__(self) -> None:
        self.told: list[str] = []

    def play_started(self, name: str) -> None:
        self.told.append(f"play {name}")

    def task_started(self, name: str) -> None:
        self.told.append(f"task {name}")

    def task_failed(self, failure: Failure) -> None:
        self.told.append(f"failed {failure.task}")


def failed(result: Any, **more: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed", "event_data": {"host": "branch-001", "task": "Dump", "res": result, **more}}


def test_progress_is_told_and_no_event_is_stored() -> None:
    spy = Spy()
    log = EventLog(spy)
    events: list[dict[str, Any]] = [
        {"event": "playbook_on_play_start", "event_data": {"name": "Backup"}},
        {"event": "playbook_on_task_start", "event_data": {"task": "Dump"}},
        {"event": "verbose", "stdout": "x"},
        {"event": "playbook_on_stats", "event_data": {}},
    ]
    assert [log.handle(event) for event in events] == [False] * 4
    assert spy.told == ["play Backup", "task Dump"]
    assert log.stats


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": " Failed to dump database: gone. "}, "Failed to dump database: gone."),
        ({"censored": "no_log"}, "hidden, because the task has no_log"),
        (
            {
                "msg": "one item",
                "results": [{"failed": True, "msg": "a"}, {"msg": "fine"}, {"failed": True, "msg": "b"}],
            },
            "a; b",
        ),
        ({}, "no message"),
        ("odd", "odd"),
    ],
)
def test_message_of_a_failed_task(result: Any, message: str) -> None:
    log = EventLog(Spy())
    log.handle(failed(result))
    assert log.failures == [Failure("branch-001", "Dump", message)]


def test_ignored_errors_are_no_failures() -> None:
    log = EventLog(Spy())
    log.handle(failed({"msg": "x"}, ignore_errors=True))
    assert log.failures == []


def test_many_failures_do_not_fill_the_memory() -> None:
    log = EventLog(Spy())
    for _ in range(1000):
        log.handle(failed({"msg": "x" * 10_000}))
    assert len(log.failures) == 20
    assert len(log.failures[0].message) == 2000

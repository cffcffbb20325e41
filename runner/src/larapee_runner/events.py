# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the launcher takes from ansible's events: where it is, and which tasks failed. Nothing of it is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_LIMIT = 2000
FAILURES_LIMIT = 20


@dataclass(frozen=True)
class Failure:
    host: str
    task: str
    message: str


class Observer(Protocol):
    """Whoever shows the run's progress."""

    def play_started(self, name: str) -> None: ...

    def task_started(self, name: str) -> None: ...

    def task_failed(self, failure: Failure) -> None: ...


@dataclass
class EventLog:
    """Follows one run; keeps no result, only the messages of tasks that failed."""

    observer: Observer
    stats: bool = False
    failures: list[Failure] = field(default_factory=list)

    def handle(self, event: Mapping[str, Any]) -> bool:
        """Take one event of ansible-runner; False tells it not to store the event's file."""
        data = event.get("event_data")
        if isinstance(data, dict):
            self._follow(str(event.get("event")), data)
        return False

    def _follow(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "playbook_on_play_start":
            self.observer.play_started(str(data.get("name") or data.get("play") or ""))
        elif kind == "playbook_on_task_start":
            self.observer.task_started(str(data.get("name") or data.get("task") or ""))
        elif kind == "playbook_on_stats":
            self.stats = True
        elif kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            self._fail(data)

    def _fail(self, data: Mapping[str, Any]) -> None:
        failure = Failure(str(data.get("host") or "?"), str(data.get("task") or "?"), _message(data.get("res")))
        if len(self.failures) < FAILURES_LIMIT:
            self.failures.append(failure)
        self.observer.task_failed(failure)


def _message(result: object) -> str:
    if not isinstance(result, dict):
        return str(result)[:MESSAGE_LIMIT]
    if "censored" in result and "msg" not in result:
        return "hidden, because the task has no_log"
    items = [_message(item) for item in result.get("results") or () if isinstance(item, dict) and item.get("failed")]
    text = "; ".join(items) or str(result.get("msg") or result.get("reason") or "no message")
    return text.strip()[:MESSAGE_LIMIT]


__all__ = ("EventLog", "Failure", "Observer")

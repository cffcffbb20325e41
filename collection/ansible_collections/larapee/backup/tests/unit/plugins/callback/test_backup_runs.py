# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.callback import backup_runs
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Failure


class FakeRun:
    """Notes what the callback tells."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.told: list[Any] = []

    def start(self, *, fresh_id: bool) -> None:
        self.told.append(("start", fresh_id))

    def on_task(self, name: str) -> None:
        self.told.append(("task", name))

    def on_stats_data(self, host: str, data: dict[str, Any]) -> None:
        self.told.append(("data", host, data))

    def on_failure(self, failure: Failure) -> None:
        self.told.append(failure)

    def finish(self, *, processed: Any, failed: Any, rescued: Any) -> None:
        self.told.append(("finish", sorted(processed), sorted(failed), sorted(rescued)))


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(backup_runs, "PlaybookRun", FakeRun)
    monkeypatch.setattr(backup_runs.context, "CLIARGS", {"check": True})
    module = backup_runs.CallbackModule()
    module.v2_playbook_on_start(SimpleNamespace(_file_name="site.yml"))
    return module


def told(callback: Any) -> list[Any]:
    run: FakeRun = callback._run
    return run.told


def result(data: dict[str, Any], *, host: str = "shop", ignore_unreachable: bool = False) -> Any:
    return SimpleNamespace(
        _result=data,
        _host=SimpleNamespace(get_name=lambda: host),
        _task=SimpleNamespace(_uuid="t1", get_name=lambda: "Dump", ignore_unreachable=ignore_unreachable),
    )


def play(variables: dict[str, Any]) -> Any:
    manager = SimpleNamespace(get_vars=lambda play, host: variables)
    return SimpleNamespace(get_variable_manager=lambda: manager)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("site.yml", "site.yml"),
        (
            "/x/collections/ansible_collections/larapee/backup/playbooks/branch_backup.yml",
            "larapee.backup.branch_backup",
        ),
        ("/x/ansible_collections/a/b/playbooks/deep/one.yaml", "a.b.deep.one"),
    ],
)
def test_playbook_name(path: str, name: str) -> None:
    assert backup_runs._playbook_name(path) == name


def test_start_and_second_playbook(callback: Any) -> None:
    assert callback._run.arguments["check_mode"] is True
    assert told(callback) == [("start", False)]
    callback.v2_playbook_on_start(SimpleNamespace(_file_name="site.yml"))
    assert told(callback) == [("start", True)]


def test_stats_of_tasks_and_of_loops(callback: Any) -> None:
    stats = {"ansible_stats": {"data": {"larapee_backup": {}}, "per_host": False}}
    callback.v2_runner_on_ok(result(stats))
    callback.v2_runner_on_ok(result({"results": [stats, "squashed"]}))
    callback.v2_runner_on_ok(result({"ansible_stats": "nonsense"}))
    assert told(callback)[1:] == [("data", "shop", {"larapee_backup": {}})] * 2


def test_failure_keeps_the_first_line_and_the_slugs(callback: Any) -> None:
    callback.v2_runner_on_failed(
        result({"msg": "Failed to lock.\nmore", "reason": "lock_held", "holder": "pid 17", "stdout": "S3cret"})
    )
    expected = Failure(host="shop", task="Dump", message="Failed to lock.", reason="lock_held", holder="pid 17")
    assert told(callback)[-1] == expected


def test_holder_of_a_lock_is_told_in_words(callback: Any) -> None:
    callback.v2_runner_on_failed(
        result({"msg": "Failed.", "reason": "lock_held", "holder": {"pid": 17, "host": "shop", "run_id": "r"}})
    )
    assert told(callback)[-1].holder == "host shop, pid 17, run_id r"


def test_killed_module_is_told_as_such(callback: Any) -> None:
    callback.v2_runner_on_failed(
        result({"msg": "Module result deserialization failed: No start", "module_stdout": "", "rc": 137})
    )
    assert told(callback)[-1].message.startswith("Failed to finish: the module was killed by signal 9. If nobody")


def test_ignored_failures_are_none(callback: Any) -> None:
    callback.v2_runner_on_failed(result({"msg": "Failed."}), ignore_errors=True)
    callback.v2_runner_on_unreachable(result({"msg": "Away."}, ignore_unreachable=True))
    assert told(callback) == [("start", False)]


def test_item_of_a_loop_gives_the_message(callback: Any) -> None:
    callback.v2_runner_item_on_failed(result({"msg": "Failed to copy a."}))
    callback.v2_runner_item_on_failed(result({"msg": "Failed to copy b."}))
    callback.v2_runner_on_failed(result({"msg": "One or more items failed"}))
    assert told(callback)[-1].message == "Failed to copy a."


def test_hidden_message_stays_hidden(callback: Any) -> None:
    callback.v2_runner_on_failed(result({"censored": "hidden", "msg": "S3cret"}))
    assert "S3cret" not in told(callback)[-1].message


@pytest.mark.parametrize(
    ("value", "branch"),
    [
        ("branch-007", "branch-007"),
        ("{{ inventory_hostname }}", "shop"),
        ("{{ lookup('file', '/etc/branch') }}", None),
        ("{% if x %}a{% endif %}", None),
        (7, "7"),
        (True, None),
        ("", None),
        (None, None),
    ],
)
def test_branch_of_the_inventory(callback: Any, value: Any, branch: str | None) -> None:
    callback.v2_playbook_on_play_start(play({"larapee_backup_branch": value}))
    callback.v2_runner_on_unreachable(result({"msg": "Away."}))
    assert told(callback)[-1].branch == branch


def test_end(callback: Any) -> None:
    stats = SimpleNamespace(
        processed={"a": 1, "b": 1}, failures={"a": 1}, dark={"b": 0, "c": 1}, rescued={"b": 1, "a": 0}
    )
    callback.v2_playbook_on_stats(stats)
    assert told(callback)[-1] == ("finish", ["a", "b"], ["a", "c"], ["b"])

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Failure, RunRecord
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._verdict import (
    BranchReport,
    Ending,
    causes,
    judge,
)
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import make_record

ARTIFACT = {"name": "db.sql.gz.age", "size": 10, "sha256": "0f"}
GOOD: dict[str, Any] = {"kind": "full", "artifacts": [ARTIFACT], "completed": True}


def report(*said: dict[str, Any], host: str = "shop") -> BranchReport:
    result = BranchReport()
    for words in said:
        result.take(host, words)
    return result


def verdict(
    reports: dict[str, BranchReport],
    *,
    failures: tuple[Failure, ...] = (),
    ending: Ending | None = None,
    **changes: Any,
) -> dict[str | None, RunRecord]:
    rows = judge(
        make_record(**changes),
        reports,
        failures={failure.host: failure for failure in failures},
        ending=ending or Ending(processed=frozenset(["shop"])),
    )
    assert len({row.id for row in rows}) == len(rows)
    return {row.branch: row for row in rows}


def failing(*hosts: str) -> Ending:
    return Ending(processed=frozenset([*hosts, "shop"]), failed=frozenset(hosts))


def failure(host: str = "shop", **changes: Any) -> Failure:
    return Failure(host=host, task="Dump", message="Failed to dump.", **changes)


def test_success_needs_all_of_it() -> None:
    row = verdict({"branch-001": report(GOOD)})["branch-001"]
    assert (row.status, row.error, row.bytes, row.artifacts) == ("success", None, 10, [ARTIFACT])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({**GOOD, "completed": False}, "never reached its close"),
        ({**GOOD, "completed": "yes"}, "never reached its close"),
        ({**GOOD, "artifacts": []}, "without an artifact"),
        ({**GOOD, "artifacts": "db.sql.gz"}, "without an artifact"),
        ({**GOOD, "kind": "log", "artifacts": []}, "without an artifact"),
        ({**GOOD, "kind": "everything"}, "no known kind"),
        ({"artifacts": [ARTIFACT], "completed": True}, "no known kind"),
    ],
)
def test_what_is_no_success(said: dict[str, Any], words: str) -> None:
    row = verdict({"branch-001": report(said)})["branch-001"]
    assert row.status == "failed"
    assert words in str(row.error)


@pytest.mark.parametrize("kind", ["verify", "restore", "drill", "retention", "rotate", "sync"])
def test_kinds_that_make_no_artifact(kind: str) -> None:
    assert verdict({"b": report({"kind": kind, "completed": True})})["b"].status == "success"


def test_check_mode_makes_no_artifact() -> None:
    assert verdict({"b": report({**GOOD, "artifacts": []})}, check_mode=True)["b"].status == "success"


def test_several_reports_add_up() -> None:
    files = {"name": "public-uploads.tar.zst.age", "size": 5, "sha256": "1f"}
    row = verdict(
        {
            "b": report(
                {"kind": "full", "details": {"engine": "mariadb"}},
                {"artifacts": [ARTIFACT], "recovery_point": "2026-11-22T03:00:07Z"},
                {"artifacts": [files, ARTIFACT], "details": {"files": 3}},
                {"completed": True},
            )
        }
    )["b"]
    assert (row.status, row.bytes, len(row.artifacts)) == ("success", 15, 2)
    assert (row.recovery_point, row.details) == ("2026-11-22T03:00:07Z", {"engine": "mariadb", "files": 3})


@pytest.mark.parametrize(
    ("started", "did", "status"),
    [
        ("full", "verify", "failed"),
        ("full", "restore", "failed"),
        ("verify", "full", "failed"),
        ("restore", "drill", "failed"),
        ("full", "full", "success"),
        ("drill", "restore", "success"),
    ],
)
def test_what_a_role_did_has_to_agree_with_the_kind_of_the_run(started: str, did: str, status: str) -> None:
    said = report({"kind": started}, {"kind": did, "artifacts": [ARTIFACT]}, {"kind": started}, {"completed": True})
    row = verdict({"b": said})["b"]
    assert (row.kind, row.status) == (started, status)
    assert (f"started as {started}, but a role did {did}" in str(row.error)) == (status == "failed")


def test_failed_host_fails_its_branches_only() -> None:
    rows = verdict(
        {"branch-001": report(GOOD), "branch-002": report(GOOD, host="shop-2")},
        failures=(failure("shop-2", reason="lock_held", holder="pid 17"),),
        ending=failing("shop-2"),
    )
    assert (rows["branch-001"].status, rows["branch-001"].details) == ("success", {})
    assert rows["branch-002"].error == "Failed to dump. (task 'Dump' on shop-2)"
    assert rows["branch-002"].details["reason"] == "lock_held"
    assert rows["branch-002"].details["holder"] == "pid 17"


def test_rescued_failure_is_none() -> None:
    assert verdict({"b": report(GOOD)}, failures=(failure(),))["b"].status == "success"


def test_host_stopped_by_another_names_it() -> None:
    rows = verdict(
        {"branch-001": report({**GOOD, "completed": False}), "branch-002": report(GOOD, host="shop-2")},
        failures=(failure("shop-2"),),
        ending=failing("shop-2"),
    )
    assert "because of shop-2: Failed to dump." in str(rows["branch-001"].error)


def test_branch_of_the_inventory_for_a_host_that_never_spoke() -> None:
    rows = verdict(
        {"branch-001": report(GOOD)},
        failures=(failure("shop-2", unreachable=True, branch="branch-002", kind="full"),),
        ending=failing("shop-2"),
    )
    assert rows["branch-001"].status == "success"
    assert rows["branch-002"].kind == "full"
    assert str(rows["branch-002"].error).startswith("Unreachable: shop-2 did not answer")


def test_failed_host_of_no_branch_is_named_in_the_rows_of_the_others() -> None:
    rows = verdict({"b": report(GOOD)}, failures=(failure("stranger"),), ending=failing("stranger"))
    assert list(rows) == ["b"]
    assert rows["b"].details["failed_elsewhere"] == ["Failed to dump. (task 'Dump' on stranger)"]


def test_failed_host_of_no_branch_alone() -> None:
    rows = verdict({}, failures=(failure(),), ending=failing("shop"))
    assert rows[None].error == "Failed to dump. (task 'Dump' on shop)"


def test_failure_without_an_event_is_still_one() -> None:
    assert "failed without a message" in str(verdict({"b": report(GOOD)}, ending=failing("shop"))["b"].error)


def test_no_hosts_and_no_guard() -> None:
    assert "No hosts matched" in str(verdict({}, ending=Ending())[None].error)
    assert "No branch was named" in str(verdict({})[None].error)


def test_what_stopped_the_run_fails_what_was_not_complete() -> None:
    rows = verdict(
        {"done": report(GOOD), "open": report({**GOOD, "completed": False}, host="shop-2")},
        ending=Ending(stopped="Ended by signal 15 (SIGTERM)."),
    )
    assert rows["done"].status == "success"
    assert rows["open"].error == "Ended by signal 15 (SIGTERM)."
    assert verdict({}, ending=Ending(stopped="Aborted."))[None].error == "Aborted."


def test_row_stays_one_line_however_long_the_message() -> None:
    long = Failure(host="shop", task="Dump", message="x" * 5000)
    error = str(verdict({"b": report(GOOD)}, failures=(long,), ending=failing("shop"))["b"].error)
    assert len(error) <= 500
    assert "\n" not in error


def test_a_play_that_goes_on_after_a_failure_failed_for_the_first_one() -> None:
    first = failure(reason="missing_privilege")
    later = failure(reason="incomplete_set")
    found = causes({"shop": [first, later], "till": [failure("till")]}, rescued=())
    assert found["till"] == failure("till")
    row = verdict({"b": report(GOOD)}, failures=(found["shop"],), ending=failing("shop"))["b"]
    assert row.error == first.line()
    assert row.details["reason"] == "missing_privilege"
    assert row.details["failures"] == [first.to_json(), later.to_json()]


def test_where_something_was_rescued_the_last_failure_is_the_cause() -> None:
    rescued, real = failure(reason="rescued"), failure(reason="disk_full")
    assert causes({"shop": [rescued, real]}, rescued={"shop"}) == {"shop": real}


def test_a_branch_that_failed_leaves_the_rows_of_the_others_alone() -> None:
    good = {"kind": "sync", "completed": True}
    told = {
        "branch-001": report(good),
        "branch-002": report({**good, "error": "Failed to pull branch-002: refused.\nx"}),
    }
    rows = verdict(told, failures=(failure(),), ending=failing("shop"))
    assert (rows["branch-001"].status, rows["branch-001"].error, rows["branch-001"].details) == ("success", None, {})
    assert (rows["branch-002"].status, rows["branch-002"].error) == ("failed", "Failed to pull branch-002: refused.")


def test_an_error_needs_no_failed_host() -> None:
    row = verdict({"branch-001": report({"kind": "sync", "completed": True, "error": ""})})["branch-001"]
    assert (row.status, row.error) == ("failed", "The branch failed without a message")


def test_a_play_that_never_closed_is_a_failure_of_every_branch() -> None:
    told = {"branch-001": report({"kind": "sync"}), "branch-002": report({"kind": "sync", "error": "Failed to pull."})}
    rows = verdict(told, failures=(failure(),), ending=failing("shop"))
    assert (rows["branch-001"].status, rows["branch-001"].error) == ("failed", failure().line())
    assert rows["branch-002"].error == "Failed to pull."

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the preflight refuses of the configuration itself, each with what it accepts; and what becomes of findings."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _preflight
from ansible_collections.larapee.backup.plugins.module_utils._preflight import examine
from ansible_collections.larapee.backup.plugins.module_utils._preflight_request import PreflightRequest

FIRST, SECOND = "age1" + "q" * 58, "age1" + "p" * 58
BRANCH = PreflightRequest(side="branch", branch="branch-001", recipients=(FIRST, SECOND))
CENTRAL = PreflightRequest(side="central", branches=({"code": "branch-001"}, {"code": "branch-002"}))


def findings(request: PreflightRequest, **changes: t.Any) -> list[tuple[str, str]]:
    found = examine(dataclasses.replace(request, **changes)).findings
    for each in found:
        # What failed, why, and what is to be done.
        assert each.message.startswith("Failed to ")
        assert each.message.endswith(".")
        assert ". " in each.message
    return [(each.check, each.state) for each in found]


@pytest.mark.parametrize("request_", [BRANCH, CENTRAL], ids=["branch", "central"])
def test_what_fits_together_has_no_finding(request_: PreflightRequest) -> None:
    assert findings(request_) == []
    outcome = examine(request_)
    assert outcome.failure() is None
    assert set(outcome.states().values()) == {"OK"}


@pytest.mark.parametrize("code", ["", "..", "a/b", "/etc", "-rf", ".hidden", "a b", "a\nb", "é", "x" * 65, "b$(id)"])
def test_a_code_that_is_no_safe_name_of_a_directory(code: str) -> None:
    assert findings(BRANCH, branch=code) == [("branch_codes", "REFUSED")]
    assert findings(CENTRAL, branches=({"code": code},)) == [("branch_codes", "REFUSED")]


@pytest.mark.parametrize("code", ["branch-001", "B.1_x", "x" * 64, "7"])
def test_a_code_that_is_one(code: str) -> None:
    assert findings(BRANCH, branch=code) == []


def test_a_code_that_the_estate_does_not_know() -> None:
    assert findings(BRANCH, branches=CENTRAL.branches) == []
    assert findings(BRANCH, branch="branch-009", branches=CENTRAL.branches) == [("branch_codes", "REFUSED")]
    assert findings(CENTRAL, branches=()) == [("branch_codes", "REFUSED")]


@pytest.mark.parametrize("twins", [("branch-001", "branch-001"), ("branch-001", "BRANCH-001"), ("a", "a", "A")])
def test_codes_that_are_alike(twins: tuple[str, ...]) -> None:
    assert findings(CENTRAL, branches=tuple({"code": code} for code in twins)) == [("branch_codes", "REFUSED")]


@pytest.mark.parametrize(
    ("log", "pull", "ok"), [(300, 300, True), (300, 600, True), (300, 601, False), (900, 300, False)]
)
def test_intervals_that_cannot_meet_the_objective(log: int, pull: int, ok: bool) -> None:
    found = findings(BRANCH, log_interval=log, pull_interval=pull)
    assert found == ([] if ok else [("objectives", "REFUSED")])


def test_an_interval_of_nothing_and_an_objective_of_ones_own() -> None:
    assert findings(BRANCH, log_interval=0, pull_interval=300) == [("objectives", "REFUSED")]
    assert findings(BRANCH, log_interval=1800, pull_interval=300, rpo=3600) == []


def test_the_intervals_are_told_in_the_units_of_people() -> None:
    (finding,) = examine(dataclasses.replace(BRANCH, log_interval=1800, pull_interval=90)).findings
    assert "of 15 minutes: " in finding.message
    assert "every 30 minutes and pulled every 90 seconds, so central may lack 1890 seconds." in finding.message


@pytest.mark.parametrize(
    ("days", "verify", "drill", "refused"),
    [
        (7, 86400, 7 * 86400, 0),
        (6, 86400, 7 * 86400, 1),
        (7, 8 * 86400, 7 * 86400, 1),
        (1, 2 * 86400, 7 * 86400, 2),
        (30, 86400, 30 * 86400, 0),
    ],
)
def test_sets_that_go_before_they_are_proven(days: int, verify: int, drill: int, refused: int) -> None:
    found = findings(BRANCH, retention_days=days, verify_interval=verify, drill_interval=drill)
    assert found == [("retention", "REFUSED")] * refused


@pytest.mark.parametrize(
    ("recipients", "state"),
    [
        ((), "REFUSED"),
        (("not a key",), "REFUSED"),
        (("AGE-SECRET-KEY-1" + "Q" * 58, SECOND), "REFUSED"),
        ((FIRST,), "WARNING"),
        ((FIRST, FIRST), "WARNING"),
        (("ssh-ed25519 AAAA one", "ssh-ed25519 AAAA other"), "WARNING"),
    ],
)
def test_recipients_that_are_too_few_or_none(recipients: tuple[str, ...], state: str) -> None:
    assert findings(BRANCH, recipients=recipients) == [("recipients", state)]


def test_encryption_is_switched_off_by_name_only() -> None:
    assert findings(BRANCH, recipients=(), encryption=False) == [("recipients", "WARNING")]


@pytest.mark.parametrize(
    "url", ["http://s3.example.com", "s3.example.com:443", "HTTPS//x", "ftp://x", "http://[", "https:"]
)
def test_an_object_storage_without_tls(url: str) -> None:
    assert findings(CENTRAL, s3_endpoints=("https://s3.example.com:9000", url)) == [("s3_tls", "REFUSED")]
    outcome = examine(dataclasses.replace(CENTRAL, s3_endpoints=(url,), allow=frozenset(["s3_tls"])))
    assert outcome.failure() is None
    assert outcome.states()["s3_tls"] == "REFUSED"


def test_an_address_is_told_without_its_keys() -> None:
    (finding,) = examine(dataclasses.replace(CENTRAL, s3_endpoints=("http://key:s3cret@s3.example.com",))).findings
    assert "s3cret" not in finding.message
    assert "http://s3.example.com" in finding.message


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("", True),
        ("sqlite:////var/lib/larapee-backup/runs.sqlite", True),
        ("mysql+pymysql://db.example.com/runs?read_default_file=/etc/x.cnf", True),
        ("mysql+pymysql://localhost/runs?read_default_file=/etc/x.cnf&allow_plaintext=1", True),
        ("mysql+pymysql://db.example.com/runs?read_default_file=/etc/x.cnf&allow_plaintext=1", False),
        ("mysql+pymysql://backup:s3cret@localhost/runs", False),
        ("db.example.com", False),
    ],
)
def test_a_runs_database_without_tls(url: str, ok: bool) -> None:
    assert findings(CENTRAL, runs_url=url) == ([] if ok else [("runs_tls", "REFUSED")])
    assert "s3cret" not in str(examine(dataclasses.replace(CENTRAL, runs_url=url)))


@pytest.mark.parametrize(("days", "ok"), [(None, True), (90, True), (365, True), (89, False), (366, False), (0, False)])
def test_a_lock_that_is_too_short_or_too_long(days: int | None, ok: bool) -> None:
    assert findings(CENTRAL, cold_lock_days=days) == ([] if ok else [("cold_lock", "REFUSED")])


@pytest.mark.parametrize(("typed", "ok"), [("branch-001", True), ("", False), ("branch-002", False), ("yes", False)])
def test_a_live_target_wants_its_code_typed(typed: str, ok: bool) -> None:
    found = findings(BRANCH, live_restore_target=True, restore_confirm=typed)
    assert found == ([] if ok else [("restore_target", "REFUSED")])
    assert findings(BRANCH, live_restore_target=False, restore_confirm=typed) == []


def test_a_central_that_shares_the_filesystem_of_the_system() -> None:
    assert findings(CENTRAL, central_path="/nonexistent/backups") == [("filesystem", "WARNING")]
    assert findings(CENTRAL, central_path="/nonexistent/backups", reserve_bytes=1) == []
    assert findings(CENTRAL, central_path="/proc/self") == []


def test_everything_is_told_at_once() -> None:
    failure = examine(
        dataclasses.replace(BRANCH, branch="a/b", recipients=(), retention_days=1, cold_lock_days=1)
    ).failure()
    assert failure is not None
    assert failure.reason == "preflight_refused"
    assert str(failure).startswith("Failed to pass the preflight: 4 finding(s), and nothing was changed. ")
    for name in ("branch_codes", "recipients", "retention", "cold_lock"):
        assert f"[{name}, REFUSED] Failed to " in str(failure)


def test_a_check_that_could_not_run_fails_unless_it_is_named(tmp_path: Path) -> None:
    request = dataclasses.replace(BRANCH, env_file=str(tmp_path / "none"))
    assert findings(request) == [("accounts", "NOT RUN")]
    assert examine(request).failure() is not None
    allowed = examine(dataclasses.replace(request, allow=frozenset(["accounts"])))
    assert allowed.failure() is None
    assert allowed.states()["accounts"] == "NOT RUN"


def test_what_is_still_to_be_made_fails_nothing_and_is_not_green(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    outcome = examine(
        dataclasses.replace(
            BRANCH,
            unprepared=True,
            env_file=missing,
            operator_option_file=missing,
            allowed_signers=missing,
            search_paths=(missing,),
        )
    )
    assert outcome.failure() is None
    states = outcome.states()
    assert {name for name, state in states.items() if state == "NOT YET"} == {"accounts", "option_files", "shared_keys"}


def test_only_three_refusals_may_be_allowed_by_name() -> None:
    everything = frozenset(_preflight.CHECKS)
    outcome = examine(dataclasses.replace(BRANCH, branch="a/b", retention_days=1, allow=everything))
    assert {finding.check for finding in outcome.failures} == {"branch_codes", "retention"}
    assert set(_preflight.ALLOWED_BY_NAME) <= everything


def test_a_check_that_breaks_is_not_green(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    request = dataclasses.replace(CENTRAL, key_directories=(str(tmp_path / "file"),))
    assert findings(request) == [("shared_keys", "NOT RUN")]
    assert examine(request).failure() is not None

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of exit codes, design 5.5: one row for each way in which a run can end."""

from __future__ import annotations

import pytest

from larapee_runner.outcome import ExitCode, RowEnd, Seen, Stop, exit_code, explain, unparsable

GOOD = RowEnd("success", told=True)
BAD = RowEnd("failed", told=True)
LOCKED = RowEnd("failed", told=True, reason="lock_held")
OURS = RowEnd("failed", told=False)
PENDING = RowEnd("pending", told=False)
MISSING = "[ERROR]: the playbook: nowhere.yml could not be found"


@pytest.mark.parametrize(
    ("seen", "rows", "recorded", "code"),
    [
        pytest.param(Seen(0, stats=True), [GOOD], True, 0, id="ok"),
        pytest.param(Seen(0, stats=True), [GOOD, GOOD], True, 0, id="ok, two branches"),
        pytest.param(Seen(0, stats=True), [GOOD, BAD], True, 1, id="one branch of two failed, although ansible says 0"),
        pytest.param(Seen(0, stats=True), [BAD], True, 1, id="no host matched, although ansible says 0"),
        pytest.param(Seen(0, stats=True), [], True, 1, id="no row at all"),
        pytest.param(Seen(0, stats=True), [OURS], True, 1, id="the callback recorded nothing"),
        pytest.param(Seen(0, stats=True), [PENDING], True, 1, id="the callback recorded no end"),
        pytest.param(Seen(0, stats=True), [RowEnd("success", told=False)], True, 1, id="a success that nobody told"),
        pytest.param(Seen(2, stats=True), [BAD], True, 1, id="task failed"),
        pytest.param(Seen(2, stats=True), [GOOD], True, 1, id="ansible failed after the rows were good"),
        pytest.param(Seen(1, output_tail="no hosts"), [OURS], True, 1, id="ansible's generic error"),
        pytest.param(Seen(250), [OURS], True, 1, id="ansible crashed"),
        pytest.param(Seen(None), [OURS], True, 1, id="ansible was killed"),
        pytest.param(Seen(None, crash="CallbackError: x"), [OURS], True, 1, id="ansible-runner raised"),
        pytest.param(Seen(2, stats=True), [LOCKED], True, 3, id="lock held"),
        pytest.param(Seen(2, stats=True), [LOCKED, LOCKED], True, 3, id="lock held for each branch"),
        pytest.param(Seen(2, stats=True), [LOCKED, GOOD], True, 3, id="every failed row has the reason"),
        pytest.param(Seen(2, stats=True), [LOCKED, BAD], True, 1, id="one failed for another reason"),
        pytest.param(Seen(127), [OURS], True, 3, id="ansible-playbook is not installed"),
        pytest.param(Seen(4, stats=True), [BAD], True, 4, id="unreachable"),
        pytest.param(Seen(4), [BAD], True, 4, id="unreachable, told by the callback alone"),
        pytest.param(Seen(4), [OURS], True, 5, id="syntax error"),
        pytest.param(Seen(4), [], True, 5, id="syntax error, no row"),
        pytest.param(Seen(1, output_tail=MISSING), [OURS], True, 5, id="playbook missing"),
        pytest.param(Seen(0, stats=True), [], False, 8, id="unrecorded"),
        pytest.param(Seen(2, stats=True), [PENDING], False, 8, id="failed and unrecorded"),
        pytest.param(Seen(4), [], False, 8, id="syntax error and unrecorded"),
        pytest.param(Seen(None, stop=Stop.TIMEOUT), [OURS], True, 124, id="timeout"),
        pytest.param(Seen(None, stop=Stop.TIMEOUT), [BAD], True, 124, id="timeout, told by the callback"),
        pytest.param(Seen(None, stop=Stop.SIGINT), [BAD], True, 130, id="interrupted"),
        pytest.param(Seen(None, stop=Stop.SIGTERM), [BAD], True, 143, id="terminated"),
        pytest.param(Seen(None, stop=Stop.SIGHUP), [BAD], True, 143, id="terminal closed"),
        pytest.param(Seen(None, stop=Stop.SIGTERM), [], False, 143, id="terminated and unrecorded"),
        pytest.param(Seen(0, stop=Stop.SIGTERM, stats=True), [GOOD], True, 0, id="the signal came too late to matter"),
        pytest.param(Seen(0, stop=Stop.TIMEOUT, stats=True), [BAD], True, 124, id="late timeout of a failed run"),
    ],
)
def test_exit_code(seen: Seen, rows: list[RowEnd], recorded: bool, code: int) -> None:
    assert exit_code(seen, rows, recorded=recorded) is ExitCode(code)


def test_every_documented_code_is_reached() -> None:
    assert sorted(ExitCode) == [0, 1, 2, 3, 4, 5, 8, 124, 130, 143]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Seen(None, stop=Stop.TIMEOUT, timeout_s=600), "timed out after 600 s"),
        (Seen(None, stop=Stop.SIGTERM), "interrupted by SIGTERM"),
        (Seen(None), "was killed"),
        (Seen(None, crash="CallbackError: boom"), "CallbackError: boom"),
        (Seen(127), "not installed"),
        (
            Seen(4, output_tail="[ERROR]: YAML parsing failed: bad\nOrigin: x"),
            "could not parse it (YAML parsing failed: bad)",
        ),
        (Seen(1, output_tail=MISSING), "it was not found (the playbook: nowhere.yml could not be found)"),
        (Seen(0, stats=True), "callback larapee.backup.backup_runs recorded no end"),
        (
            Seen(1, output_tail="[ERROR]: Could not match supplied host pattern"),
            "code 1 (Could not match supplied host",
        ),
        (Seen(250), "ended with code 250."),
    ],
)
def test_explanation_is_one_line_that_says_what_to_do(seen: Seen, words: str) -> None:
    text = explain(seen)
    assert words in text
    assert "\n" not in text
    assert text.startswith("Failed to ")
    assert text.count(". ") >= 1 or text.endswith("Read its output.")


def test_code_4_after_a_recap_is_no_parse_error() -> None:
    assert unparsable(Seen(4))
    assert not unparsable(Seen(4, stats=True))
    assert not unparsable(Seen(1, output_tail="[ERROR]: inventory could not be found"))

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import recorder_of_this_process
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._presence import presence

OWN = presence(os.getpid())
PID, START = OWN.split(":")


@pytest.mark.parametrize("process", [os.getpid, os.getppid])
def test_word_of_this_process_and_of_the_one_that_forked_it(process: Callable[[], int]) -> None:
    # Asked here, not where the tests are collected: ansible-test runs each test in a fork.
    word = {"LARAPEE_BACKUP_RECORDER": "table", "LARAPEE_BACKUP_RECORDER_PID": presence(process())}
    assert recorder_of_this_process(word) == "table"


# With ids: each worker of pytest has other numbers, and all must collect the same tests.
@pytest.mark.parametrize(
    "said",
    ["", PID, f"{PID}:", f"{PID}:{int(START) - 1}", f":{START}", presence(1), "x"],
    ids=["nothing", "no start", "empty start", "earlier start", "no process", "another process", "a word"],
)
def test_word_of_another_process_is_none(said: str) -> None:
    assert recorder_of_this_process({"LARAPEE_BACKUP_RECORDER": "table", "LARAPEE_BACKUP_RECORDER_PID": said}) == ""


def test_no_word() -> None:
    assert recorder_of_this_process({"LARAPEE_BACKUP_RECORDER": "table"}) == ""
    assert recorder_of_this_process({"LARAPEE_BACKUP_RECORDER_PID": OWN}) == ""
    assert presence(2**30) == ""

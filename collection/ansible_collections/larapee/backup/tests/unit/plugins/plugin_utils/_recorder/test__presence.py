# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import recorder_of_this_process
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._presence import presence

OWN, PARENT = presence(os.getpid()), presence(os.getppid())
PID, START = OWN.split(":")


# Names of their own: each worker of pytest has other numbers, and all must collect the same tests.
@pytest.mark.parametrize("said", [OWN, PARENT], ids=["own", "parent"])
def test_word_of_this_process_and_of_the_one_that_forked_it(said: str) -> None:
    assert (
        recorder_of_this_process({"LARAPEE_BACKUP_RECORDER": "table", "LARAPEE_BACKUP_RECORDER_PID": said}) == "table"
    )


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

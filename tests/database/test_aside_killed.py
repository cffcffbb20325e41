# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting a database aside and bringing it back, by runs and by servers that die on the way."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo.server import ThrowawayServer
from tests.database.aside_shop import PROGRAM, Live, make_live

if TYPE_CHECKING:
    from pathlib import Path

NEVER = "1000000"
# The changes from this one on end the way back.
FINISHING = 10


def test_killed_on_the_way_aside_it_is_ended_by_the_next_call(live: Live) -> None:
    before = live.picture()
    for number in itertools.count(1):
        killed = live.die("keep", number)
        outcome = _db_aside.keep(live.request())
        assert live.sql("SHOW FULL TABLES") == [], number
        assert outcome.kept is not None
        assert outcome.kept["tables"] == 8
        live.replace()
        _db_aside.bring_back(live.request())
        assert live.picture() == before, f"killed before change {number}"
        assert live.there() == {live.database}
        if not killed:
            break
    assert number > 12


def test_killed_on_the_way_aside_it_can_be_brought_back_at_once(live: Live) -> None:
    before = live.picture()
    brought = 0
    for number in itertools.count(1):
        killed = live.die("keep", number)
        if not killed:
            break
        try:
            brought += _db_aside.bring_back(live.request()).changed
        except BackupError as exc:
            # Else nothing had been changed.
            if exc.reason != "nothing_kept":
                raise
        assert live.picture() == before, f"killed before change {number}"
    assert brought > 6


def test_killed_on_the_way_back_it_is_ended_by_the_next_call(live: Live) -> None:
    before = live.picture()
    for number in itertools.count(1):
        _db_aside.keep(live.request())
        live.replace()
        killed = live.die("bring_back", number)
        _db_aside.bring_back(live.request())
        assert live.picture() == before, f"killed before change {number}"
        assert live.there() == {live.database}
        assert not _db_aside.bring_back(live.request()).changed
        if not killed:
            break
    assert number > 12


def test_killed_at_the_end_of_the_way_back_the_content_is_kept_again(live: Live) -> None:
    """What came back whole is no unfinished restore, though it still bears the mark."""
    before = live.picture()
    for number in itertools.count(FINISHING):
        _db_aside.keep(live.request())
        live.replace()
        killed = live.die("bring_back", number)
        try:
            assert _db_aside.keep(live.request(again=True)).kept is not None
        except BackupError as exc:
            if exc.reason != "in_use":
                raise
        _db_aside.bring_back(live.request())
        assert live.picture() == before, f"killed before change {number}"
        if not killed:
            break
    assert number > FINISHING


@pytest.mark.parametrize("what", ["keep", "bring_back"])
def test_the_server_killed_on_the_way(tmp_path: Path, what: str) -> None:
    with ThrowawayServer(tmp_path / "server") as server:
        live = make_live(server, tmp_path)
        live.sql(*(f"CREATE TABLE t{number} (id INT PRIMARY KEY)" for number in range(100)))
        before = live.picture()
        begun = time.monotonic()
        _db_aside.keep(live.request())
        seconds = time.monotonic() - begun
        if what == "keep":
            _db_aside.bring_back(live.request())
        for share in (0.4, 0.65, 0.9):
            if what == "bring_back":
                _db_aside.keep(live.request())
                live.replace()
            argv = [sys.executable, str(PROGRAM), what, str(tmp_path / "state"), str(live.option_file)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            with subprocess.Popen(
                [*argv, live.database, NEVER], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(seconds * share)
                server.kill()
                process.wait()
            server.start()
            if what == "keep":
                _db_aside.keep(live.request())
                assert live.sql("SHOW FULL TABLES") == []
                live.replace()
            _db_aside.bring_back(live.request())
            assert live.picture() == before, share
            assert live.there() == {live.database}

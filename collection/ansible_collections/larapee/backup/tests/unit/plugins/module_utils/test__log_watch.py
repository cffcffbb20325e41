# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _log_watch
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ERROR = "[2026-11-22 14:32:10] production.ERROR: no such table {number}\n"


def request(*paths: Path | str, **changes: Any) -> _log_watch.WatchRequest:
    return _log_watch.WatchRequest(**{"paths": tuple(map(str, paths)), "seconds": 0, "threshold": 1000, **changes})


def meanwhile(work: Callable[[], object]) -> threading.Thread:
    """Something that happens while the logs are followed."""

    def late() -> None:
        time.sleep(0.2)
        work()

    thread = threading.Thread(target=late)
    thread.start()
    return thread


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(text)


def watched(work: Callable[[], object], wanted: _log_watch.WatchRequest) -> _log_watch.Outcome:
    thread = meanwhile(work)
    try:
        return _log_watch.watch(wanted)
    finally:
        thread.join()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    found = tmp_path / "laravel.log"
    found.write_text(ERROR.format(number=0) * 3, encoding="utf-8")
    return found


def test_what_was_there_before_does_not_count(log: Path) -> None:
    assert _log_watch.watch(request(log)).errors == 0
    outcome = watched(lambda: append(log, "fine\n" + ERROR.format(number=1)), request(log, seconds=1))
    assert outcome.errors == 1
    assert outcome.samples == [ERROR.format(number=1).strip()]


def test_what_came_since_the_mark_counts(log: Path) -> None:
    offsets = _log_watch.mark([str(log)])
    append(log, ERROR.format(number=1))
    first = _log_watch.watch(request(log, offsets=offsets))
    assert first.errors == 1
    append(log, ERROR.format(number=2))
    assert _log_watch.watch(request(log, offsets=first.offsets)).errors == 1


def test_all_of_a_log_counts_that_was_not_there_when_the_place_was_marked(tmp_path: Path) -> None:
    log = tmp_path / "laravel.log"
    offsets = _log_watch.mark([str(log)])
    log.write_text("[2026-11-24 12:00:00] production.ERROR: the first words\n", encoding="utf-8")
    assert _log_watch.watch(request(log)).errors == 0
    assert _log_watch.watch(request(log, offsets=offsets)).errors == 1


def test_rotation_loses_no_line(log: Path) -> None:
    def rotate() -> None:
        append(log, ERROR.format(number=1))
        log.rename(log.with_suffix(".log.1"))
        append(log, ERROR.format(number=2))

    assert watched(rotate, request(log, log.parent / "*.log.1", seconds=2)).errors == 2


def test_a_log_that_is_renamed_away_is_read_to_its_end(log: Path) -> None:
    def rotate() -> None:
        renamed = log.with_suffix(".old")
        log.rename(renamed)
        time.sleep(0.7)
        append(renamed, ERROR.format(number=1))

    assert watched(rotate, request(log, seconds=2)).errors == 1


def test_a_log_of_a_new_day_is_read_from_its_beginning(log: Path) -> None:
    new = log.with_name("laravel-2026-11-23.log")
    outcome = watched(lambda: append(new, ERROR.format(number=1) * 2), request(log.parent / "*.log", seconds=1))
    assert outcome.errors == 2


def test_a_truncated_log_is_read_from_its_beginning(log: Path) -> None:
    outcome = watched(lambda: log.write_text(ERROR.format(number=1), encoding="utf-8"), request(log, seconds=2))
    assert outcome.errors == 1


def test_an_endless_line_and_other_bytes_fill_no_memory(log: Path) -> None:
    offsets = _log_watch.mark([str(log)])
    with log.open("ab") as raw:
        raw.write(b"production.ERROR: \xff\xfe\x00" + b"x" * 20_000_000)
    outcome = _log_watch.watch(request(log, offsets=offsets))
    assert outcome.errors == 0, "it has not ended yet"
    with log.open("ab") as raw:
        raw.write(b"\n")
    outcome = _log_watch.watch(request(log, offsets=offsets))
    assert outcome.errors == 1
    assert len(outcome.samples[0]) <= 200


def test_too_much_fails_and_names_the_first(log: Path) -> None:
    offsets = _log_watch.mark([str(log)])
    append(log, "".join(ERROR.format(number=number) for number in range(1, 31)))
    with pytest.raises(BackupError, match="30 errors in .* 29 are accepted. The first: .*no such table 1") as caught:
        _log_watch.watch(request(log, offsets=offsets, threshold=29))
    assert caught.value.reason == "logs_have_errors"
    assert len(caught.value.facts["watched"]["samples"]) == 10
    assert _log_watch.watch(request(log, offsets=offsets, threshold=30)).errors == 30


def test_what_is_ignored_does_not_count(log: Path) -> None:
    offsets = _log_watch.mark([str(log)])
    append(log, ERROR.format(number=1) + ERROR.format(number=2))
    assert _log_watch.watch(request(log, offsets=offsets, ignore=("table 1$",))).errors == 1


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("[2026-11-22 14:32:10] production.CRITICAL: x", True),
        ("[2026-11-22 14:32:10] production.INFO: an ERROR was mended", False),
        ("2026/11/22 14:32:10 [error] 12#12: *1 connect() failed", True),
        ("2026/11/22 14:32:10 [warn] 12#12: x", False),
        ("[22-Nov-2026 14:32:10] ERROR: unable to bind", True),
    ],
)
def test_the_patterns_know_the_levels(log: Path, line: str, counts: bool) -> None:
    offsets = _log_watch.mark([str(log)])
    append(log, f"{line}\n")
    assert _log_watch.watch(request(log, offsets=offsets)).errors == int(counts)


def test_a_pattern_without_a_file_is_told(log: Path) -> None:
    outcome = _log_watch.watch(request(log, log.parent / "queue*.log"))
    assert outcome.missing == [str(log.parent / "queue*.log")]
    assert outcome.facts()["complete"] is False


def test_a_pattern_that_is_none_is_refused(log: Path) -> None:
    with pytest.raises(BackupError, match="regular expression") as caught:
        _log_watch.watch(request(log, patterns=("(",)))
    assert caught.value.reason == "bad_request"


@pytest.mark.parametrize(
    ("states", "troubled"),
    [(["active 0"], False), (["active 0", "active 1"], True), (["active 0", "failed 0"], True)],
)
def test_a_unit_that_ended_meanwhile_is_told(
    log: Path, monkeypatch: pytest.MonkeyPatch, states: list[str], troubled: bool
) -> None:
    """By a stand-in for systemctl that tells *states* one after the other."""
    programs = log.parent / "bin"
    programs.mkdir()
    for number, state in enumerate(states):
        active, count = state.split()
        (programs / f"state-{number}").write_text(f"ActiveState={active}\nNRestarts={count}\n", encoding="ascii")
    stand_in = programs / "systemctl"
    stand_in.write_text(f"#!/bin/sh\ncd {programs}\nset -- state-*\ncat $1\n[ $# = 1 ] || rm $1\n", encoding="ascii")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    wanted = request(log, units=("shop-queue.service",))
    if not troubled:
        assert _log_watch.watch(wanted).troubled_units == []
        return
    with pytest.raises(BackupError, match="shop-queue.service") as caught:
        _log_watch.watch(wanted)
    assert caught.value.reason == "unit_restarted"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _pipeline, _process
from ansible_collections.larapee.backup.plugins.module_utils._digest import Digest
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._pipeline import Command, StageResult, run_pipeline
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import descriptors

MEBIBYTE = 1024 * 1024


def shell(text: str, *, name: str = "stage") -> Command:
    return Command(name, ("/bin/sh", "-c", text))


ENDLESS = shell("exec yes", name="endless")


class Breaks:
    """A tap that raises when it has seen so many bytes."""

    def __init__(self, after: int) -> None:
        self.left = after

    def feed(self, block: memoryview) -> None:
        self.left -= len(block)
        if self.left < 0:
            raise BackupError("Failed to look: enough.", reason="enough")


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What a test started; at its end none of it runs, every child was reaped, no descriptor and no thread is left."""
    children: list[subprocess.Popen[bytes]] = []
    start = _process.start

    def noted(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        child = start(*arguments, **options)  # type: ignore[arg-type]
        children.append(child)
        return child

    monkeypatch.setattr(_process, "start", noted)
    before = descriptors(), threading.active_count()
    yield children
    for child in children:
        assert child.returncode is not None
        assert not os.path.exists(f"/proc/{child.pid}")
    assert (descriptors(), threading.active_count()) == before


def source(path: Path, size: int) -> int:
    path.write_bytes(os.urandom(size))
    return os.open(path, os.O_RDONLY)


def target(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


@pytest.mark.parametrize("size", [0, 1, MEBIBYTE, 5 * MEBIBYTE + 3])
def test_bytes_pass_through_commands_and_taps_unchanged(tmp_path: Path, size: int) -> None:
    first, between, last = Digest(), Digest(), Digest()
    elements = [first, shell("cat"), between, shell("cat"), last]
    results = run_pipeline(elements, source=source(tmp_path / "in", size), target=target(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert [result.returncode for result in results] == [0, 0]
    assert {(tap.sha256, tap.size) for tap in (first, between, last)} == {(first.sha256, size)}


def test_commands_alone_need_no_tap(tmp_path: Path) -> None:
    run_pipeline([shell("printf abc"), shell("tr a-z A-Z")], target=target(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"ABC"


def test_without_ends_standard_input_is_empty_and_the_output_is_dropped() -> None:
    digest = Digest()
    run_pipeline([shell("cat; printf abc"), digest])
    assert digest.size == 3
    assert run_pipeline([shell("printf abc")])[0].returncode == 0


def test_every_exit_status_is_kept_and_standard_error_with_it() -> None:
    elements = [shell("echo one >&2; exit 3", name="a"), Digest(), shell("cat >&2; exit 4", name="b"), shell("exit 0")]
    assert run_pipeline(elements) == [
        StageResult("a", 3, "one"),
        StageResult("b", 4, ""),
        StageResult("stage", 0, ""),
    ]


def test_standard_error_is_bounded() -> None:
    (result,) = run_pipeline([shell("head -c 300000 /dev/zero | tr '\\0' x >&2")])
    assert len(result.stderr) == 64 * 1024


def test_a_stage_that_stops_reading_is_blamed_and_not_those_before_it() -> None:
    results = run_pipeline([ENDLESS, Digest(), shell("head -c 10 >/dev/null; exit 5", name="quitter")])
    assert [result.returncode for result in results] == [-signal.SIGPIPE, 5]
    failure = _pipeline.first_failure(results)
    assert failure is not None
    assert failure.name == "quitter"


def test_a_stage_that_stops_reading_and_ends_well_is_a_failure_too() -> None:
    results = run_pipeline([ENDLESS, Digest(), shell("head -c 10 >/dev/null")])
    with pytest.raises(BackupError, match=r"Failed to dump: endless was ended by signal 13\. Kept nothing\."):
        _pipeline.require_success(results, what="dump", advice="Kept nothing.")


def test_a_stage_that_ends_well_without_reading_everything_never_passes_for_success(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError, match="without reading everything"):
        run_pipeline([Digest(), shell("exit 0")], source=source(tmp_path / "in", 4 * MEBIBYTE))


def test_a_tap_that_raises_ends_every_command(started: list[subprocess.Popen[bytes]]) -> None:
    writes_and_stays = shell("head -c 4194304 /dev/zero; exec sleep 100")
    reads_and_stays = shell("cat >/dev/null; exec sleep 100")
    with pytest.raises(BackupError, match="enough"):
        run_pipeline([writes_and_stays, Breaks(3 * MEBIBYTE), reads_and_stays])
    assert [child.returncode for child in started] == [-signal.SIGKILL, -signal.SIGKILL]


def test_the_first_of_two_taps_that_raise_is_told() -> None:
    with pytest.raises(BackupError, match="enough"):
        run_pipeline([ENDLESS, Breaks(0), Breaks(0)])


def test_a_missing_command_is_said_and_what_was_started_before_is_ended(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    missing = Command("missing", ("/nonexistent/tool",))
    with pytest.raises(BackupError, match="Failed to start tool: .*No such file") as caught:
        run_pipeline([ENDLESS, Digest(), missing, Digest()], target=target(tmp_path / "out"))
    assert caught.value.reason == "tool_missing"
    assert len(started) == 1


def test_a_tap_at_the_start_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a source"):
        run_pipeline([Digest(), shell("cat")], target=target(tmp_path / "out"))


def test_a_full_disk_behind_a_tap_is_an_error_of_that_disk() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        run_pipeline([ENDLESS, Digest()], target=os.open("/dev/full", os.O_WRONLY))
    assert caught.value.errno == errno.ENOSPC
    assert _pipeline.disk_full(caught.value)


def test_a_full_disk_behind_a_command_is_the_commands_failure() -> None:
    results = run_pipeline([shell("exec cat /etc/passwd")], target=os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(BackupError, match="No space left on device"):
        _pipeline.require_success(results, what="write")


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    descriptor = target(tmp_path / "out")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            run_pipeline([ENDLESS, Digest()], target=descriptor)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _pipeline.disk_full(caught.value)
    assert (tmp_path / "out").stat().st_size <= 100_000


def test_bytes_that_a_full_disk_took_only_in_part_are_missed(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    opened = source(tmp_path / "in", 100_001), target(tmp_path / "out")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            run_pipeline([Digest()], source=opened[0], target=opened[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_unreadable_source_is_an_error_of_that_source(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        run_pipeline([Digest(), shell("cat >/dev/null")], source=os.open(tmp_path, os.O_RDONLY))


class _InterruptedError(Exception):
    pass


class Rings:
    """A tap that sends a signal to this process when the first bytes pass, and goes on for a while."""

    def __init__(self) -> None:
        self.rung = False

    def feed(self, _block: memoryview) -> None:
        if not self.rung:
            self.rung = True
            os.kill(os.getpid(), signal.SIGUSR2)
            time.sleep(0.3)


def test_a_signal_handler_that_raises_in_the_middle_leaves_nothing(started: list[subprocess.Popen[bytes]]) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise _InterruptedError

    before = signal.signal(signal.SIGUSR2, interrupt)
    try:
        with pytest.raises(_InterruptedError):
            run_pipeline([ENDLESS, Rings(), shell("exec cat >/dev/null")])
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert len(started) == 2


class Writes:
    """A producer of so many bytes."""

    def __init__(self, size: int, *, then: Exception | None = None) -> None:
        self.left = size
        self.written = Digest()
        self.then = then

    def write_to(self, descriptor: int) -> None:
        while self.left:
            block = memoryview(os.urandom(min(self.left, 65_536)))
            self.left -= len(block)
            self.written.feed(block)
            while block:
                block = block[os.write(descriptor, block) :]
        if self.then is not None:
            raise self.then


class RingsAndWrites(Writes):
    """A producer that sends a signal to this process in the middle, and goes on for a while."""

    def write_to(self, descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(0.3)
        super().write_to(descriptor)


@pytest.mark.parametrize("size", [0, 1, 5 * MEBIBYTE + 3])
def test_what_a_producer_writes_passes_through_commands_and_taps(tmp_path: Path, size: int) -> None:
    producer, between = Writes(size), Digest()
    (result,) = run_pipeline([producer, between, shell("cat")], target=target(tmp_path / "out"))
    assert result.returncode == 0
    assert hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest() == producer.written.sha256 == between.sha256
    assert (tmp_path / "out").stat().st_size == size


def test_an_error_in_a_producer_is_told_and_ends_every_command(started: list[subprocess.Popen[bytes]]) -> None:
    error = BackupError("Failed to read the tree: gone.", reason="gone")
    with pytest.raises(BackupError) as caught:
        run_pipeline([Writes(MEBIBYTE, then=error), Digest(), shell("cat >/dev/null; exec sleep 100")])
    assert caught.value is error
    assert [child.returncode for child in started] == [-signal.SIGKILL]


def test_a_stage_that_dies_ends_its_producer_and_is_blamed() -> None:
    producer = Writes(500 * MEBIBYTE)
    results = run_pipeline([producer, shell("head -c 1000 >/dev/null; exit 7", name="zstd")])
    with pytest.raises(BackupError, match="zstd ended with status 7"):
        _pipeline.require_success(results, what="archive")
    assert producer.left > 400 * MEBIBYTE


def test_a_stage_that_ends_well_without_reading_all_that_a_producer_writes_is_no_success() -> None:
    with pytest.raises(BrokenPipeError, match="without reading everything"):
        run_pipeline([Writes(500 * MEBIBYTE), shell("exit 0")])


def test_a_full_disk_behind_a_producer_is_an_error_of_that_disk() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        run_pipeline([Writes(5 * MEBIBYTE), Digest()], target=os.open("/dev/full", os.O_WRONLY))
    assert _pipeline.disk_full(caught.value)


def test_a_signal_handler_that_raises_while_a_producer_writes_leaves_nothing(
    started: list[subprocess.Popen[bytes]],
) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise _InterruptedError

    before = signal.signal(signal.SIGUSR2, interrupt)
    try:
        with pytest.raises(_InterruptedError):
            run_pipeline([RingsAndWrites(500 * MEBIBYTE), Digest(), shell("exec cat >/dev/null")])
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert len(started) == 1


def test_a_producer_stands_first_and_has_somewhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a source"):
        run_pipeline([Writes(1)])
    assert list(tmp_path.iterdir()) == []


def test_commands_inherit_only_the_descriptors_they_were_given() -> None:
    kept = os.memfd_create("kept")
    given = os.memfd_create("given")
    os.write(given, b"secret")
    os.lseek(given, 0, os.SEEK_SET)
    os.set_inheritable(kept, True)
    digest = Digest()
    list_and_read = f"ls /proc/self/fd | tr '\\n' ' ' >&2; cat /dev/fd/{given}"
    try:
        (result,) = run_pipeline([Command("ls", ("/bin/sh", "-c", list_and_read), pass_fds=(given,)), digest])
    finally:
        os.close(kept)
        os.close(given)
    seen = {int(each) for each in result.stderr.split()}
    assert {0, 1, 2, given} <= seen
    assert kept not in seen
    assert digest.size == 6


def failed(name: str, returncode: int, stderr: str = "") -> StageResult:
    return StageResult(name, returncode, stderr)


@pytest.mark.parametrize(
    ("results", "blamed"),
    [
        ([failed("a", 0), failed("b", 0)], None),
        ([failed("a", 1), failed("b", 2)], "a"),
        ([failed("a", -13), failed("b", 2)], "b"),
        ([failed("a", -13), failed("b", -9)], "b"),
        ([failed("a", -13), failed("b", 0)], "a"),
        # mariadb-dump of 10.11.19 behind a compressor that had gone, tried 2026-11-22.
        ([failed("a", 5, "mariadb-dump: Got errno 32 on write"), failed("b", 1)], "b"),
        ([failed("a", 2, "gzip: stdout: Broken pipe"), failed("b", 1)], "b"),
        ([failed("a", 5, "mariadb-dump: Got errno 32 on write"), failed("b", 0)], "a"),
        ([failed("a", 5, "mariadb-dump: Got errno 28 on write"), failed("b", 1)], "a"),
    ],
)
def test_the_blame_falls_on_the_stage_that_broke_the_pipe(results: list[StageResult], blamed: str | None) -> None:
    failure = _pipeline.first_failure(results)
    assert (failure.name if failure else None) == blamed


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            failed("age", 1, "age: error: no identity matched"),
            "age ended with status 1 (age: error: no identity matched)",
        ),
        (failed("age", 1), "age ended with status 1"),
        (failed("age", -9, "line one\nline two."), "age was ended by signal 9 (line two)"),
        (
            failed(
                "age", 1, "age: error: x\nage: report unexpected or unhelpful errors at https://filippo.io/age/report"
            ),
            "age ended with status 1 (age: error: x)",
        ),
        (failed("client", 1, "ERROR 1045: no\n--------------"), "client ended with status 1 (ERROR 1045: no)"),
    ],
)
def test_a_failure_is_described_by_what_the_stage_said(result: StageResult, text: str) -> None:
    assert _pipeline.describe_failure(result) == text

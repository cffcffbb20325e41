# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands and taps joined by pipes: one pass over the bytes, every exit status kept, bounded memory.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import functools
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import typing as t

from . import _process
from ._errors import BackupError

# Named in Python's fcntl from 3.10 on; branches may run 3.9.
_F_SETPIPE_SZ = 1031
_F_GETPIPE_SZ = 1032
_PIPE_SIZE = 1024 * 1024
# Small enough to stay in the processor's cache from reading to writing; a pipe holds four of them.
_BLOCK_SIZE = 256 * 1024
_PAUSE_SECONDS = 0.002
_STDERR_LIMIT = 64 * 1024


class Tap(t.Protocol):
    """Sees each block of bytes as it passes; raises to stop the pipeline."""

    def feed(self, block: memoryview) -> None: ...


class Producer(t.Protocol):
    """First in a pipeline: makes the bytes itself. Ends with BrokenPipeError when the next stage has gone."""

    def write_to(self, descriptor: int) -> None: ...


@dataclasses.dataclass(frozen=True)
class Command:
    """One external stage. ``name`` is what messages call it."""

    name: str
    argv: tuple[str, ...]
    pass_fds: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class StageResult:
    """``returncode`` as subprocess gives it (negative: ended by that signal); ``stderr`` at most 64 KiB."""

    name: str
    returncode: int
    stderr: str


class _Worker(threading.Thread):
    """A stage of a pipeline that is a thread of ours; *descriptors* are closed when its *work* is done."""

    def __init__(
        self, work: t.Callable[[], None], descriptors: t.Sequence[int], *, on_error: t.Callable[[], None]
    ) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._descriptors = descriptors
        self._on_error = on_error
        self.error: Exception | None = None
        self.cut_short = False
        # Not join: when a signal handler raises in it, Python 3.9 to 3.12 take the thread for ended while it runs.
        self.ended = threading.Event()
        # Nor ident: when one raises in start, the thread may be about to run.
        self._turn = threading.Lock()

    def run(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._work()
        except BrokenPipeError:
            # The next stage has gone; its exit status says why. Closing our ends stops the stages before.
            self.cut_short = True
        except Exception as exc:  # noqa: BLE001 - raised again by run_pipeline, in its thread
            self.error = exc
            self._on_error()
        finally:
            try:
                self.close()
            finally:
                self.ended.set()

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Close what a worker holds that has not begun, which it then never does; False when it has begun."""
        if not self._turn.acquire(blocking=False):
            return False
        self.close()
        return True


def _pump(tap: Tap, source: int, target: int | None) -> None:
    """Move bytes from *source* to *target* and show them to *tap*."""
    buffer = bytearray(_BLOCK_SIZE)
    whole = memoryview(buffer)
    pause = _pause(source)
    while True:
        count = os.readv(source, [buffer])
        if not count:
            return
        block = whole[:count]
        tap.feed(block)
        while target is not None and block:
            block = block[os.write(target, block) :]
        if count < _BLOCK_SIZE and pause:
            time.sleep(pause)


def _pause(source: int) -> float:
    """Seconds to wait after a short read of *source*, while the pipe fills.

    A dump client writes 4 KiB at a time: woken for each, both sides and the next stage spend a tenth of the whole dump
    on changing places. A small pipe would fill much sooner than a pause ends.
    """
    try:
        return _PAUSE_SECONDS if fcntl.fcntl(source, _F_GETPIPE_SZ) >= _PIPE_SIZE else 0.0
    except OSError:
        return 0.0


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # An unprivileged process over its pipe quota keeps the default size: slower, not wrong.
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, _F_SETPIPE_SZ, _PIPE_SIZE)
    return reader, writer


class _Run:
    """The open descriptors, processes and pumps of one pipeline; *source* and *target* become its own."""

    def __init__(self, *, source: int | None, target: int | None) -> None:
        self._reader = source
        self._target = target
        self._open = [descriptor for descriptor in (source, target) if descriptor is not None]
        self._files = contextlib.ExitStack()
        self._processes: list[tuple[Command, subprocess.Popen[bytes], t.IO[bytes]]] = []
        self._workers: list[_Worker] = []

    def add(self, element: Command | Producer | Tap, *, last: bool) -> None:
        """Join *element* to what was added before."""
        following, writer = (None, self._target) if last else self._pipe()
        if isinstance(element, Command):
            self._start(element, writer)
        elif self._reader is not None:
            self._employ(functools.partial(_pump, t.cast(Tap, element), self._reader, writer), self._reader, writer)
        elif writer is not None and hasattr(element, "write_to"):
            self._employ(functools.partial(element.write_to, writer), writer)
        else:
            raise ValueError("a tap at the start of a pipeline needs a source")
        self._reader = following

    def _employ(self, work: t.Callable[[], None], *ends: int | None) -> None:
        descriptors = [descriptor for descriptor in ends if descriptor is not None]
        self._workers.append(_Worker(work, descriptors, on_error=self.kill))
        for descriptor in descriptors:
            self._open.remove(descriptor)

    def _pipe(self) -> tuple[int, int]:
        ends = _pipe()
        self._open += ends
        return ends

    def _start(self, command: Command, writer: int | None) -> None:
        stderr = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - just entered
        process = _process.start(
            command.argv,
            stdin=subprocess.DEVNULL if self._reader is None else self._reader,
            stdout=subprocess.DEVNULL if writer is None else writer,
            stderr=stderr,
            pass_fds=command.pass_fds,
        )
        self._processes.append((command, process, stderr))
        for descriptor in (self._reader, writer):
            if descriptor is not None:
                self._open.remove(descriptor)
                os.close(descriptor)

    def finish(self) -> list[StageResult]:
        """Let the bytes pass, to the end."""
        # Threads start only after the last fork: see _process.start.
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            worker.ended.wait()
        results = [_result(*item) for item in self._processes]
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error
        if any(worker.cut_short for worker in self._workers) and not first_failure(results):
            raise BrokenPipeError(errno.EPIPE, "a stage ended well without reading everything")
        return results

    def kill(self) -> None:
        for _command, process, _stderr in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self.kill()
        for _command, process, _stderr in self._processes:
            process.wait()
        # All that have not begun first: one at work may wait for what they would read.
        for worker in [each for each in self._workers if not each.give_up()]:
            worker.ended.wait()
            worker.join()
        self._files.close()


def run_pipeline(
    elements: t.Sequence[Command | Producer | Tap], *, source: int | None = None, target: int | None = None
) -> list[StageResult]:
    """Run *elements* joined by pipes and return the result of each command, in order.

    *source* and *target* are descriptors at the two ends; they are closed here in any case. A tap at an end moves the
    bytes itself; a producer stands first, without a source. Raises what a tap or the producer raised, or OSError of
    reading and writing at the ends, after every command was ended; nothing that was started is left running, also when
    a signal handler raises in the middle.
    """
    run = _Run(source=source, target=target)
    try:
        for index, element in enumerate(elements):
            run.add(element, last=index == len(elements) - 1)
        return run.finish()
    finally:
        run.close()


def run_to_first_byte(command: Command, *, source: int) -> StageResult:
    """Start *command* on *source* and end it when its first byte comes, which counts as success."""
    with tempfile.TemporaryFile() as stderr:
        process = _process.start(
            command.argv, stdin=source, stdout=subprocess.PIPE, stderr=stderr, pass_fds=command.pass_fds
        )
        with process:
            try:
                came = bool(t.cast("t.IO[bytes]", process.stdout).read(1))
            except BaseException:
                process.kill()
                raise
            if came:
                process.kill()
        result = _result(command, process, stderr)
    return dataclasses.replace(result, returncode=0) if came else result


def _result(command: Command, process: subprocess.Popen[bytes], stderr: t.IO[bytes]) -> StageResult:
    returncode = process.wait()
    stderr.seek(0)
    text = stderr.read(_STDERR_LIMIT).decode("utf-8", "replace").strip()
    return StageResult(name=command.name, returncode=returncode, stderr=text)


def first_failure(results: t.Sequence[StageResult]) -> StageResult | None:
    """The stage that is to blame: one that found its pipe broken only shows that a later one had gone."""
    failed = [result for result in results if result.returncode != 0]
    for result in failed:
        if not _found_pipe_broken(result):
            return result
    return failed[0] if failed else None


def _found_pipe_broken(result: StageResult) -> bool:
    # mariadb-dump ignores SIGPIPE and says "Got errno 32 on write"; or 11, which a later call left in errno.
    told = re.search(r"[Bb]roken pipe|errno (?:11|32) on write", result.stderr)
    return result.returncode == -signal.SIGPIPE or told is not None


def describe_failure(result: StageResult) -> str:
    """Say how a stage ended, with the last telling line it wrote to standard error."""
    if result.returncode < 0:
        ended = f"{result.name} was ended by signal {-result.returncode}"
    else:
        ended = f"{result.name} ended with status {result.returncode}"
    # age ends each error with where to report unhelpful ones; the mariadb client frames its echo with dashes.
    lines = [
        line for line in result.stderr.splitlines() if line.strip(" -") and "report unexpected or unhelpful" not in line
    ]
    return f"{ended} ({lines[-1].rstrip('.')})" if lines else ended


def disk_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_success(results: t.Sequence[StageResult], *, what: str, advice: str = "") -> None:
    """Raise BackupError "Failed to <what>: ..." unless every stage ended with status 0."""
    failure = first_failure(results)
    if failure is not None:
        raise BackupError(
            f"Failed to {what}: {describe_failure(failure)}.{' ' + advice if advice else ''}", reason="stage_failed"
        )


__all__ = (
    "Command",
    "Producer",
    "StageResult",
    "Tap",
    "describe_failure",
    "disk_full",
    "first_failure",
    "require_success",
    "run_pipeline",
    "run_to_first_byte",
)

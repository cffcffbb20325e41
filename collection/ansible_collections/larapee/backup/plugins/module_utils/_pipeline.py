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
import os
import signal
import subprocess
import tempfile
import threading
import typing as t

from . import _process
from ._errors import BackupError
from ._io import BLOCK_SIZE

# Named in Python's fcntl from 3.10 on; branches may run 3.9.
_F_SETPIPE_SZ = 1031
_STDERR_LIMIT = 64 * 1024


class Tap(t.Protocol):
    """Sees each block of bytes as it passes; raises to stop the pipeline."""

    def feed(self, block: memoryview) -> None: ...


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


class _Pump(threading.Thread):
    """Moves bytes from one descriptor to another and shows them to a tap."""

    def __init__(self, *, tap: Tap, source: int, target: int | None, on_error: t.Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._tap = tap
        self._source = source
        self._target = target
        self._on_error = on_error
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._copy()
        except Exception as exc:
            self.error = exc
            self._on_error()
        finally:
            os.close(self._source)
            if self._target is not None:
                os.close(self._target)

    def _copy(self) -> None:
        buffer = bytearray(BLOCK_SIZE)
        whole = memoryview(buffer)
        while True:
            count = os.readv(self._source, [buffer])
            if not count:
                return
            block = whole[:count]
            self._tap.feed(block)
            if self._target is None:
                continue
            try:
                while block:
                    block = block[os.write(self._target, block) :]
            except BrokenPipeError:
                # The next stage has gone; its exit status says why. Closing our ends stops the stages before.
                return


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # An unprivileged process over its pipe quota keeps the default size: slower, not wrong.
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, _F_SETPIPE_SZ, BLOCK_SIZE)
    return reader, writer


class _Run:
    """The open descriptors, processes and pumps of one pipeline."""

    def __init__(self) -> None:
        self.processes: list[tuple[Command, subprocess.Popen[bytes], t.IO[bytes]]] = []
        self.pumps: list[_Pump] = []

    def kill(self) -> None:
        for _command, process, _stderr in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        for _command, process, _stderr in self.processes:
            process.wait()
        for pump in self.pumps:
            if pump.is_alive():
                pump.join()
        for _command, _process, stderr in self.processes:
            stderr.close()


def run_pipeline(
    elements: t.Sequence[Command | Tap], *, source: int | None = None, target: int | None = None
) -> list[StageResult]:
    """Run *elements* joined by pipes and return the result of each command, in order.

    *source* and *target* are descriptors at the two ends; they are closed here in any case. A tap at an end moves the
    bytes itself. Raises what a tap raised, or OSError of reading and writing at the ends, after every command was
    ended; nothing that was started is left running, also when a signal handler raises in the middle.
    """
    run = _Run()
    ends: list[int] = [descriptor for descriptor in (source, target) if descriptor is not None]
    try:
        plan: list[tuple[Tap, int, int | None]] = []
        reader = source
        for index, element in enumerate(elements):
            last = index == len(elements) - 1
            if last:
                following, writer = None, target
            else:
                following, writer = _pipe()
                ends += [following, writer]
            if isinstance(element, Command):
                stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the run, after it was read
                process = _process.start(
                    element.argv,
                    stdin=subprocess.DEVNULL if reader is None else reader,
                    stdout=subprocess.DEVNULL if writer is None else writer,
                    stderr=stderr,
                    pass_fds=element.pass_fds,
                )
                run.processes.append((element, process, stderr))
                for descriptor in (reader, writer):
                    if descriptor is not None:
                        os.close(descriptor)
                        ends.remove(descriptor)
            else:
                if reader is None:
                    raise ValueError("a tap at the start of a pipeline needs a source")
                plan.append((element, reader, writer))
            reader = following
        # Threads start only after the last fork: see _process.start.
        for tap, fed_by, feeding in plan:
            pump = _Pump(tap=tap, source=fed_by, target=feeding, on_error=run.kill)
            run.pumps.append(pump)
            ends.remove(fed_by)
            if feeding is not None:
                ends.remove(feeding)
            pump.start()
        for pump in run.pumps:
            pump.join()
        results = [_result(*item) for item in run.processes]
        for pump in run.pumps:
            if pump.error is not None:
                raise pump.error
        return results
    finally:
        for descriptor in ends:
            os.close(descriptor)
        run.close()


def _result(command: Command, process: subprocess.Popen[bytes], stderr: t.IO[bytes]) -> StageResult:
    returncode = process.wait()
    stderr.seek(0)
    text = stderr.read(_STDERR_LIMIT).decode("utf-8", "replace").strip()
    return StageResult(name=command.name, returncode=returncode, stderr=text)


def first_failure(results: t.Sequence[StageResult]) -> StageResult | None:
    """The stage that is to blame: a stage ended by SIGPIPE only shows that a later one had gone."""
    failed = [result for result in results if result.returncode != 0]
    for result in failed:
        if result.returncode != -signal.SIGPIPE:
            return result
    return failed[0] if failed else None


def describe_failure(result: StageResult) -> str:
    """Say how a stage ended, with the last line it wrote to standard error."""
    if result.returncode < 0:
        ended = f"{result.name} was ended by signal {-result.returncode}"
    else:
        ended = f"{result.name} ended with status {result.returncode}"
    line = result.stderr.splitlines()[-1] if result.stderr else ""
    return f"{ended} ({line})" if line else ended


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
    "StageResult",
    "Tap",
    "describe_failure",
    "disk_full",
    "first_failure",
    "require_success",
    "run_pipeline",
)

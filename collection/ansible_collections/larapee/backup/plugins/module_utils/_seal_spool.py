# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where binary log files lie between server and artifact: below the state, in clear, for the time of one sealing.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import typing as t

from . import _io
from ._binlog._errors import BinlogError
from ._binlog._facts import LogFacts
from ._binlog._walker import Walker
from ._errors import BackupError
from ._mysql import _binlog_client
from ._mysql._binlog_client import BinlogClient
from ._mysql._binlog_server import LogFile
from ._mysql._connection import Server
from ._seal_join import GapError, ReadLog

_BLOCK: t.Final = 256 * 1024


class Spool:
    """A directory of one branch that holds nothing before and nothing afterwards; its lock is the caller's."""

    def __init__(self, state_path: str, branch: str) -> None:
        self.path = os.path.join(state_path, "spool", branch)

    def __enter__(self) -> Spool:
        # What a killed run left.
        self._remove()
        _io.ensure_directory(self.path)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._remove()

    def _remove(self) -> None:
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)


class LogReader:
    """Reads files of one server through its client into a spool, and walks through them."""

    def __init__(
        self,
        spool: Spool,
        client: BinlogClient,
        server: Server,
        *,
        option_file: str,
        options: t.Mapping[str, str],
    ) -> None:
        self._directory = spool.path
        self._client = client
        self._server = server
        self._option_file = option_file
        self._options = options
        self._torn: dict[str, str] = {}

    def fetch(self, names: t.Sequence[str]) -> None:
        """Read *names*; raises GapError for one that the server removed in this moment, BackupError else.

        Of a file whose end is torn, what can be read of it is there.
        """
        left = list(names)
        for name in left:
            self._torn.pop(name, None)
        while left:
            try:
                torn = _binlog_client.fetch(
                    self._client,
                    self._server,
                    option_file=self._option_file,
                    options=self._options,
                    names=left,
                    directory=self._directory,
                )
            except _binlog_client.LogGoneError as exc:
                gone = next((name for name in left if not os.path.exists(self._path(name))), left[0])
                raise GapError(f"{gone} was removed before it was sealed") from exc
            if torn is None:
                break
            # They come in order; the one at which the client gave up may not even have begun.
            there = sum(1 for name in left if os.path.exists(self._path(name)))
            self._torn[left[max(there, 1) - 1]] = torn
            left = left[max(there, 1) :]

    def read(self, log: LogFile, *, at: int | None = None) -> tuple[ReadLog, LogFacts | None]:
        """Walk through the fetched file *log*, whole as the server lists it; and its facts up to the offset *at*.

        What a crash cut off is taken away: it never took place, if the next file says so too. Raises GapError for a
        file that has not even begun.
        """
        torn = self._torn.get(log.name)
        if torn is not None and not os.path.exists(self._path(log.name)):
            raise GapError(f"{log.name} is damaged on the server: {torn}")
        try:
            walk = _Walk(self._path(log.name), self._server.engine, at=at)
            if torn is None and walk.size != log.size:
                raise BackupError(
                    f"Failed to read {log.name}: {walk.size} bytes came, the server has {log.size}. Nothing was kept; "
                    "the next run reads it again.",
                    reason="stage_failed",
                )
            facts = walk.facts
            torn = torn or walk.torn
            if facts.complete_to < walk.size and (torn is not None or facts.end == "open"):
                os.truncate(self._path(log.name), facts.complete_to)
                walk = _Walk(self._path(log.name), self._server.engine, at=at)
                facts = walk.facts
        except BinlogError as exc:
            raise GapError(f"{log.name} is damaged on the server: {exc}") from exc
        end = "crash" if facts.end == "open" else facts.end
        path = self._path(log.name)
        return ReadLog(log.name, path, walk.size, walk.sha256, end, facts, torn), walk.at_offset

    def read_open(self, name: str) -> LogFacts | None:
        """The facts of the fetched file that the server is still writing; None when it has not begun."""
        try:
            return _Walk(self._path(name), self._server.engine).facts
        except (BinlogError, FileNotFoundError):
            return None

    def starts_with(self, name: str, *, size: int, sha256: str) -> bool:
        """Whether the first *size* bytes of the fetched file *name* are those of *sha256*."""
        digest = hashlib.sha256()
        missing = size
        with open(self._path(name), "rb", buffering=0) as source:
            while missing:
                block = source.read(min(_BLOCK, missing))
                if not block:
                    return False
                digest.update(block)
                missing -= len(block)
        return digest.hexdigest() == sha256

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


class _Walk:
    """One pass over a file; ``at_offset`` are the facts at *at*, None when the file does not reach so far.

    ``torn`` says that the file ends within an event, or is damaged; then ``facts`` are those before. Raises BinlogError
    when not even the first event is whole.
    """

    def __init__(self, path: str, engine: str, *, at: int | None = None) -> None:
        self._walker = Walker(engine)
        self._digest = hashlib.sha256()
        self._at = at
        self._passed = 0
        self.torn: str | None = None
        self.at_offset: LogFacts | None = None
        with open(path, "rb", buffering=0) as source:
            self.size = os.fstat(source.fileno()).st_size
            try:
                self._pass(source)
                self.facts = self._walker.close()
            except BinlogError as exc:
                self.facts = self._walker.facts()
                self.torn = str(exc)
        self.sha256 = self._digest.hexdigest()

    def _pass(self, source: io.FileIO) -> None:
        view = memoryview(bytearray(_BLOCK))
        while True:
            count = source.readinto(view)
            if not count:
                return
            block = view[:count]
            self._digest.update(block)
            cut = 0 if self._at is None else self._at - self._passed
            if 0 < cut <= count:
                self._walker.feed(block[:cut])
                self.at_offset = self._walker.facts()
                self._walker.feed(block[cut:])
            else:
                self._walker.feed(block)
            self._passed += count


__all__ = ("LogReader", "Spool")

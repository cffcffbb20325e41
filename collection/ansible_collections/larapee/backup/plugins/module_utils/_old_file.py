# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump or archive that an older cron line left, read once from end to end: is it whole, and what is in it?

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
import stat
import typing as t

from . import _compress, _pipeline
from ._digest import Digest, Ends
from ._errors import BackupError
from ._member_names import MemberError
from ._members import Member, MemberReader
from ._mysql import _dump_client
from ._mysql._scan import DumpScanner
from ._names import ArtifactName
from ._pipeline import Command, Tap

# Longer than any dump stays silent: what is younger may still be written.
SETTLED: t.Final = dt.timedelta(minutes=10)

# Newer clients begin with a comment that older servers ignore.
_HEADER = re.compile(rb"\A(?:/\*[^\n]*\n)?-- ((?:MariaDB|MySQL) dump [^\n]*)")
_DATABASE = re.compile(rb"^-- Host: .*\bDatabase: (.*)$", re.M)
_SERVER = re.compile(rb"^-- Server version[ \t]+(\d+\.\d+\S*)", re.M)
# Written by --databases and --all-databases: such a dump leaves the database that it is loaded into.
_LEAVES = re.compile(rb"\n(?:-- Current Database: |USE `|CREATE DATABASE )")
_LONGEST_BEGINNING = 32


class NotAdoptableError(Exception):
    """The file cannot be restored, or nobody would know what it is; the text says why."""


class NotSettledError(Exception):
    """The file may still be written; the text says what shows it."""


@dataclasses.dataclass(frozen=True)
class OldFile:
    """What a whole file holds: ``facts`` are its kind's own fields of the manifest. ``written_at`` is its mtime."""

    stored: Digest
    plain: Digest
    facts: t.Mapping[str, t.Any]
    written_at: dt.datetime


class _Content(Tap, t.Protocol):
    """What the plain bytes are shown to; ``facts`` raises NotAdoptableError when they are not what they should be."""

    def facts(self) -> dict[str, t.Any]: ...


def read_old_file(path: str, name: ArtifactName, *, now: dt.datetime, database: str) -> OldFile:
    """Read *path* to its end; raises NotAdoptableError, NotSettledError, and BackupError when that could not be done.

    *database* is the one that a dump must be of.
    """
    content: _Content
    if name.kind == "db_full":
        content = _Dump(database)
    elif name.kind in ("files_full", "config"):
        content = _Archive()
    else:
        raise NotAdoptableError("no older cron line made increments")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        raise NotAdoptableError(f"it cannot be read: {exc.strerror}") from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAdoptableError("it is not a regular file")
        written_at = dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc)
        if abs(now - written_at) < SETTLED:
            raise NotSettledError("it was written to in the last 10 minutes")
        stored, plain = Digest(), Digest()
        flaw = _read(os.dup(descriptor), [stored, _compress.decompressor(name.compression), plain, content])
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise NotSettledError("it was written to while it was read")
        if not os.path.samestat(after, os.lstat(path)):
            raise NotSettledError("it was replaced while it was read")
    except FileNotFoundError as exc:
        raise NotSettledError("it was removed while it was read") from exc
    finally:
        os.close(descriptor)
    if flaw:
        raise NotAdoptableError(flaw)
    return OldFile(stored=stored, plain=plain, facts=content.facts(), written_at=written_at)


def _read(source: int, elements: t.Sequence[Command | Tap]) -> str:
    """Let all bytes pass; return what is wrong with them, empty when nothing is."""
    try:
        results = _pipeline.run_pipeline(elements, source=source)
    except MemberError as exc:
        return _cause(exc.cause)
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"
    failure = _pipeline.first_failure(results)
    return f"it does not open: {_pipeline.describe_failure(failure)}" if failure is not None else ""


def _cause(message: str) -> str:
    """A message without its full stop, fit to stand after a name."""
    text = message.rstrip(".")
    return text[:1].lower() + text[1:]


class _Dump:
    def __init__(self, database: str) -> None:
        self._database = database
        self._ends = Ends()
        self._scanner = DumpScanner()
        self._carry = b"\n"
        self._leaves = False

    def feed(self, block: memoryview) -> None:
        self._ends.feed(block)
        self._scanner.feed(block)
        if not self._leaves:
            data = self._carry + bytes(block)
            self._leaves = _LEAVES.search(data) is not None
            self._carry = data[-_LONGEST_BEGINNING:]

    def facts(self) -> dict[str, t.Any]:
        head = self._ends.head
        header, database, server = _HEADER.search(head), _DATABASE.search(head), _SERVER.search(head)
        if header is None or database is None or server is None:
            raise NotAdoptableError("it does not begin like a dump: client, database or server are not named in it")
        try:
            _dump_client.check_trailer(self._ends.tail)
        except BackupError:
            raise NotAdoptableError("it ends without '-- Dump completed', so it is cut short") from None
        if self._leaves:
            raise NotAdoptableError("it holds whole databases and would be loaded beside the target")
        found = database[1].decode("utf-8", "replace").strip()
        if found != self._database:
            raise NotAdoptableError(f"it is of the database {found or 'of no name'}, not of {self._database}")
        if not self._scanner.objects["tables"]:
            raise NotAdoptableError("it holds no table")
        version = server[1].decode("ascii", "replace")
        return {
            "engine": "mariadb" if "mariadb" in version.lower() else "mysql",
            "version": version,
            "database": found,
            "objects": dict(self._scanner.objects),
            "longest_line": self._scanner.longest_line,
            "tool_versions": {"dump": header[1].decode("utf-8", "replace").strip(), "compressor": "unknown"},
        }


class _Archive:
    """Also the sink of the members."""

    def __init__(self) -> None:
        self._reader = MemberReader(self)
        self._entries = 0
        self._bytes = 0

    def feed(self, block: memoryview) -> None:
        self._reader.feed(block)

    def begin(self, member: Member) -> None:
        self._entries += 1
        self._bytes += member.size

    def write(self, block: memoryview, offset: int) -> None: ...

    def end(self, member: Member) -> None: ...

    def facts(self) -> dict[str, t.Any]:
        try:
            self._reader.finish()
        except MemberError as exc:
            raise NotAdoptableError(_cause(exc.cause)) from exc
        if not self._entries:
            raise NotAdoptableError("it holds nothing")
        return {
            "entries": self._entries,
            "deletions": 0,
            "tree": {"entries": self._entries, "bytes": self._bytes},
            "problems": {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0},
            "companion": None,
            "tool_versions": {"compressor": "unknown"},
        }


__all__ = ("SETTLED", "NotAdoptableError", "NotSettledError", "OldFile", "read_old_file")

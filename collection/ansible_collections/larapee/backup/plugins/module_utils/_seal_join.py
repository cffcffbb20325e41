# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what a server has written goes on where the last artifact ended. Pure.

A server that was reset, built anew or rolled back writes files of the same names, and GTIDs that were given before.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ._binlog import _gtid
from ._binlog._facts import LogFacts
from ._binlog._names import is_log_name, log_number, next_name
from ._manifest import Manifest
from ._mysql._binlog_server import LogFile
from ._mysql._connection import Server

# Clocks are corrected; nobody builds a server anew and fills it by the same steps in so short a time.
_CLOCKS_DIFFER_S: t.Final = 600.0


class GapError(Exception):
    """The stream cannot go on; the text says why, in words for the middle of a sentence."""


@dataclasses.dataclass(frozen=True)
class ReadLog:
    """A closed file as it was read: ``size`` and ``sha256`` are of the bytes that are sealed.

    ``end`` is how the server closed it. ``torn`` is what the server, or the walker, said of an end that was cut off.
    """

    name: str
    path: str
    size: int
    sha256: str
    end: str
    facts: LogFacts
    torn: str | None = None


def needed_file(last: Manifest) -> str:
    """The file that the next increment begins with."""
    file = str(last.position["file"])
    return next_name(file) if last.kind == "db_increment" else file


def closed_files(last: Manifest, logs: t.Sequence[LogFile], *, server: Server) -> list[LogFile]:
    """Those of *logs* that are to be sealed after *last*; raises GapError."""
    _require_server(last, server)
    needed = needed_file(last)
    names = [log.name for log in logs]
    if not names or any(not is_log_name(name) for name in names):
        raise GapError(f"the server lists no binary log files as we know them: {', '.join(names[:3]) or 'none'}")
    if any(after != next_name(before) for before, after in zip(names, names[1:])):
        raise GapError(f"files are missing between {names[0]} and {names[-1]} on the server")
    current = names[-1]
    if current.rpartition(".")[0] != needed.rpartition(".")[0]:
        raise GapError(f"the binary log has another name, {current}; {last.artifact} ends in {last.position['file']}")
    if log_number(current) < log_number(needed):
        raise GapError(
            f"the binary log went back: the server writes {current}, {last.artifact} ends in {last.position['file']}"
        )
    if log_number(names[0]) > log_number(needed):
        raise GapError(f"{needed} was removed before it was sealed, the oldest that the server has is {names[0]}")
    _require_same_length(last, logs)
    return [log for log in logs[:-1] if log_number(log.name) >= log_number(needed)]


def _require_server(last: Manifest, server: Server) -> None:
    document = last.document
    if document["engine"] != server.engine:
        raise GapError(f"it is another engine, {server.engine}; {last.artifact} is of {document['engine']}")
    if document["server_id"] != server.server_id:
        raise GapError(
            f"it is another server, with server_id {server.server_id}; {last.artifact} is of {document['server_id']}"
        )


def _require_same_length(last: Manifest, logs: t.Sequence[LogFile]) -> None:
    """The file in which *last* ends, where the server still has it, is as long as it was."""
    position = last.position
    for log in logs:
        if log.name != position["file"]:
            continue
        sealed = last.kind == "db_increment" and last.document["files"][-1]["end"] != "crash"
        if log.size < position["position"] or (sealed and log.size != position["position"]):
            raise GapError(
                f"{log.name} has {log.size} bytes on the server, {last.artifact} ends at {position['position']} in it: "
                "the binary log was reset, or the server was rolled back"
            )


def check_join(last: Manifest, read: t.Sequence[ReadLog], *, at_full: LogFacts | None, identity: str | None) -> None:
    """Raise GapError unless *read*, in order, continue *last* without a gap.

    *at_full* are the facts of the first file up to where the full *last* stands; *identity* is that of the first file
    as it was remembered when *last* was made.
    """
    first = read[0].facts
    if identity is not None and first.identity != identity:
        raise GapError(
            f"{read[0].name} is not the file that the server began when {last.artifact} was made: the binary log was "
            "reset, or the server was rolled back"
        )
    state = _gtid.parse(str(last.document["engine"]), str(last.position.get("gtid") or ""))
    if last.kind == "db_full":
        _check_full(last, read[0], at_full, state)
    elif first.before != state:
        raise GapError(
            f"{read[0].name} begins at GTID {first.before or 'nothing'}, {last.artifact} ends at {state or 'nothing'}: "
            "the binary log was reset, or the server was rolled back"
        )
    for each in read:
        if each.facts.server_id != last.document["server_id"]:
            raise GapError(f"{each.name} is of another server, with server_id {each.facts.server_id}")
    for before, after in zip(read, read[1:]):
        _check_pair(before, after)
    if read[-1].end == "crash":
        raise GapError(f"{read[-1].name} {_how_torn(read[-1])}, and the server did not start anew after it")


def _check_full(full: Manifest, log: ReadLog, at_full: LogFacts | None, state: _gtid.State) -> None:
    where = f"{log.name}:{full.position['position']}"
    if at_full is None or at_full.complete_to != full.position["position"]:
        raise GapError(
            f"{full.artifact} stands at {where}, and no transaction ends there: the binary log was reset, or the "
            "server was rolled back"
        )
    if full.position.get("gtid") is not None and at_full.after != state:
        raise GapError(
            f"{full.artifact} stands at GTID {state or 'nothing'}, but at {where} the server had "
            f"{at_full.after or 'nothing'}: the binary log was reset, or the server was rolled back"
        )


def check_age(full: Manifest, log: ReadLog, *, clock_ahead_s: float) -> None:
    """Raise GapError when the file in which *full* stands was begun after it: a server that was built anew.

    Of the same name, and with the same GTIDs, when it was filled by the same steps. *clock_ahead_s*: by how much the
    server's clock is ahead of the one that the full's time is from, now.
    """
    begun = min(log.facts.created_at, log.facts.created_at - clock_ahead_s)
    if begun > full.created_at.timestamp() + _CLOCKS_DIFFER_S:
        at = dt.datetime.fromtimestamp(begun, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        raise GapError(f"{full.artifact} stands in {log.name}, which the server began later, at {at} UTC")


def _check_pair(before: ReadLog, after: ReadLog) -> None:
    if before.end == "rotate" and before.facts.next_file != after.name:
        raise GapError(f"{before.name} says that {before.facts.next_file} follows it, not {after.name}")
    if before.end == "crash" and not after.facts.after_start:
        raise GapError(f"{before.name} {_how_torn(before)}, and the server did not start anew after it")
    # Without GTIDs nothing tells whether only the torn end is missing.
    if before.torn and (before.facts.after != after.facts.before or not after.facts.before):
        raise GapError(f"{before.name} {_how_torn(before)}, and the server did not take that back")
    if before.facts.after != after.facts.before:
        raise GapError(
            f"{after.name} begins at GTID {after.facts.before or 'nothing'}, {before.name} ends at "
            f"{before.facts.after or 'nothing'}"
        )


def _how_torn(log: ReadLog) -> str:
    return f"is cut off or damaged ({log.torn})" if log.torn else "was not closed"


__all__ = ("GapError", "ReadLog", "check_age", "check_join", "closed_files", "needed_file")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walking from a full through its increments: every file is checked before any of it is applied.

Each is the one of its manifest, begins where the file before it ended, and is of the full's server; the full stands
between two transactions, after exactly those that its own GTID says. Shown on the way: every transaction after it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from . import _open
from ._aim import Seeker
from ._binlog import _gtid, _names
from ._binlog._container import ContainerReader
from ._binlog._errors import BinlogError
from ._binlog._facts import Group, LogFacts
from ._binlog._gtid import State
from ._binlog._walker import Walker
from ._catalog import Entry
from ._digest import Digest
from ._errors import BackupError

if t.TYPE_CHECKING:
    from ._replay import RelayLogs


class LogWalk:
    """Walks when ``run`` is called; *logs*, where given, get the files up to the stop.

    ``before_full`` is the time of the last transaction that the full holds as far as its own file shows, ``bytes`` were
    walked, ``event_statements`` by file are (default database, text) of what touches events.
    """

    def __init__(self, full: Entry, *, seeker: Seeker, identity: str | None, logs: RelayLogs | None = None) -> None:
        document, position = full.manifest.document, full.manifest.position
        self._full = full
        self._engine = str(document["engine"])
        self._server_id = int(document["server_id"])
        self._file = str(position["file"])
        self._offset = int(position["position"])
        self._state = _gtid.parse(self._engine, str(position.get("gtid") or ""))
        self._identity = identity
        self._seeker = seeker
        self._logs = logs
        self._previous: tuple[str, State] | None = None
        self.before_full: dt.datetime | None = None
        self.bytes = 0
        self.event_statements: dict[str, tuple[tuple[str, str], ...]] = {}

    def run(self, increments: t.Sequence[Entry]) -> None:
        """Raises BackupError (``not_intact``, ``wrong_chain``) that names the artifact and what is wrong with it."""
        for entry in increments:
            opening = _Opening(self, entry)
            try:
                _open.open_artifact(entry, identity=self._identity, following=(opening,))
                opening.close()
            except BinlogError as exc:
                raise _damaged(entry, f"{opening.name}: {exc}") from exc
            finally:
                opening.release()
        if self._previous is None:
            raise _contradicts(self._full, f"no increment holds {self._file}")

    def wants(self, name: str) -> bool:
        """Whether the file belongs to what follows the full."""
        return _names.log_number(name) >= _names.log_number(self._file)

    def is_first(self, name: str) -> bool:
        return name == self._file

    @property
    def offset(self) -> int:
        """Where the full stands in its file."""
        return self._offset

    def place(self, name: str) -> t.BinaryIO | None:
        """Where the bytes of a file go; None when they are only looked at."""
        return self._logs.add(name) if self._logs is not None and self._seeker.following is None else None

    def walker(self, name: str) -> Walker:
        def see(group: Group) -> None:
            if self.is_first(name) and group.end <= self._offset:
                at = dt.datetime.fromtimestamp(group.at, dt.timezone.utc)
                self.before_full = max(self.before_full or at, at)
            else:
                self._seeker.see(name, group)

        return Walker(self._engine, on_group=see)

    def check_full(self, entry: Entry, facts: LogFacts) -> None:
        """*facts* are those of the file up to where the full stands."""
        if facts.complete_to != self._offset:
            raise _contradicts(
                self._full, f"it stands at {self._file}:{self._offset}, within a transaction in {entry.name}"
            )
        if facts.after != self._state:
            raise _contradicts(
                self._full,
                f"it says GTID {self._state or 'nothing'}, but at {self._file}:{self._offset} {entry.name} has "
                f"{facts.after or 'nothing'}",
            )

    def check_file(self, entry: Entry, name: str, facts: LogFacts, told: t.Mapping[str, t.Any], sha256: str) -> None:
        """Compare a whole file with its manifest and with the file before it."""
        ended = "crash" if facts.end == "open" else facts.end
        found = {"size": facts.size, "sha256": sha256, "identity": facts.identity, "end": ended}
        for key, value in found.items():
            if told[key] != value:
                raise _damaged(entry, f"{name}: its {key} is {value}, its manifest says {told[key]}")
        if facts.server_id != self._server_id:
            raise _damaged(entry, f"{name} is of the server {facts.server_id}, the full of {self._server_id}")
        if self._previous is not None:
            before, state = self._previous
            if name != _names.next_name(before):
                raise _damaged(entry, f"{name} does not follow {before}")
            if facts.before != state:
                raise _damaged(
                    entry, f"{name} begins at GTID {facts.before or 'nothing'}, {before} ends at {state or 'nothing'}"
                )
        if facts.end == "rotate" and facts.next_file != _names.next_name(name):
            raise _damaged(entry, f"{name} says that {facts.next_file} follows it")
        self._previous = (name, facts.after)
        self.bytes += facts.size
        self.event_statements[name] = facts.event_statements
        if self._logs is not None and name in self._logs.names and facts.complete_to < facts.size:
            # A transaction that a crash cut off never took place.
            self._logs.truncate(name, facts.complete_to)


class _Opening:
    """Last in the pipeline that opens one increment."""

    def __init__(self, walk: LogWalk, entry: Entry) -> None:
        self._walk = walk
        self._entry = entry
        self._told = {str(each["name"]): each for each in entry.manifest.document["files"]}
        self._reader = ContainerReader(begin=self._begin, data=self._data, end=self._end)
        self.feed = self._reader.feed
        self.name = "the container"
        self._walker: Walker | None = None
        self._digest = Digest()
        self._passed = 0
        self._output: t.BinaryIO | None = None

    def close(self) -> None:
        if list(self._reader.close()) != list(self._told):
            raise _damaged(self._entry, "it holds other files than its manifest says")

    def release(self) -> None:
        """Close the file that is being written, also after a failure."""
        if self._output is not None:
            self._output.close()

    def _begin(self, name: str, _size: int) -> None:
        if name not in self._told:
            raise _damaged(self._entry, f"its manifest does not name {name}")
        self.name = name
        self._digest = Digest()
        self._passed = 0
        self._walker = self._walk.walker(name) if self._walk.wants(name) else None
        self._output = self._walk.place(name) if self._walker is not None else None

    def _data(self, block: memoryview) -> None:
        if self._walker is None:
            return
        self._digest.feed(block)
        _write(self._output, block)
        # Where the full stands, the facts so far are compared with it.
        cut = self._walk.offset - self._passed
        if self._walk.is_first(self.name) and 0 < cut <= len(block):
            self._walker.feed(block[:cut])
            self._walk.check_full(self._entry, self._walker.facts())
            self._walker.feed(block[cut:])
        else:
            self._walker.feed(block)
        self._passed += len(block)

    def _end(self, name: str) -> None:
        if self._walker is None:
            return
        self.release()
        told = self._told[name]
        facts = self._walker.facts() if told["end"] == "crash" else self._walker.close()
        if self._walk.is_first(name) and self._passed < self._walk.offset:
            raise _damaged(self._entry, f"{name} is shorter than where the full stands, {self._walk.offset}")
        self._walk.check_file(self._entry, name, facts, told, self._digest.sha256)


def _write(output: t.BinaryIO | None, block: memoryview) -> None:
    try:
        while output is not None and block:
            block = block[output.write(block) :]
    except OSError as exc:
        raise BackupError(
            f"Failed to unpack the increments for the scratch server: {exc.strerror}. The target was not changed. Free "
            "space, or set larapee_backup_restore_scratch_path to a larger disk.",
            reason="scratch_space",
        ) from exc


def _damaged(entry: Entry, why: str) -> BackupError:
    return BackupError(
        f"Failed to use {entry.name}: {why}. The target was not changed. Restore to a time before it, or fetch it from "
        "another place.",
        reason="not_intact",
        facts={"artifact": entry.name},
    )


def _contradicts(full: Entry, why: str) -> BackupError:
    return BackupError(
        f"Failed to continue {full.name} with the increments: {why}, so it is of another server or of another life of "
        "it. The target was not changed. Restore to the time of a full.",
        reason="wrong_chain",
        facts={"artifact": full.name},
    )


__all__ = ("LogWalk",)

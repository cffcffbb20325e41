# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filling a database: from the first change on it to the last, and what is left after a failure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import typing as t

from . import _clock, _manifest, _open, _process
from ._catalog import Entry
from ._digest import Ends
from ._errors import BackupError
from ._mysql import _inspect, _marker
from ._mysql._connection import client_arguments, connect, quote_identifier, rows
from ._mysql._dump_client import check_trailer
from ._mysql._scan import DumpScanner, difference
from ._pipeline import Command, Tap
from ._target import Target

CLIENTS: t.Final = {"mariadb": ("mariadb", "mysql"), "mysql": ("mysql",)}
# A branch's key may be in wrong hands: what it signed must neither run commands nor read files of this host.
LOAD_ARGUMENTS: t.Final[dict[str, tuple[str, ...]]] = {
    "mariadb": (
        "--sandbox",
        "--binary-mode",
        "--local-infile=0",
    ),
    "mysql": ("--binary-mode", "--local-infile=0"),
}
# What the source held under looser settings must load too: rows that break a CHECK, tables made without
# innodb_strict_mode.
_SETTINGS: t.Final[dict[str, tuple[str, ...]]] = {
    "mariadb": ("check_constraint_checks=0", "innodb_strict_mode=0"),
    "mysql": (),
}


class Content(t.Protocol):
    """What fills a database: ``name`` for messages and for the mark, the schema's settings, objects by kind.

    ``pour`` streams it as SQL into *following* and raises BackupError unless all of it came.
    """

    @property
    def name(self) -> str: ...
    @property
    def character_set(self) -> str: ...
    @property
    def collation(self) -> str: ...
    @property
    def objects(self) -> t.Mapping[str, int]: ...
    def pour(self, following: t.Sequence[Command | Tap]) -> None: ...


class FullContent:
    """A full, as it lies at its place."""

    def __init__(self, entry: Entry, *, identity: str | None) -> None:
        document = entry.manifest.document
        self.name = entry.name
        self.character_set = str(document["schema_character_set"])
        self.collation = str(document["schema_collation"])
        self.objects: t.Mapping[str, int] = document["objects"]
        self._entry = entry
        self._identity = identity

    def pour(self, following: t.Sequence[Command | Tap]) -> None:
        _open.open_artifact(self._entry, identity=self._identity, following=following)


class Filling:
    """One filling of one target; ``run`` ends with a complete database, or says how the target was left.

    *at*: the time that the server takes it to be; a one-time event that is over by then is not made. *disposable*: on a
    scratch server, of which nothing needs to be said or put back.
    """

    def __init__(
        self,
        *,
        options: t.Mapping[str, str],
        option_file: str,
        content: Content,
        target: Target,
        run_id: str,
        at: dt.datetime | None = None,
        disposable: bool = False,
    ) -> None:
        self._options = options
        self._content = content
        self._target = target
        self._at = at
        self._disposable = disposable
        self._run_id = run_id
        self._database = target.database
        self._name = quote_identifier(target.database)
        self._scanner = DumpScanner(only_database=target.database)
        self._ends = Ends()
        self._touched = False
        self._dropped = False
        self.warnings: list[str] = []
        self._client = (
            _process.find_tool(*CLIENTS[target.server.engine]),
            f"--defaults-file={option_file}",
            *client_arguments(options),
            "--default-character-set=utf8mb4",
        )

    def run(self) -> None:
        """Fill the target; raises BackupError. A second restore into the same database is refused at once."""
        with connect(self._options) as guard:
            take_database(guard, self._database)
            try:
                self._prepare()
                require_same_server(self._client, self._database, run_id=self._run_id)
                self._load()
                self._check()
            except BackupError as exc:
                raise BackupError(f"{exc} {self._leave()}", reason=exc.reason, facts=exc.facts) from exc

    def _prepare(self) -> None:
        """Mark first, then look again, then change: the target may have been filled since it was checked."""
        character_set, collation = self._content.character_set, self._content.collation
        with connect(self._options) as connection:
            if self._target.schema is None:
                self._create(connection, character_set, collation)
                self._touched = True
                self._mark(connection)
                return
            self._mark(connection)
            self._touched = True
            if self._target.empty:
                if sum(_inspect.count_objects(connection, self._database).values()) > 1:
                    _marker.remove(connection, self._database)
                    self._touched = False
                    raise BackupError(
                        f"Failed to restore into {self._database}: it was empty when it was checked and is not any "
                        "more. Stop what writes to it.",
                        reason="not_empty",
                    )
                rows(connection, f"ALTER DATABASE {self._name} CHARACTER SET {character_set} COLLATE {collation}")
                return
            self._dropped = True
            rows(connection, f"DROP DATABASE {self._name}")
            self._create(connection, character_set, collation)
            self._mark(connection)

    def _mark(self, connection: t.Any) -> None:
        _marker.place(
            connection,
            self._database,
            artifact=self._content.name,
            run_id=self._run_id,
            started_at=_manifest.format_time(_clock.now()),
        )

    def _create(self, connection: t.Any, character_set: str, collation: str) -> None:
        rows(connection, f"CREATE DATABASE {self._name} CHARACTER SET {character_set} COLLATE {collation}")

    def _load(self) -> None:
        settings = list(_SETTINGS[self._target.server.engine])
        if self._at is not None:
            settings.append(f"timestamp={int(self._at.timestamp())}")
        arguments = [*LOAD_ARGUMENTS[self._target.server.engine], "--max-allowed-packet=1G"]
        if settings:
            arguments.append(f"--init-command=SET SESSION {', '.join(settings)}")
        client = Command("the database client", (*self._client, *arguments, "--", self._database))
        self._content.pour([self, client])

    def feed(self, block: memoryview) -> None:
        self._scanner.feed(block)
        self._ends.feed(block)

    def _check(self) -> None:
        self._scanner.close()
        check_trailer(self._ends.tail)
        expected = dict(self._content.objects)
        with connect(self._options) as connection:
            found = _inspect.count_objects(connection, self._database)
            found["tables"] -= 1  # the mark
            gone = expected.get("events", 0) - found["events"]
            if 0 < gone <= self._scanner.one_time_events:
                # The server makes no event whose only time has passed.
                expected["events"] = found["events"]
                self.warnings.append(f"{gone} one-time events were not made again: their time has passed.")
            wrong = difference(expected, found)
            if wrong:
                raise BackupError(
                    f"Failed to restore {self._content.name}: the target holds {wrong} of the backup.",
                    reason="incomplete",
                )
            _marker.remove(connection, self._database)

    def _leave(self) -> str:
        """Undo what was done to an empty target, or make sure that a replaced one is marked; say what is there."""
        if self._disposable:
            return "The target was not changed."
        try:
            with connect(self._options) as connection:
                # An interruption may come between the mark and the note of it.
                if not self._touched and _marker.read_run_id(connection, self._database) != self._run_id:
                    return "Nothing was changed on the target."
                return self._leave_empty(connection) if self._target.empty else self._leave_replaced(connection)
        except BackupError:
            return (
                f"The server could not be asked how {self._database} was left: treat it as unusable until a restore "
                "succeeded."
            )

    def _leave_empty(self, connection: t.Any) -> str:
        before = self._target.schema
        mark = _marker.read_run_id(connection, self._database)
        nothing = not any(_inspect.count_objects(connection, self._database).values())
        if mark != self._run_id and not nothing:
            return f"The target {self._database} was changed by somebody else meanwhile; it was left alone. Look at it."
        rows(connection, f"DROP DATABASE IF EXISTS {self._name}")
        if before is not None:
            self._create(connection, before.character_set, before.collation)
        return "The target is empty, as it was."

    def _leave_replaced(self, connection: t.Any) -> str:
        if not self._dropped:
            _marker.remove(connection, self._database)
            return "The target is as it was."
        if _inspect.read_schema(connection, self._database) is None:
            return f"The target {self._database} is gone: its old content had been dropped. Restore again."
        if _marker.read_run_id(connection, self._database) != self._run_id:
            self._mark(connection)
        return (
            f"The target {self._database} is unusable and marked so by the table {_marker.TABLE}: "
            "do not start the shop on it; restore again."
        )


def take_database(guard: t.Any, database: str, *, wait_seconds: int = 0) -> None:
    """Raise BackupError when another restore fills *database*; else none may, for as long as *guard* is connected."""
    name = "larapee-" + hashlib.sha256(database.encode()).hexdigest()[:40]
    # It is idle for as long as a load takes.
    rows(guard, "SET SESSION wait_timeout = 86400")
    if rows(guard, "SELECT GET_LOCK(%s, %s)", [name, wait_seconds]) != [(1,)]:
        raise BackupError(
            f"Failed to restore into {database}: another restore fills it now. Nothing was done.", reason="lock_held"
        )


def require_same_server(client: t.Sequence[str], database: str, *, run_id: str) -> None:
    """The checks went through PyMySQL, the rows go through *client*: it must see this run's own mark."""
    query = f"SELECT run_id FROM {quote_identifier(_marker.TABLE)}"  # noqa: S608 - fixed name
    result = _process.run([*client, "--batch", "--skip-column-names", f"--execute={query}", "--", database])
    if result.returncode != 0 or result.stdout.decode("utf-8", "replace").strip() != run_id:
        said = result.stderr.decode("utf-8", "replace").strip() or "another mark"
        raise BackupError(
            f"Failed to restore into {database}: the database client does not reach the server that was "
            f"checked ({said}). Name one socket or one host in the option file.",
            reason="other_server",
        )


__all__ = ("CLIENTS", "LOAD_ARGUMENTS", "Content", "Filling", "FullContent", "require_same_server", "take_database")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a full and walked relay logs to the database as it was at the stop, on a scratch server.

On the way, at the newest fingerprint that lies before the stop, everything that it holds is compared.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _fingerprint, _transfer
from ._aim import Seeker, Transaction
from ._binlog import _names
from ._binlog._event_status import EventStatuses, alters_sequence
from ._binlog._walker import Walker
from ._catalog import Entry
from ._errors import BackupError
from ._fill import Filling, FullContent
from ._log_walk import LogWalk
from ._mysql._connection import connect
from ._replay import RelayLogs, Replay
from ._scratch import Scratch
from ._target import Target

_BLOCK: t.Final = 1024 * 1024
# More differences would bury the message.
_STATEMENT_SHOWN: t.Final = 200
_NAMED: t.Final = 5
Place = tuple[int, int]


def place_of(position: t.Mapping[str, t.Any]) -> Place:
    """Orders positions of one stream."""
    return (_names.log_number(str(position["file"])), int(position["position"]))


def fingerprints(entries: t.Sequence[Entry], *, following: Transaction | None) -> list[Entry]:
    """Those of *entries*, a full and its increments, whose fingerprint the replay passes; newest first.

    It ends before the transaction *following*. A position may lie behind what the server notes between transactions.
    """
    start = place_of(entries[0].manifest.position)
    limit = place_of(entries[-1].manifest.position)
    if following is not None:
        limit = (_names.log_number(following.file), following.start)
    found = []
    for entry in entries:
        told = entry.manifest.document.get("fingerprint")
        if told and entry.companion_path is not None and start <= place_of(told) <= limit:
            found.append((place_of(told), entry))
    return [entry for _place, entry in sorted(found, key=lambda each: each[0], reverse=True)]


class LogReplay:
    """One replay of *logs*, which *walk* placed, after the full of *entries*, up to where *seeker* says.

    ``compared`` names the artifact whose fingerprint was compared.
    """

    def __init__(
        self,
        scratch: Scratch,
        logs: RelayLogs,
        *,
        entries: t.Sequence[Entry],
        walk: LogWalk,
        seeker: Seeker,
        identity: str | None,
        run_id: str,
    ) -> None:
        if seeker.last is None:
            raise ValueError("there is nothing to replay")
        self._scratch = scratch
        self._logs = logs
        self._entries = entries
        self._walk = walk
        self._stop = seeker.last
        self._following = seeker.following
        self._identity = identity
        self._run_id = run_id
        self._database = scratch.wanted.database
        self._statuses: dict[str, str] = {}
        self.compared: str | None = None
        self.warnings: list[str] = []

    @property
    def _start(self) -> Place:
        return place_of(self._entries[0].manifest.position)

    def load(self) -> None:
        """Load the full into the scratch server; raises BackupError."""
        full, scratch = self._entries[0], self._scratch
        with connect(scratch.loader_options) as connection:
            if scratch.server is None:
                raise ValueError("the scratch server has not started")
            target = Target(connection, self._database, server=scratch.server, where="the scratch server")
        filling = Filling(
            options=scratch.loader_options,
            option_file=scratch.loader_file,
            content=FullContent(full, identity=self._identity),
            target=target,
            run_id=self._run_id,
            # The log tells when a one-time event went: until then it has to be there.
            at=full.manifest.recovery_point,
            disposable=True,
        )
        try:
            filling.run()
        except BackupError as exc:
            raise scratch.describe(exc) from exc
        self.warnings += filling.warnings
        with connect(scratch.options) as connection:
            self._statuses = _transfer.read_statuses(connection, self._database)

    def replay(self, note: t.Callable[[str], None]) -> None:
        """Apply the log up to the stop, comparing on the way; raises BackupError. *note* is told of each step."""
        replay = Replay(self._scratch, self._logs, start=self._start[1])
        fingerprint = self._read_fingerprint()
        if fingerprint is not None:
            replay.run_to(fingerprint.file, fingerprint.position)
            note("replay")
            self._compare(fingerprint)
            note("compare")
        replay.run_to(self._stop.file, self._stop.position)
        with connect(self._scratch.options) as connection:
            _transfer.make_definers(connection, self._database)
            if self._scratch.server is not None:
                wanted = self._wanted_statuses()
                _transfer.restore_statuses(connection, self._database, wanted, server=self._scratch.server)
        note("replay")

    def _read_fingerprint(self) -> _fingerprint.Fingerprint | None:
        """The newest one that can be read."""
        for entry in fingerprints(self._entries, following=self._following):
            try:
                found = _fingerprint.read_companion(entry, identity=self._identity)
            except BackupError as exc:
                if exc.reason == "interrupted":
                    raise
                self.warnings.append(f"The fingerprint of {entry.name} was not compared: {exc}")
                continue
            self.compared = entry.name
            return found
        return None

    def _compare(self, fingerprint: _fingerprint.Fingerprint) -> None:
        with connect(self._scratch.options) as connection:
            _transfer.make_definers(connection, self._database)
        with connect(self._scratch.loader_options) as connection:
            differences = _fingerprint.compare(fingerprint, connection, self._database)
        # A query may ask for the time, or for who asks: rows decide.
        asked = [each for each in differences if each.startswith("query ")]
        self.warnings += [f"The fingerprint of {self.compared}: {each}." for each in asked[:_NAMED]]
        differences = [each for each in differences if each not in asked]
        if differences:
            more = f"; and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
            raise BackupError(
                f"Failed to restore to {fingerprint.file}:{fingerprint.position}: what came back is not what "
                f"{self.compared} says was there: {'; '.join(differences[:_NAMED])}{more}. The target was not changed. "
                "Keep the artifacts, and restore from another full.",
                reason="not_equal",
                facts={"differences": differences[: 10 * _NAMED]},
            )

    def _wanted_statuses(self) -> dict[str, str]:
        """The status of each event as the source had it at the stop."""
        statuses = EventStatuses(self._database, self._statuses)
        stop = (_names.log_number(self._stop.file), self._stop.position)
        for index, name in enumerate(self._logs.names):
            number = _names.log_number(name)
            if number > stop[0]:
                break
            found = self._walk.event_statements.get(name, ())
            if found and number == stop[0]:
                found = self._statements(name, stop[1])
            # The full has what came before it in its own file.
            known = len(self._statements(name, self._start[1])) if found and index == 0 else 0
            for database, text in found[known:]:
                statuses.apply(database, text)
                if alters_sequence(text):
                    self.warnings.append(
                        f"A replay does not bring this back, run it by hand on the target: {text[:_STATEMENT_SHOWN]}"
                    )
        return statuses.result()

    def _statements(self, name: str, until: int) -> tuple[tuple[str, str], ...]:
        """Those of a file up to one of its positions."""
        walker = Walker(self._scratch.wanted.engine)
        missing = until
        with open(self._logs.path(name), "rb", buffering=0) as handle:
            while missing and (block := handle.read(min(missing, _BLOCK))):
                walker.feed(block)
                missing -= len(block)
        return walker.facts().event_statements


__all__ = ("LogReplay", "fingerprints", "place_of")

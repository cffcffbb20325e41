# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one pass of a dump: client, plain hash, compressor, age, hash, file; and the checks of what passed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt

from . import _clock, _compress, _encrypt, _io, _making, _pipeline
from ._digest import Both, Digest, Ends
from ._errors import BackupError
from ._mysql import _ddl_guard, _dump_client, _inspect
from ._mysql._connection import Server
from ._mysql._freeze import FreezeWatch
from ._mysql._scan import DumpScanner, difference
from ._publish import Reservation
from ._request import DumpRequest


class DumpStream:
    """Runs the pass when it is made; ``plain`` and ``stored`` are the digests of both ends."""

    def __init__(
        self,
        request: DumpRequest,
        server: Server,
        client: _dump_client.DumpClient,
        guard: _ddl_guard.DdlGuard,
        reservation: Reservation,
        *,
        command: _pipeline.Command,
        watch: FreezeWatch,
    ) -> None:
        self._request = request
        self._client = client
        self._server = server
        self._guard = guard
        self._watch = watch
        self._snapshot_seen: dt.datetime | None = None
        self.plain = Digest()
        self.stored = Digest()
        self._ends = Ends()
        self._scanner = DumpScanner()
        elements: list[_pipeline.Command | _pipeline.Tap] = [
            command,
            self,
            _compress.compressor(request.compression),
        ]
        if request.encrypt:
            elements.append(_encrypt.encryptor(request.recipients))
        elements.append(Both(self.stored, _making.allowance(request)))
        try:
            try:
                results = _pipeline.run_pipeline(elements, target=reservation.open_part())
            finally:
                watch.stop()
        except OSError as exc:
            raise BackupError(
                f"Failed to write {reservation.part_path}: {exc.strerror}. {_io.free_bytes(request.local_path)} bytes "
                "are free; nothing was kept of this dump.",
                reason="disk_full" if _pipeline.disk_full(exc) else "write_failed",
            ) from exc
        _pipeline.require_success(results, what=f"dump {request.database}", advice="Nothing was kept of this dump.")
        _dump_client.check_messages(client, results[0])
        self._ended = _clock.now()

    def feed(self, block: memoryview) -> None:
        self._watch.start()
        if self._guard.frozen is not None:
            raise BackupError(
                f"Failed to dump {self._request.database}: a definition changed, and {self._guard.frozen} could not be "
                "used until the dump let it. Run it when no migration runs.",
                reason="schema_changed",
            )
        self.plain.feed(block)
        self._ends.feed(block)
        self._scanner.feed(block)
        if self._snapshot_seen is None and _dump_client.has_snapshot(self._ends.head):
            self._snapshot_seen = _clock.now()
            self._guard.snapshot_taken()

    def check(self, schema: _inspect.Schema) -> None:
        """Raise BackupError unless the dump is whole: trailer, objects, coordinates."""
        self._scanner.close()
        _dump_client.check_trailer(self._ends.tail)
        wrong = difference(schema.objects, self._scanner.objects)
        if wrong:
            raise BackupError(
                f"Failed to dump {self._request.database}: the dump holds {wrong} that the server shows. It is not "
                "kept; check the account's grants.",
                reason="incomplete",
            )
        if self._server.log_bin and self.coordinates is None:
            raise BackupError(
                f"Failed to dump {self._request.database}: the dump does not say where the binary log stood. "
                "It is not kept.",
                reason="no_coordinates",
            )

    @property
    def snapshot_at(self) -> dt.datetime:
        """The full second (UTC) by which the client had its snapshot: all that is in it was committed before."""
        # Of an empty database the client writes nothing that shows it.
        seen = self._snapshot_seen or self._ended
        return seen.replace(microsecond=0) + dt.timedelta(seconds=1)

    @property
    def longest_line(self) -> int:
        return self._scanner.longest_line

    @property
    def coordinates(self) -> _dump_client.Coordinates | None:
        return _dump_client.read_coordinates(self._client, head=self._ends.head, tail=self._ends.tail)


__all__ = ("DumpStream",)

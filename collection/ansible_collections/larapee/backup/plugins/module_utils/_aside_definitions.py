# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The definitions of triggers, routines, events and views, which do not follow tables into another schema.

Written by the stock dump client and read by the stock client, so that nothing of them is lost that a dump keeps.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from . import _io, _pipeline, _process
from ._digest import Both, Digest, Ends
from ._errors import BackupError
from ._fill import CLIENTS, LOAD_ARGUMENTS, require_same_server
from ._mysql import _dump_client
from ._mysql._connection import Server, client_arguments
from ._mysql._scan import DumpScanner, difference

KINDS: t.Final = ("views", "triggers", "routines", "events")


@dataclasses.dataclass(frozen=True)
class Definitions:
    """What a file of definitions holds; ``one_time_events`` are not made again when their time has passed."""

    sha256: str
    one_time_events: int
    longest_line: int


class Clients:
    """The stock clients of one server, with one option file."""

    def __init__(self, server: Server, *, options: t.Mapping[str, str], option_file: str) -> None:
        self._server = server
        self._options = options
        self._option_file = option_file

    def find(self) -> None:
        """Raise BackupError unless both are installed, and of the server's vendor."""
        _dump_client.find_client(self._server)
        _dump_client.require_vendor(_process.find_tool(*CLIENTS[self._server.engine]), self._server)

    def write(self, path: str, *, database: str, views: t.Sequence[str], objects: t.Mapping[str, int]) -> Definitions:
        """Write the definitions of *database* to *path*, durably, whole or not at all: as many as *objects* says."""
        client = _dump_client.find_client(self._server)
        commands = _dump_client.definitions_commands(
            client, option_file=self._option_file, options=self._options, database=database, views=views
        )
        digest, scanner = Digest(), DumpScanner()
        temporary = f"{path}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for command in commands:
                ends = Ends()
                taps = Both(Both(digest, scanner), ends)
                results = _pipeline.run_pipeline([command, taps], target=os.dup(descriptor))
                _pipeline.require_success(
                    results,
                    what=f"write the definitions of {database}",
                    advice="Nothing was changed. Grant what it lacks, or drop the broken view, and run it again.",
                )
                _dump_client.check_messages(client, results[0])
                _dump_client.check_trailer(ends.tail)
            scanner.close()
            wrong = difference({kind: objects[kind] for kind in KINDS}, scanner.objects)
            if wrong:
                raise BackupError(
                    f"Failed to write the definitions of {database}: {path} would hold {wrong} that the server shows. "
                    "Nothing was changed; check the account's grants.",
                    reason="incomplete",
                )
            os.fsync(descriptor)
            os.replace(temporary, path)
            _io.fsync_directory(os.path.dirname(path))
        except OSError as exc:
            raise BackupError(
                f"Failed to write {path}: {exc.strerror}. Check the free space and the permissions."
            ) from exc
        finally:
            os.close(descriptor)
            if os.path.exists(temporary):
                os.unlink(temporary)
        return Definitions(digest.sha256, scanner.one_time_events, scanner.longest_line)

    def apply(self, path: str, *, database: str, run_id: str) -> None:
        """Make what *path* defines in *database*, which bears the mark of *run_id*."""
        engine = self._server.engine
        argv = (
            _process.find_tool(*CLIENTS[engine]),
            f"--defaults-file={self._option_file}",
            *client_arguments(self._options),
            "--default-character-set=utf8mb4",
        )
        require_same_server(argv, database, run_id=run_id)
        arguments = (*LOAD_ARGUMENTS[engine], "--max-allowed-packet=1G", "--", database)
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        results = _pipeline.run_pipeline([_pipeline.Command("the database client", (*argv, *arguments))], source=source)
        _pipeline.require_success(
            results,
            what=f"make the definitions of {database} again",
            advice=f"Its rows are there. {path} has the definitions; remove the cause and run it again.",
        )


def require_unchanged(path: str, *, sha256: str) -> None:
    """Raise BackupError unless the definitions in *path* are those that were written."""
    try:
        found = _io.sha256_file(path)[0]
    except OSError as exc:
        found = exc.strerror or ""
    if found != sha256:
        raise BackupError(
            f"Failed to read the definitions {path}: they are not those that were written ({found}). Nothing was "
            "changed. Bring the file back; the tables that were kept are whole.",
            reason="bad_definitions",
        )


__all__ = ("KINDS", "Clients", "Definitions", "require_unchanged")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stock client that reads binary logs through the server, into files as the server has them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import typing as t

from .. import _io, _pipeline, _process
from .._errors import BackupError
from ._connection import Server, client_arguments
from ._dialect import dialect

# The server ends the reader that shows the same id as another one, also a replica: those are small numbers.
_IDS: t.Final = range(4_200_000_000, 4_290_000_000)
_LONGEST_S: t.Final = 6 * 3600.0
# What a server says of a file whose end it did not finish writing, or that it cannot read any more.
_TORN: t.Final = re.compile(
    r"binlog truncated in the middle of event|bogus data in log event|did not pass crc check|bad magic number",
    re.IGNORECASE,
)
_GONE: t.Final = re.compile(
    # Removed from the server's list, and from its disk alone.
    r"Could not find first log file name|File '[^']*' not found|could not open (?:log )?file",
    re.IGNORECASE,
)
_FULL: t.Final = re.compile(r"Could not write into log file|No space left|Errcode: 28|errno 28", re.IGNORECASE)


class LogGoneError(Exception):
    """The server has removed a file that it was asked for."""


@dataclasses.dataclass(frozen=True)
class BinlogClient:
    """An installed client; ``version`` is its own line."""

    path: str
    version: str


def find_client(server: Server) -> BinlogClient:
    """Return the client of the server's own vendor; raise BackupError when only the other one is installed."""
    path = _process.find_tool(*dialect(server).binlog_clients)
    version = _process.run([path, "--version"]).stdout.decode("utf-8", "replace").strip()
    # MariaDB's has a number of its own, and its old name does not name the vendor.
    engine = "mariadb" if "mariadb" in version.lower() or re.search(r"\bVer 3\.\d", version) else "mysql"
    if engine != server.engine:
        raise BackupError(
            f"Failed to choose a client: the server is {server.engine} {server.version}, but {path} is {version}. "
            f"Install the client of {server.engine}.",
            reason="wrong_client",
        )
    return BinlogClient(path=path, version=version)


def fetch_command(
    client: BinlogClient,
    server: Server,
    *,
    option_file: str,
    options: t.Mapping[str, str],
    names: t.Sequence[str],
    directory: str,
) -> list[str]:
    """*options* are those of *option_file*, which has to come first: then no other one is read."""
    return [
        client.path,
        f"--defaults-file={option_file}",
        *client_arguments(options),
        "--read-from-remote-server",
        "--raw",
        f"{dialect(server).slave_id}={_IDS.start + secrets.randbelow(len(_IDS))}",
        f"--result-file={os.path.join(directory, '')}",
        "--",
        *names,
    ]


def fetch(
    client: BinlogClient,
    server: Server,
    *,
    option_file: str,
    options: t.Mapping[str, str],
    names: t.Sequence[str],
    directory: str,
) -> str | None:
    """Read the files *names* into *directory*; return what the server said when one of them has a torn end.

    Then that file is there as far as it could be read, and those after it are not. Raises LogGoneError when the server
    has a file no more, BackupError for everything else.
    """
    command = fetch_command(client, server, option_file=option_file, options=options, names=names, directory=directory)
    done = _process.run(command, timeout=_LONGEST_S)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == 0 and not said:
        return None
    if _GONE.search(said):
        raise LogGoneError(said)
    if done.returncode != 0 and _TORN.search(said):
        return said.splitlines()[-1]
    result = _pipeline.StageResult(name=os.path.basename(client.path), returncode=done.returncode, stderr=said)
    if _FULL.search(said):
        raise BackupError(
            f"Failed to read the binary logs: {_pipeline.describe_failure(result)}. {_io.free_bytes(directory)} bytes "
            f"are free below {os.path.dirname(directory)}; nothing was kept.",
            reason="disk_full",
        )
    raise BackupError(
        f"Failed to read the binary logs: {_pipeline.describe_failure(result)}. Nothing was kept; the next run reads "
        "them all.",
        reason="stage_failed",
    )


__all__ = ("BinlogClient", "LogGoneError", "fetch", "fetch_command", "find_client")

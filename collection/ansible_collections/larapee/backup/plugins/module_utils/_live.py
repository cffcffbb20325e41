# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restore fills what this host backs up: then the latch holds backups still until the shop is open.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from . import _latch
from ._errors import BackupError
from ._mysql._connection import connect, rows
from ._mysql._option_file import describe_server, read_option_file


@dataclasses.dataclass(frozen=True)
class Live:
    """``option_file``: by which this host backs up ``database``; ``path``: the uploads that it archives.

    Where there is no such file, nothing is backed up.
    """

    option_file: str = ""
    database: str = ""
    path: str = ""

    @property
    def is_here(self) -> bool:
        return bool(self.option_file) and os.path.exists(self.option_file)

    def has_database(self, connection: t.Any, options: t.Mapping[str, str], database: str) -> bool:
        """Whether *database*, on the server of *connection*, to which *options* led, is the one."""
        if not self.is_here or database != self.database:
            return False
        try:
            own = read_option_file(self.option_file)
            # A server that was installed anew does not know the account of before.
            if describe_server(own) == describe_server(options):
                return True
            with connect(own) as other:
                return _identity(other) == _identity(connection)
        except BackupError:
            return False

    def has_path(self, path: str) -> bool:
        return self.is_here and bool(self.path) and os.path.realpath(path) == os.path.realpath(self.path)


def hold(state_path: str, *, branch: str, because: str, run_id: str) -> list[str]:
    """Set the latch; return what to tell of it, nothing when it was set before."""
    if not _latch.set_latch(state_path, branch=branch, because=because, run_id=run_id):
        return []
    return [f"Nothing of {branch} is backed up here until larapee.backup.open says that the shop sells."]


def _identity(connection: t.Any) -> tuple[t.Any, ...]:
    (found,) = rows(connection, "SELECT @@hostname, @@port, @@datadir")
    return tuple(found)


__all__ = ("Live", "hold")

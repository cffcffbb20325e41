# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restore fills the very database that this host backs up.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _live
from ._errors import BackupError
from ._mysql._connection import connect, rows
from ._mysql._option_file import describe_server, read_option_file


def is_live_server(connection: t.Any, options: t.Mapping[str, str], *, option_file: str) -> bool:
    """Whether *option_file*, by which this host backs up, leads to the server of *connection*, as *options* did."""
    if not _live.is_backed_up(option_file):
        return False
    try:
        own = read_option_file(option_file)
        # A server that was installed anew does not know the account of before.
        if describe_server(own) == describe_server(options):
            return True
        with connect(own) as other:
            return _identity(other) == _identity(connection)
    except BackupError:
        return False


def _identity(connection: t.Any) -> tuple[t.Any, ...]:
    (found,) = rows(connection, "SELECT @@hostname, @@port, @@datadir")
    return tuple(found)


__all__ = ("is_live_server",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a running server writes its binary log as backups need it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from ._errors import BackupError
from ._mysql._binlog_server import check_settings
from ._mysql._connection import connect, identify
from ._mysql._option_file import read_option_file


def log_info(option_file: str) -> dict[str, t.Any]:
    """What the module ``db_log_info`` returns."""
    with connect(read_option_file(option_file)) as connection:
        server = identify(connection)
        problem, risks = "", []
        try:
            risks = check_settings(connection, server)
        except BackupError as exc:
            if exc.reason != "binlog_settings":
                raise
            problem = str(exc)
    return {
        "ready": not problem,
        "problem": problem,
        "risks": risks,
        "engine": server.engine,
        "server_id": server.server_id,
    }


__all__ = ("log_info",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a snapshot of MariaDB holds all that its position in the binary log says.

When the binary log begins a new file (``max_binlog_size``, ``FLUSH BINARY LOGS``), the server tells the beginning of
the new file as the position of a snapshot before the last transactions of the old file are visible in it (seen on
10.11.19: about one of 7,000 snapshots while four connections wrote). Such a snapshot lacks transactions that no replay
from its position brings back. Every other position is written down together with the visibility of its transactions.

So a position before which its file holds nothing is believed only where commits were held still for a moment
(``BACKUP STAGE BLOCK_COMMIT``, some milliseconds) after the last transaction before it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._binlog import _gtid
from ._connection import rows

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

# Sales wait as long as this does: for a commit that hangs (a semi-synchronous replica that is gone), not at all.
_WAIT_SECONDS: t.Final = 2
_FILE_BEGINS: t.Final = 4
# Those of ``BACKUP STAGE`` before commits are held still.
STAGES: t.Final = ("START", "FLUSH", "BLOCK_DDL")


def settled(connection: Connection, *stages: str) -> str | None:
    """Hold commits still for a moment and return the GTIDs of all that is visible then; None where that cannot be.

    *stages*: those of ``BACKUP STAGE`` before, from where *connection* is; it is in none afterwards.
    """
    import pymysql

    ((before,),) = rows(connection, "SELECT @@SESSION.lock_wait_timeout")
    try:
        rows(connection, "SET SESSION lock_wait_timeout = %s", [_WAIT_SECONDS])
        for stage in (*stages, "BLOCK_COMMIT"):
            rows(connection, f"BACKUP STAGE {stage}")
        ((state,),) = rows(connection, "SELECT @@GLOBAL.gtid_binlog_pos")
    except pymysql.MySQLError:
        return None
    finally:
        with contextlib.suppress(pymysql.MySQLError):
            rows(connection, "BACKUP STAGE END")
        rows(connection, "SET SESSION lock_wait_timeout = %s", [before])
    return str(state)


def state_at(connection: Connection, file: str, position: int, *, settled_state: str | None) -> str | None:
    """Return the GTIDs before a snapshot's position; None where the snapshot may lack some of their transactions.

    *settled_state*: what ``settled`` returned before the snapshot was opened.
    """
    ((state, beginning),) = rows(
        connection,
        "SELECT BINLOG_GTID_POS(%s, %s), BINLOG_GTID_POS(%s, %s)",
        [file, position, file, _FILE_BEGINS],
    )
    # Not even a state: the position is that of the old file with the name of the new one, or the file is gone.
    if state is None or beginning is None:
        return None
    reached, begun = (_gtid.parse("mariadb", str(each)) for each in (state, beginning))
    known = None if settled_state is None else _gtid.parse("mariadb", settled_state)
    return str(reached) if reached != begun or reached == known else None


__all__ = ("STAGES", "settled", "state_at")

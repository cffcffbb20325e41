# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sealing in a process of its own, which is killed at a point.

python -m tests.pitr.seal_once POINT REQUEST.json
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _seal
from ansible_collections.larapee.backup.plugins.module_utils._binlog import _container
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _binlog_server
from ansible_collections.larapee.backup.plugins.module_utils._seal_spool import LogReader

if TYPE_CHECKING:
    from collections.abc import Callable

# In the order in which a sealing comes by.
FLUSHED = "flushed"  # the server writes the next file
FETCHED = "fetched"  # the closed ones lie in the spool, in clear
PACKING = "packing"  # part of them is compressed and encrypted
PLACED = "placed"  # artifact and signature are there, the manifest is not
COMMITTED = "committed"  # the manifest is there, and nothing after it was done
POINTS = (FLUSHED, FETCHED, PACKING, PLACED, COMMITTED)


def die(*_any: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(call: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(call)
    def called(*arguments: Any, **options: Any) -> None:
        call(*arguments, **options)
        die()

    return called


def arm(point: str) -> None:
    if point == FLUSHED:
        _binlog_server.begin_next_file = die_after(_binlog_server.begin_next_file)  # type: ignore[assignment]
    elif point == FETCHED:
        real_fetch = LogReader.fetch

        def fetch(reader: LogReader, names: list[str]) -> None:
            real_fetch(reader, names)
            # Looking at the file that the server writes is no sealing yet.
            if len(names) > 1:
                die()

        LogReader.fetch = fetch  # type: ignore[method-assign,assignment]
    elif point == PACKING:
        _container._write_member = die_after(_container._write_member)  # type: ignore[assignment]
    else:
        real_link = os.link

        def link(source: str, target: str) -> None:
            manifest = target.endswith(".manifest.json")
            if manifest and point == PLACED:
                die()
            real_link(source, target)
            if manifest:
                die()

        os.link = link  # type: ignore[assignment]


def main() -> None:
    fields = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    arm(sys.argv[1])
    _seal.seal_binlogs(_seal.SealRequest(**{**fields, "recipients": tuple(fields["recipients"])}))


if __name__ == "__main__":
    main()

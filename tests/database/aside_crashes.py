# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a database aside, or brings it back, and dies before its Nth change: to the server, or to a file.

``aside_crashes.py keep|bring_back STATE OPTION_FILE DATABASE N``; ends with 0 when there was no Nth change.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _aside_definitions, _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _marker, _moving

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGES = ("DROP", "CREATE", "RENAME", "INSERT")


def main() -> None:
    what, state, option_file, database, number = sys.argv[1:]
    left = [int(number)]

    def is_last() -> bool:
        left[0] -= 1
        return left[0] == 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if is_last():
                die()
            return function(*arguments, **keywords)

        return call

    def counted_rows(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(connection: Any, query: str, *arguments: Any) -> Any:
            if query.startswith(CHANGES) and is_last():
                die()
            return function(connection, query, *arguments)

        return call

    apply = _aside_definitions.Clients.apply

    def half_applied(clients: Any, path: str, **keywords: Any) -> None:
        if is_last():
            text = Path(path).read_bytes()
            half = Path(path).with_suffix(".half")
            half.write_bytes(text[: text.index(b"\n", len(text) // 2)])
            with contextlib.suppress(BackupError):
                apply(clients, str(half), **keywords)
            die()
        apply(clients, path, **keywords)

    for module in (_db_aside, _moving, _marker):
        module.rows = counted_rows(module.rows)  # type: ignore[attr-defined]
    _aside_definitions.Clients.apply = half_applied  # type: ignore[method-assign]
    os.replace = counted(os.replace)
    os.unlink = counted(os.unlink)
    request = _db_aside.AsideRequest(
        branch="branch-001",
        option_file=option_file,
        database=database,
        aside=f"{database}_before_restore",
        state_path=state,
        run_id="11111111-2222-4333-8444-555555555555",
        confirm="branch-001",
    )
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    {"keep": _db_aside.keep, "bring_back": _db_aside.bring_back}[what](request)


if __name__ == "__main__":
    main()

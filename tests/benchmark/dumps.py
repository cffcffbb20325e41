# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database: the plan's own line, this project in both formats, and peers where they are installed."""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING

from .estate import process
from .measure import Contestant, Stage, makes_nothing, shell
from .shop_schema import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .estate import Estate

PLAN = "plan: mysqldump | gzip"
CLIENT = "mysqldump > /dev/null"
OURS_GZIP = "ours, gzip format"
OURS_ZSTD = "ours, zstd"
MYDUMPER = "mydumper -t 2, then tar | zstd -3"
PHYSICAL = "mariadb-backup | zstd -3"


def stage(estate: Estate) -> Stage:
    plan = (
        f"mysqldump --defaults-file={shlex.quote(str(estate.option_file))} --single-transaction --quick"
        f" --lock-tables=false {DATABASE}"
    )

    def ours(compression: str) -> Callable[[Path], Sequence[str]]:
        return process(
            "dump",
            lambda: {
                **estate.making,
                "database": DATABASE,
                "option_file": str(estate.option_file),
                "compression": compression,
            },
        )

    return Stage(
        contestants=(
            Contestant(PLAN, shell(f"{plan} | gzip > {{scratch}}/db.sql.gz")),
            Contestant(OURS_GZIP, ours("gzip")),
            Contestant(OURS_ZSTD, ours("zstd")),
            Contestant(CLIENT, shell(f"{plan} > /dev/null"), size=makes_nothing),
            *_peers(estate),
        )
    )


def _peers(estate: Estate) -> list[Contestant]:
    server = estate.required_server
    socket = shlex.quote(str(server.socket))
    peers = {
        "mydumper": (
            MYDUMPER,
            f"mydumper --socket {socket} --user root --database {DATABASE} --threads 2 --outputdir {{scratch}}/raw"
            " && tar -C {scratch}/raw -c . | zstd -q -T0 -3 -o {scratch}/db.tar.zst && rm -r {scratch}/raw",
        ),
        "mariadb-backup": (
            PHYSICAL,
            f"mariadb-backup --no-defaults --backup --stream=mbstream --user=root --socket={socket}"
            f" --datadir={shlex.quote(str(server.datadir))} --target-dir={{scratch}}"
            " | zstd -q -T0 -3 -o {scratch}/db.zst",
        ),
    }
    return [Contestant(name, shell(script)) for tool, (name, script) in peers.items() if shutil.which(tool)]


__all__ = ("CLIENT", "MYDUMPER", "OURS_GZIP", "OURS_ZSTD", "PHYSICAL", "PLAN", "stage")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop that sells, for what is measured of its binary log: the demo's shop, with one seller who never rests."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import open_shop
from larapee_runner.demo.till import Till

from .shop_schema import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from larapee_runner.demo.shop import Shop

ORDERS_BEFORE = 5000
# Only so that the day is made faster; what it leaves in the log is the same.
_CARELESS = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2")
_KEEPS_A_WEEK = "--expire-logs-days=7"
_SELLING_S = 3600.0


@dataclass(frozen=True)
class Day:
    """``base`` is a stock dump of the morning; the log from ``start`` in the first file on is the day."""

    base: Path
    logs: tuple[Path, ...]
    start: int

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.logs)


@contextmanager
def opened_shop(
    directory: Path, *, seed: int, server_args: Sequence[str] = (_KEEPS_A_WEEK,)
) -> Iterator[tuple[ThrowawayServer, Shop]]:
    with ThrowawayServer(directory, extra_args=server_args) as server:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        yield server, open_shop(server, database=DATABASE, orders=ORDERS_BEFORE, seed=seed, last_day=yesterday)


def sell(server: ThrowawayServer, shop: Shop, *, sales: int) -> None:
    with Till(server, shop, user="root", password="", pause_s=0) as till:
        till.wait_until_sold(sales, timeout_s=_SELLING_S)


def make_day(directory: Path, *, sales: int, seed: int, tell: Callable[[str], None]) -> Day:
    """Sell on a server that is gone when this returns."""
    tell(f"Selling: {sales} sales.")
    base, logs = directory / "base.sql", directory / "logs"
    logs.mkdir(parents=True)
    with opened_shop(directory / "server", seed=seed, server_args=_CARELESS) as (server, shop):
        ask = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root", "--batch", "--skip-column-names"]

        def sql(statement: str) -> list[str]:
            return subprocess.run([*ask, "-e", statement], check=True, capture_output=True, text=True).stdout.split()

        sql("FLUSH BINARY LOGS")
        dump = ["mariadb-dump", "--no-defaults", f"--socket={server.socket}", "--user=root", "--single-transaction"]
        with base.open("wb") as output:
            subprocess.run([*dump, "--routines", "--events", "--hex-blob", DATABASE], check=True, stdout=output)
        first, start = sql("SHOW MASTER STATUS")[:2]
        sell(server, shop, sales=sales)
        sql("FLUSH BINARY LOGS")
        last = sql("SHOW MASTER STATUS")[0]
        for path in sorted(server.datadir.glob("mysql-bin.[0-9]*")):
            if first <= path.name < last:
                shutil.copy(path, logs)
    return Day(base, tuple(sorted(logs.iterdir())), int(start))


__all__ = ("ORDERS_BEFORE", "Day", "make_day", "opened_shop", "sell")

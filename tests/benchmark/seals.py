# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing what a busy branch wrote into its binary log in five minutes."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._dump import dump_database
from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest
from larapee_runner.demo.accounts import create_log_reader
from larapee_runner.demo.server import create_operator

from .day import opened_shop, sell
from .estate import OPERATOR, OPERATOR_PASSWORD, process
from .measure import Contestant, Stage
from .shop_schema import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .estate import Estate

OURS = "ours, sealing five minutes"
# 20,000 sales in ten hours are 167 in five minutes.
SALES = 250


@contextmanager
def stage(estate: Estate, *, seed: int) -> Iterator[Stage]:
    place = estate.root / "sealed"
    with opened_shop(estate.root / "selling", seed=seed) as (server, shop):
        create_operator(server, database=DATABASE, user=OPERATOR, password=OPERATOR_PASSWORD)
        create_log_reader(server, password=OPERATOR_PASSWORD)
        operator = server.write_option_file(place / "operator.cnf", user=OPERATOR, password=OPERATOR_PASSWORD)
        reader = server.write_option_file(place / "binlog.cnf", user="larapee-binlog", password=OPERATOR_PASSWORD)

        def making() -> dict[str, Any]:
            own_place = {"local_path": str(place / "place"), "state_path": str(place / "state")}
            return {**estate.making, **own_place, "database": DATABASE}

        with closing(server.connect()) as connection, connection.cursor() as cursor:
            # The first increment begins with the file in which the full lies: not with how the shop was filled.
            cursor.execute("FLUSH BINARY LOGS")
        dump_database(DumpRequest(**making(), option_file=str(operator)))
        yield Stage(
            (
                Contestant(
                    OURS,
                    process("seal", lambda: {**making(), "option_file": str(reader)}),
                    server_pid=lambda: server.pid,
                ),
            ),
            # With one seed twice, the till would sell the same again, and the shop would refuse it.
            prepare=lambda number: sell(server, replace(shop, seed=seed + number), sales=SALES),
        )


__all__ = ("OURS", "SALES", "stage")

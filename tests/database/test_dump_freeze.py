# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that runs when a dump begins must not keep the shop from selling until the dump ends."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._mysql import _ddl_guard
from tests.database.estate import Estate, FakeTools, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome

# The patience of the watch, its pause, and what a loaded machine adds.
LONGEST_WAIT_S = 15.0
TRIES = 5
AT_WORK = (
    "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER%' "
    "AND (STATE LIKE 'alter%' OR STATE LIKE 'copy%')"
)


@pytest.mark.parametrize("how", ["ADD INDEX (note(50))", "FORCE, ALGORITHM=COPY"], ids=["inplace", "copy"])
def test_a_migration_at_work_when_the_dump_begins(
    estate: Estate, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    sql(
        estate.source,
        "INSERT INTO larapos.orders (total, note) SELECT seq, REPEAT('x', 200) FROM larapos.seq_1_to_400000",
    )
    # The dump has work for longer than the migration and the patience with it, on a fast machine too.
    fake_tools.dump_client('$real "$@" || exit; exec sleep 8')
    # It lets a migration that is nearly done end before the dump.
    monkeypatch.setattr(_ddl_guard.DdlGuard, "settle", lambda _guard: None)
    for _try in range(TRIES):
        outcome, longest_wait = dump_while(estate, f"ALTER TABLE larapos.orders {how}", monkeypatch)
        assert outcome.manifest is not None
        assert longest_wait < LONGEST_WAIT_S
        if any(warning.startswith("Attempt 1: a definition changed") for warning in outcome.warnings):
            return
    pytest.fail(f"the migration was over before each of {TRIES} dumps held it")


def dump_while(estate: Estate, statement: str, monkeypatch: pytest.MonkeyPatch) -> tuple[DumpOutcome, float]:
    """Dump while *statement* is at work and the shop sells; returns what came of it and the longest sale in seconds."""
    migration = threading.Thread(target=sql, args=(estate.source, statement))
    real = _ddl_guard.hold_ddl_off

    @contextlib.contextmanager
    def hold(*arguments: Any) -> Iterator[_ddl_guard.DdlGuard]:
        if migration.ident is None:
            migration.start()
            while migration.is_alive() and sql(estate.source, AT_WORK) == "0\n":
                pass
        with real(*arguments) as guard:
            yield guard

    over = threading.Event()
    waits: list[float] = []

    def sell() -> None:
        while not over.is_set():
            began = time.monotonic()
            sql(estate.source, "INSERT INTO larapos.orders (total) VALUES (1)")
            waits.append(time.monotonic() - began)

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(_ddl_guard, "hold_ddl_off", hold)
            outcome = estate.dump(fingerprint=False)
    finally:
        over.set()
        seller.join()
        migration.join()
    return outcome, max(waits)

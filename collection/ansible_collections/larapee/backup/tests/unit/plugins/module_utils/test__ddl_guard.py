# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of MySQL's locks; against real servers it is tried in tests/database and tests/acceptance."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _ddl_guard
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = "LOCK INSTANCE FOR BACKUP"
DENIED = (1227, "Access denied; you need (at least one of) the BACKUP_ADMIN privilege(s) for this operation")
TIMEOUT = (1205, "Lock wait timeout exceeded; try restarting transaction")


class Driver:
    """Stands for the driver's connection: remembers statements, and fails those of *errors* in their turn."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.errors: list[tuple[int, str] | None] = []

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        yield self

    def execute(self, statement: str, _arguments: object = ()) -> None:
        if statement.startswith("SET "):
            return
        self.statements.append(statement)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise pymysql.err.OperationalError(*error)

    def fetchall(self) -> list[Any]:
        return []


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(_ddl_guard, "connect", lambda _options: contextlib.nullcontext(made))
    return made


def hold(engine: str) -> contextlib.AbstractContextManager[_ddl_guard.DdlGuard]:
    return _ddl_guard.hold_ddl_off({}, Server(engine=engine, version="", server_id=1, log_bin=True))


def test_mysqls_lock_is_not_held_while_the_client_takes_its_snapshot(driver: Driver) -> None:
    """DDL that waits for it would hold up the client's global read lock, and with it every sale, for ever."""
    with hold("mysql") as guard:
        assert driver.statements == [LOCK, "UNLOCK INSTANCE"]
        assert guard.mode == "fingerprint"
        guard.snapshot_taken()
        guard.snapshot_taken()
        assert driver.statements == [LOCK, "UNLOCK INSTANCE", LOCK]
        assert guard.mode == "block_ddl"
        assert not guard.holds_writes


def test_without_the_privilege_mysqls_lock_is_not_tried_again(driver: Driver) -> None:
    driver.errors = [DENIED]
    with hold("mysql") as guard:
        guard.snapshot_taken()
        assert driver.statements == [LOCK]
        assert guard.mode == "fingerprint"


def test_running_ddl_refuses_the_dump_on_mysql(driver: Driver) -> None:
    driver.errors = [TIMEOUT]
    with pytest.raises(BackupError, match="has been changing for 30 s") as caught, hold("mysql"):
        pass
    assert caught.value.reason == "schema_changed"


def test_ddl_that_starts_with_the_dump_and_goes_on_ends_the_dump(driver: Driver) -> None:
    driver.errors = [None, None, TIMEOUT]
    with hold("mysql") as guard, pytest.raises(BackupError, match="Lock wait timeout exceeded") as caught:
        guard.snapshot_taken()
    assert caught.value.reason == "schema_changed"


def test_mariadbs_stage_is_held_from_the_start_and_holds_writes_too(driver: Driver) -> None:
    with hold("mariadb") as guard:
        assert driver.statements[-1] == "BACKUP STAGE BLOCK_DDL"
        assert (guard.mode, guard.holds_writes) == ("block_ddl", True)
        guard.snapshot_taken()
    assert LOCK not in driver.statements


def test_what_is_no_refusal_of_the_lock_is_an_error(driver: Driver) -> None:
    driver.errors = [(2013, "Lost connection to server during query")]
    with pytest.raises(pymysql.err.OperationalError), hold("mysql"):
        pass

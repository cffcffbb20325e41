# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tills that sell and a thread that changes definitions, all at once, from one seed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

import pymysql

from tests.engines.migrations import migrations
from tests.engines.shop import DATABASE, OTHER, Till, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.engines.servers import Server

TILLS = 3
PATIENCE_S = 90.0
# What happens when others work on the same rows and definitions: deadlocks, waits, changed definitions.
EXPECTED = {1205, 1213, 1412, 1615, 1020, 1684}
# The server was killed.
GONE = {2006, 2013, 1053}


class Workload:
    """Each thread goes through all of its actions in random order, again and again, until it is stopped."""

    def __init__(self, server: Server, *, seed: int) -> None:
        self.server, self.seed = server, seed
        self.done: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self.errors: list[str] = []
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._calm = threading.Event()
        self._calm.set()
        self._busy = [threading.Lock() for _thread in range(TILLS + 1)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.server.sql(schema(self.server.engine))
        for number in range(TILLS):
            self._threads.append(threading.Thread(target=self._sell, args=(number,)))
        self._threads.append(threading.Thread(target=self._migrate))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._calm.set()
        for thread in self._threads:
            thread.join()

    def go_round(self) -> None:
        """Return when everything that can happen has happened once more."""
        known = set(self._names())
        with self._counting:
            before = Counter(self.done)
        deadline = time.monotonic() + PATIENCE_S
        while missing := {name for name in known if self.done[name] <= before[name]}:
            assert time.monotonic() < deadline, f"not once in {PATIENCE_S:.0f} s: {sorted(missing)}"
            assert not self.errors, self.errors
            time.sleep(0.02)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is written within: every transaction has ended, none begins."""
        self._calm.clear()
        with contextlib.ExitStack() as held:
            for lock in self._busy:
                held.enter_context(lock)
            assert not self.errors, self.errors
            yield
        self._calm.set()

    @contextlib.contextmanager
    def no_migration(self) -> Iterator[None]:
        """Definitions stay as they are within, while the tills sell."""
        with self._busy[TILLS]:
            yield

    def _names(self) -> list[str]:
        with contextlib.closing(self.server.connect(database=DATABASE)) as connection:
            tills = Till(connection, engine=self.server.engine, seed="names").actions()
        return [*tills, *migrations(self.server.engine, 0, "names")]

    def _sell(self, number: int) -> None:
        with self._reported(), contextlib.closing(self.server.connect(database=DATABASE)) as connection:
            connection.autocommit(True)
            till = Till(connection, engine=self.server.engine, seed=f"{self.seed}/{number}")
            actions = list(till.actions().items())
            while not self._stop.is_set():
                till.random.shuffle(actions)
                for name, action in actions:
                    self._do(number, name, action, connection)

    def _migrate(self) -> None:
        chosen = random.Random(f"{self.seed}/migrations")  # noqa: S311 - repeated by its seed
        with self._reported(), contextlib.ExitStack() as held:
            connections = {
                database: held.enter_context(contextlib.closing(self.server.connect(database=database or None)))
                for database in (DATABASE, OTHER, "")
            }
            for connection in connections.values():
                connection.autocommit(True)
            number = 0
            while not self._stop.is_set():
                number += 1
                found = list(migrations(self.server.engine, number, f"{self.seed}/{number}").items())
                chosen.shuffle(found)
                for name, steps in found:

                    def run(steps: list[tuple[str, str]] = steps) -> None:
                        for database, statement in steps:
                            with connections[database].cursor() as cursor:
                                cursor.execute(statement)

                    self._do(TILLS, name, run, connections[DATABASE])

    def _do(
        self,
        number: int,
        name: str,
        action: Callable[[], None],
        connection: pymysql.connections.Connection[pymysql.cursors.Cursor],
    ) -> None:
        self._calm.wait()
        with self._busy[number]:
            if self._stop.is_set():
                return
            try:
                action()
            except pymysql.MySQLError as error:
                if not isinstance(error.args[0], int) or error.args[0] not in EXPECTED:
                    raise
                with self._counting:
                    self.refused[error.args[0]] += 1
                connection.rollback()
            else:
                with self._counting:
                    self.done[name] += 1

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.MySQLError, OSError) as error:
            if error.args[0] not in GONE and not self._stop.is_set():
                self.errors.append(f"{threading.current_thread().name}: {error!r}")


__all__ = ("Workload",)

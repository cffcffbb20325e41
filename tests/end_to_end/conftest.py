# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers, and for each test a branch whose state, runs, artifacts, home and keys lie below its own directory."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.accounts import create_log_reader
from larapee_runner.demo.server import ThrowawayServer, create_operator, create_restorer

from .branch import ROOT, Branch, Keys
from .processes import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_numbers = itertools.count(1)

# 2 MiB of dump: more than the pipes between its stages hold, so that a halted one halts the dump client.
GOODS = (
    "CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
    "USE {name}",
    "CREATE TABLE receipts (id INT PRIMARY KEY, number VARCHAR(40), note TEXT, image LONGBLOB)",
    "INSERT INTO receipts SELECT seq, CONCAT('B01-20261122-', LPAD(seq, 4, '0')), REPEAT(MD5(seq), 20), X'00FF0A' "
    "FROM seq_1_to_3000",
    "CREATE TABLE counters (receipt_count INT)",
    "CREATE VIEW receipt_numbers AS SELECT number FROM receipts",
    "CREATE TRIGGER count_receipts AFTER INSERT ON receipts FOR EACH ROW INSERT INTO counters VALUES (1)",
    "CREATE PROCEDURE newest() SELECT MAX(number) FROM receipts",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def make_branch(server: ThrowawayServer, keys: Keys) -> Iterator[Callable[[Path], Branch]]:
    made: list[Branch] = []

    def make(directory: Path) -> Branch:
        number = next(_numbers)
        database = f"pos_{number}"
        # Ordinary words, so that nobody has to ask how they are written where.
        passwords = {role: f"Pw{os.urandom(12).hex()}" for role in ("operator", "log_reader", "restorer")}
        operator, log_reader, restorer = (f"{role}_{number}" for role in passwords)
        with server.connect() as connection, connection.cursor() as cursor:
            for statement in GOODS:
                cursor.execute(statement.format(name=database))
        create_operator(server, database=database, user=operator, password=passwords["operator"])
        create_log_reader(server, user=log_reader, password=passwords["log_reader"])
        create_restorer(server, database=f"{database}_restored", user=restorer, password=passwords["restorer"])
        branch = Branch(
            directory=directory,
            server=server,
            database=database,
            keys=keys,
            operator=operator,
            log_reader=log_reader,
            passwords=passwords,
            environ=environment(directory),
        )
        server.write_option_file(branch.operator_file, user=operator, password=passwords["operator"])
        server.write_option_file(branch.binlog_file, user=log_reader, password=passwords["log_reader"])
        server.write_option_file(branch.restorer_file, user=restorer, password=passwords["restorer"])
        branch.write_inventory()
        branch.write_files()
        made.append(branch)
        return branch

    yield make
    for branch in made:
        branch.end()
        # A test that failed must not leave its run to the tests after it.
        for pid in below(branch.directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with server.connect() as connection, connection.cursor() as cursor:
            for name in (branch.database, branch.restored):
                cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def branch(make_branch: Callable[[Path], Branch], tmp_path: Path) -> Branch:
    return make_branch(tmp_path)


def environment(directory: Path) -> dict[str, str]:
    """What the processes get to see. Coverage is measured where the parts are tested; here it would double the time."""
    home, temporary, programs = directory / "home", directory / "tmp", directory / "bin"
    for each in (home, temporary, programs):
        each.mkdir()
    return {
        # The search path is all that the project hands on to every program: by it each is known as ours.
        "PATH": os.pathsep.join([str(programs), str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(ROOT / "runner" / "src"),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "LARAPEE_BACKUP_STATE_DIR": str(directory / "state"),
        "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{directory / 'table' / 'runs.sqlite'}",
    }

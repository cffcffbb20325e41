# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from larapee_runner.demo.accounts import create_log_reader
from larapee_runner.demo.goods import receipt_image
from larapee_runner.demo.server import ThrowawayServer, create_operator
from tests.end_to_end.branch import Branch, Keys
from tests.end_to_end.conftest import environment
from tests.lab_pos.lab import LabPos
from tests.shop.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Iterator[Shop]:
    """It has sold, was backed up in full, and sells on."""
    directory = tmp_path / "shop"
    directory.mkdir()
    with ThrowawayServer(tmp_path / "server") as server, LabPos(server, directory) as lab:
        (directory / "etc/nginx").mkdir(parents=True)
        (directory / "etc/nginx/pos.conf").write_text("listen 443;\n", encoding="ascii")
        passwords = {role: f"Pw{os.urandom(12).hex()}" for role in ("operator", "log_reader", "restorer")}
        branch = Branch(
            directory=directory,
            server=server,
            database=lab.database,
            keys=keys,
            operator="operator",
            log_reader="log_reader",
            passwords=passwords,
            environ=environment(directory),
        )
        create_operator(server, database=lab.database, user="operator", password=passwords["operator"])
        create_log_reader(server, user="log_reader", password=passwords["log_reader"])
        server.write_option_file(branch.operator_file, user="operator", password=passwords["operator"])
        server.write_option_file(branch.binlog_file, user="log_reader", password=passwords["log_reader"])
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER restorer@localhost IDENTIFIED BY %s", (passwords["restorer"],))
            cursor.execute("GRANT ALL ON *.* TO restorer@localhost WITH GRANT OPTION")
        server.write_option_file(branch.restorer_file, user="restorer", password=passwords["restorer"])
        with Shop(lab, branch) as opened:
            opened.write_inventory()
            opened.work("start")
            yield opened


@pytest.fixture(scope="session")
def slip() -> bytes:
    return receipt_image(random.Random(11))  # noqa: S311 - repeated by its seed

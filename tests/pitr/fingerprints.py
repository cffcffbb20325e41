# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop of which fingerprints are taken by the operator's account, and a copy of it to compare with."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import connect, identify
from ansible_collections.larapee.backup.plugins.module_utils._mysql._option_file import read_option_file
from larapee_runner.demo.server import create_operator
from tests.database.estate import sql
from tests.pitr.zoo import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._fingerprint import Fingerprint
    from larapee_runner.demo.server import ThrowawayServer

QUERIES = {
    "gross": "SELECT till, SUM(total) AS gross FROM orders GROUP BY till",
    "empty": "SELECT id FROM emptied",
}
RECEIPT = "SELECT MAX(number) FROM orders"
EVERYTHING = 2**31


class Shop:
    """The zoo on a server, filled anew when this is made."""

    def __init__(self, server: ThrowawayServer, root: Path, *, schema: str = SCHEMA) -> None:
        self.server = server
        sql(server, f"DROP DATABASE IF EXISTS larapos; DROP DATABASE IF EXISTS copy; RESET MASTER; {schema}")
        create_operator(server, database="larapos", password="x")
        path = server.write_option_file(root / "operator.cnf", user="larapee-backup", password="x")
        self.options = read_option_file(str(path))

    def sql(self, text: str, database: str = "larapos") -> str:
        return sql(self.server, text, database=database)

    def take(
        self,
        *,
        queries: Mapping[str, str] = QUERIES,
        receipt: str = RECEIPT,
        checksums: bool = True,
        limit: int = EVERYTHING,
    ) -> Fingerprint:
        with connect(self.options) as connection:
            server = identify(connection)
        return _fingerprint.take(
            self.options,
            server,
            "larapos",
            queries=queries,
            receipt_query=receipt,
            checksums=checksums,
            limit_bytes=limit,
        )

    def copy(self) -> None:
        self.copy_to(self.server)

    def copy_to(self, server: ThrowawayServer) -> None:
        """The database under the name ``copy``, by the stock clients."""
        sql(server, "DROP DATABASE IF EXISTS copy; CREATE DATABASE copy CHARACTER SET utf8mb4")
        dump = ["mariadb-dump", *_common(self.server), "--single-transaction", "--hex-blob", "larapos"]
        text = subprocess.run(dump, check=True, capture_output=True).stdout
        subprocess.run(["mariadb", *_common(server), "--max-allowed-packet=1G", "copy"], input=text, check=True)


def _common(server: ThrowawayServer) -> tuple[str, ...]:
    return ("--no-defaults", f"--socket={server.socket}", "--user=root", "--default-character-set=utf8mb4")


def compare(expected: Fingerprint, server: ThrowawayServer, database: str = "copy") -> list[str]:
    """How *database* differs from *expected* as it comes out of its file."""
    connection = server.connect()
    try:
        return _fingerprint.compare(_fingerprint.from_bytes(_fingerprint.to_bytes(expected)), connection, database)
    finally:
        connection.close()


__all__ = ("EVERYTHING", "QUERIES", "RECEIPT", "Shop", "compare")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's wheel cannot import the collection; what it grants has to be the same for all that."""

from __future__ import annotations

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._mysql._accounts import wanted
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server
from larapee_runner.demo import accounts


@pytest.mark.parametrize(
    ("role", "schema", "everywhere"),
    [
        ("operator", accounts.OPERATOR_GRANTS, accounts.OPERATOR_GLOBAL_GRANTS),
        ("restorer", accounts.RESTORER_GRANTS, accounts.RESTORER_GLOBAL_GRANTS),
    ],
)
def test_demo_grants_what_the_collection_does(role: str, schema: str, everywhere: str) -> None:
    server = Server(engine="mariadb", version="10.11.19-MariaDB", server_id=1, log_bin=True)
    privileges = wanted(role, server=server, database="pos").privileges
    assert privileges["`pos`.*"] == frozenset(schema.split(", "))
    assert privileges["*.*"] == frozenset(everywhere.split(", "))

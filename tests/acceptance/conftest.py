# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two MySQL servers for all tests, and a shop that each test finds as new; run by `scripts/engine-leg mysql`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.mysql_shop import Shop
from tests.engines.branch import Keys, make_keys
from tests.engines.servers import MysqlServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MysqlServer]:
    template = MysqlServer.make_template(tmp_path_factory.mktemp("template") / "data")

    def make(*arguments: str) -> MysqlServer:
        return MysqlServer(*arguments, template=template)

    return make


@pytest.fixture(scope="session")
def source(make_server: Callable[..., MysqlServer]) -> Iterator[MysqlServer]:
    with make_server("--server-id=1") as server:
        yield server


@pytest.fixture(scope="session")
def target(make_server: Callable[..., MysqlServer]) -> Iterator[MysqlServer]:
    with make_server("--server-id=2") as server:
        yield server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def shop(source: MysqlServer, target: MysqlServer, keys: Keys, tmp_path: Path) -> Shop:
    return Shop(source=source, target=target, keys=keys, root=tmp_path)


@pytest.fixture
def fake_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a program in front of a client: it answers --version and --help truly and else runs what it is given."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin")

    def make(name: str, body: str) -> None:
        path = directory / name
        asked = f'real=/usr/bin/{name}\ncase "$*" in *--version*|*--help*) exec $real "$@" ;; esac'
        path.write_text(f"#!/bin/bash\n{asked}\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    return make

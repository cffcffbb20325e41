# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are not the one that was sealed, though names, positions and GTIDs may be the same: each is a gap."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _seal_join
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import sql
from tests.pitr.sealing import SealingBranch, require_healed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.database.estate import Keys


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThrowawayServer]:
    running = ThrowawayServer(tmp_path / "server")
    running.start()
    try:
        yield running
    finally:
        running.destroy()


@pytest.fixture
def branch(server: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=server, target=target, keys=keys, root=tmp_path)


def test_reset_master(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell()
    branch.increment()
    sql(branch.source, "RESET MASTER")
    branch.sell()
    assert "the binary log went back: the server writes mysql-bin.000001" in branch.gap()
    require_healed(branch, because="the binary log went back")


def test_reset_master_that_caught_up_with_the_numbers(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    last = branch.increment()
    sql(branch.source, "RESET MASTER")
    for _file in range(6):
        branch.sell()
        sql(branch.source, "FLUSH BINARY LOGS")
    assert last.position["file"] in branch.logs()
    assert "the binary log was reset, or the server was rolled back" in branch.gap()
    require_healed(branch, because="the binary log was reset")


def test_reset_master_after_a_full_that_nothing_followed(branch: SealingBranch) -> None:
    full = branch.full()
    sql(branch.source, "RESET MASTER")
    assert full.artifact in branch.gap()
    require_healed(branch, because=full.artifact)


@pytest.mark.parametrize("server_id", [1, 7], ids=["the-same-id", "another-id"])
@pytest.mark.parametrize("after", ["full", "increment"])
def test_a_server_built_anew(
    branch: SealingBranch, target: ThrowawayServer, keys: Keys, tmp_path: Path, server_id: int, after: str
) -> None:
    """By the same steps as the first one: the same names, positions and GTIDs come again."""
    branch.full()
    if after == "increment":
        branch.sell()
        branch.increment()
    branch.source.kill()
    time.sleep(0 if after == "increment" else 1.1)
    with ThrowawayServer(tmp_path / "anew", server_id=server_id) as anew:
        again = SealingBranch(source=anew, target=target, keys=keys, root=tmp_path)
        for _sale in range(2):
            again.sell()
        if after == "increment":
            sql(anew, "FLUSH BINARY LOGS")
            again.sell()
        if server_id == 7:
            assert "another server, with server_id 7" in again.gap()
        else:
            with pytest.MonkeyPatch.context() as patch:
                # Servers are not built anew within a minute; the clocks of tests cannot wait for one.
                patch.setattr(_seal_join, "_CLOCKS_DIFFER_S", 0.0)
                again.gap()
        require_healed(again, because="")


@pytest.mark.parametrize("then", ["sold", "idle", "caught-up", "caught-up-and-idle"])
def test_a_data_directory_rolled_back_to_a_copy(branch: SealingBranch, tmp_path: Path, then: str) -> None:
    """The server gives the same GTIDs again, to other sales, in files of the same names and sizes."""
    branch.full()
    branch.sell()
    branch.increment()
    branch.source.stop()
    copy = tmp_path / "copy"
    shutil.copytree(branch.source.datadir, copy)
    branch.source.start()
    branch.sell(2, note="kept")
    sealed = branch.increment()
    branch.source.kill()
    shutil.rmtree(branch.source.datadir)
    copy.rename(branch.source.datadir)
    time.sleep(1.1)
    branch.source.start()
    if then != "idle":
        branch.sell(2, note="lost")
    if then.startswith("caught-up"):
        sql(branch.source, "FLUSH BINARY LOGS")
        assert branch.logs()[sealed.position["file"]] == sealed.position["position"]
        assert sql(branch.source, "SELECT @@gtid_binlog_pos").strip() == sealed.position["gtid"]
    if then == "caught-up":
        branch.sell()
    said = branch.gap()
    assert sealed.artifact in said
    require_healed(branch, because=sealed.artifact)


def test_a_roll_back_is_noticed_without_what_the_state_remembers(branch: SealingBranch, tmp_path: Path) -> None:
    test_state = branch.state / "files"
    branch.full()
    branch.sell()
    branch.increment()
    branch.source.stop()
    shutil.copytree(branch.source.datadir, tmp_path / "copy")
    branch.source.start()
    branch.sell(2, note="kept")
    sealed = branch.increment()
    branch.source.kill()
    shutil.rmtree(branch.source.datadir)
    (tmp_path / "copy").rename(branch.source.datadir)
    branch.source.start()
    branch.sell(2, note="lost")
    sql(branch.source, "FLUSH BINARY LOGS")
    shutil.rmtree(test_state)
    assert f"{sealed.position['file']} is another one on the server" in branch.gap()

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot in the moment in which the binary log begins a file: the server tells a position that it does not hold.

The server does so once in thousands of snapshots (tests/engines meets it under load), so its answer is imitated here:
the snapshot is opened first, a sale is committed, the file changes, and the position told is the new file's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _commits, _exact_snapshot
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import connect, identify, rows
from ansible_collections.larapee.backup.plugins.module_utils._mysql._option_file import read_option_file
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import DATABASE, FakeTools, sql
from tests.pitr.sealing import SealingBranch, picture

if TYPE_CHECKING:
    from pathlib import Path


SALE = "INSERT INTO larapos.orders (total, note) VALUES (7, 'not in the snapshot')"
SOLD = f"SELECT COUNT(*) FROM {DATABASE}.orders"


class Late:
    """Opens snapshots, of which the first *times* lack a sale that the log holds before the position they tell."""

    def __init__(self, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
        self.left, self.opened = times, 0
        opening = _exact_snapshot.open_snapshot
        reading = _exact_snapshot.rows
        self._told: list[tuple[str, str]] = []

        def open_snapshot(connection: Any) -> None:
            opening(connection)
            self.opened += 1
            self._told = []
            if self.left:
                self.left -= 1
                sql(server, f"{SALE}; FLUSH BINARY LOGS")
                file, offset = sql(server, "SHOW MASTER STATUS").split("\t")[:2]
                self._told = [("Binlog_snapshot_file", file), ("Binlog_snapshot_position", offset)]

        def told(connection: Any, query: str, *arguments: Any) -> Any:
            return self._told if self._told and "binlog_snapshot" in query else reading(connection, query, *arguments)

        monkeypatch.setattr(_exact_snapshot, "open_snapshot", open_snapshot)
        monkeypatch.setattr(_exact_snapshot, "rows", told)


def reached(branch: SealingBranch) -> str:
    return sql(branch.source, "SELECT @@GLOBAL.gtid_binlog_pos").strip()


def fingerprint(branch: SealingBranch) -> _fingerprint.Fingerprint:
    options = read_option_file(str(branch.operator_file))
    with connect(options) as connection:
        server = identify(connection)
    everything: dict[str, Any] = {"queries": {}, "receipt_query": "", "checksums": True, "limit_bytes": 2**31}
    return _fingerprint.take(options, server, DATABASE, **everything)


@pytest.mark.parametrize("times", [1, 3])
def test_a_fingerprint_is_taken_again(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    branch.sell()
    late = Late(branch.source, monkeypatch, times=times)
    found = fingerprint(branch)
    assert late.opened == times + 1
    assert found.tables["orders"]["rows"] == int(sql(branch.source, SOLD))
    assert found.gtid == reached(branch)


def test_no_fingerprint_rather_than_a_wrong_one(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.sell()
    monkeypatch.setattr(_exact_snapshot, "_TRY_AGAIN_SECONDS", 0)
    Late(branch.source, monkeypatch, times=100)
    with pytest.raises(BackupError, match="which transactions before it a snapshot holds") as caught:
        fingerprint(branch)
    assert caught.value.reason == "no_fingerprint"


def test_a_full_is_taken_again(branch: SealingBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.sell()
    tools = FakeTools(tmp_path / "bin", monkeypatch)
    client = f"/usr/bin/mariadb --no-defaults --socket={branch.source.socket} --user=root --batch --skip-column-names"
    tools.dump_client(
        f"""again={tmp_path}/again dump={tmp_path}/dump
[ -e $again ] && exec $real "$@"
$real "$@" >$dump || exit
{client} -e "{SALE}; FLUSH BINARY LOGS"
read -r file offset rest < <({client} -e 'SHOW MASTER STATUS')
touch $again
sed -E "s/MASTER_LOG_FILE='[^']*', MASTER_LOG_POS=[0-9]+/MASTER_LOG_FILE='$file', MASTER_LOG_POS=$offset/" $dump"""
    )
    outcome = branch.dump(fingerprint=False)
    assert [each for each in outcome.warnings if each.startswith("Attempt ")] == [
        "Attempt 1: the binary log began a file while the dump ran; it was thrown away."
    ]
    assert outcome.manifest is not None
    branch.sell(note="later")
    branch.replay(branch.target, outcome.manifest, [branch.increment()])
    assert picture(branch.target) == picture(branch.source)


def test_without_the_right_to_hold_commits_still_nothing_is_believed(branch: SealingBranch) -> None:
    branch.sell()
    sql(branch.source, "REVOKE RELOAD ON *.* FROM 'larapee-backup'@'localhost'; FLUSH BINARY LOGS")
    with pytest.raises(BackupError, match="the binary log began a file during each of 3 attempts") as caught:
        branch.dump(fingerprint=False)
    assert caught.value.reason == "position_unknown"
    assert branch.files() == set()
    branch.sell()
    assert branch.dump(fingerprint=False).manifest is not None


def test_a_quiet_shop_whose_log_began_a_file_is_dumped_once(branch: SealingBranch) -> None:
    branch.sell()
    sql(branch.source, "FLUSH BINARY LOGS")
    outcome = branch.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.document["fingerprint"] is not None
    assert [each for each in outcome.warnings if "Attempt" in each or "fingerprint" in each] == []


def test_commits_go_on_after_they_were_held_still(branch: SealingBranch) -> None:
    """And whoever cannot hold them still, because another backup does, is told nothing."""
    options = read_option_file(str(branch.operator_file))
    with connect(options) as connection, connect(options) as other:
        state = _commits.settled(connection, *_commits.STAGES)
        assert state == reached(branch)
        branch.sell()
        rows(other, "BACKUP STAGE START")
        assert _commits.settled(connection, *_commits.STAGES) is None
        rows(other, "BACKUP STAGE END")
        branch.sell()
        assert (
            _commits.settled(connection, *_commits.STAGES)
            == sql(branch.source, "SELECT @@GLOBAL.gtid_binlog_pos").strip()
        )


def test_a_statement_that_holds_its_commit_up_is_not_waited_for(
    branch: SealingBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop would wait behind ours: it is given up, and selling goes on."""
    monkeypatch.setattr(_commits, "_WAIT_SECONDS", 1)
    options = read_option_file(str(branch.operator_file))
    sql(branch.source, f"CREATE TABLE {DATABASE}.aria (i INT) ENGINE = Aria")
    root = branch.source.connect(database=DATABASE)
    with contextlib.closing(root), root.cursor() as cursor, connect(options) as connection:
        cursor.execute("LOCK TABLES aria WRITE")
        cursor.execute("INSERT INTO aria VALUES (1)")
        assert _commits.settled(connection, *_commits.STAGES) is None
        branch.sell()
        cursor.execute("UNLOCK TABLES")
        assert _commits.settled(connection, *_commits.STAGES) is not None

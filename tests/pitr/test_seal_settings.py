# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings under which binary logs lack changes or come back as others are refused with what to set; risks are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _binlog_server
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import sql
from tests.pitr.sealing import NEVER_EXPIRES, SealingBranch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Keys


@pytest.fixture
def branch(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=source, target=target, keys=keys, root=tmp_path)


def refusal(branch: SealingBranch) -> str:
    files = branch.files()
    with pytest.raises(BackupError) as caught:
        branch.seal()
    assert caught.value.reason == "binlog_settings"
    assert branch.files() == files
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--skip-log-bin"], "the server writes none. Set log_bin, binlog_format=ROW, sync_binlog=1 and a server_id"),
        (["--binlog-do-db=other"], "binlog_do_db is other, so changes are missing from them. Take binlog_do_db out of"),
        (["--binlog-ignore-db=larapos"], "binlog_ignore_db is larapos, so changes are missing"),
    ],
    ids=["off", "do-db", "ignore-db"],
)
def test_a_server_whose_logs_lack_changes_is_refused(
    target: ThrowawayServer, keys: Keys, tmp_path: Path, arguments: list[str], words: str
) -> None:
    with ThrowawayServer(tmp_path / "server", extra_args=arguments) as server:
        branch = SealingBranch(source=server, target=target, keys=keys, root=tmp_path)
        branch.full()
        assert words in refusal(branch)


@pytest.mark.parametrize("form", ["STATEMENT", "MIXED"])
def test_another_form_than_rows_is_refused(branch: SealingBranch, form: str) -> None:
    branch.full()
    sql(branch.source, f"SET GLOBAL binlog_format = '{form}'")
    try:
        assert f"binlog_format is {form}, so a replay may come to other rows. Set binlog_format=ROW" in refusal(branch)
    finally:
        sql(branch.source, "SET GLOBAL binlog_format = 'ROW'")


def test_a_session_that_logs_statements_is_told(branch: SealingBranch) -> None:
    branch.full()
    sql(branch.source, "SET SESSION binlog_format = 'STATEMENT'; INSERT INTO larapos.emptied VALUES (1)")
    outcome = branch.seal()
    assert outcome.manifest is not None
    (warning,) = [each for each in outcome.warnings if each != NEVER_EXPIRES]
    assert "holds changes as statements, not as rows: some session sets binlog_format" in warning


@pytest.mark.parametrize(
    ("change", "back", "words"),
    [
        ("sync_binlog = 0", "sync_binlog = 1", "sync_binlog is 0, not 1: a power cut loses sales"),
        (
            "innodb_flush_log_at_trx_commit = 2",
            "innodb_flush_log_at_trx_commit = 1",
            "innodb_flush_log_at_trx_commit is 2, not 1: a power cut loses sales",
        ),
        (
            "binlog_expire_logs_seconds = 3600",
            "binlog_expire_logs_seconds = 0",
            "Binary logs expire after 3600 seconds: what no run seals by then is lost.",
        ),
    ],
    ids=["sync_binlog", "flush_log", "expiry"],
)
def test_what_is_risky_is_told(branch: SealingBranch, change: str, back: str, words: str) -> None:
    branch.full()
    branch.sell()
    sql(branch.source, f"SET GLOBAL {change}")
    try:
        outcome = branch.seal()
    finally:
        sql(branch.source, f"SET GLOBAL {back}")
    assert outcome.manifest is not None
    assert any(words in warning for warning in outcome.warnings)
    assert (NEVER_EXPIRES in outcome.warnings) == ("expire" not in change)


def test_good_settings_are_no_warning(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    sql(branch.source, "SET GLOBAL binlog_expire_logs_seconds = 604800")
    try:
        assert branch.seal().warnings == []
    finally:
        sql(branch.source, "SET GLOBAL binlog_expire_logs_seconds = 0")


@pytest.mark.parametrize("lacking", ["REPLICATION SLAVE", "BINLOG MONITOR", "RELOAD"])
def test_a_missing_privilege_is_named(branch: SealingBranch, lacking: str) -> None:
    branch.full()
    branch.sell()
    sql(branch.source, f"REVOKE {lacking} ON *.* FROM 'larapee-binlog'@'localhost'")
    logs = branch.logs()
    with pytest.raises(BackupError, match=rf"the account lacks {lacking} ON \*\.\*\. Grant it") as caught:
        branch.seal()
    assert caught.value.reason == "missing_privilege"
    assert branch.logs() == logs


def test_the_log_reader_may_read_no_table(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    with (
        branch.source.connect(user="larapee-binlog", password="reads logs, not tables") as connection,
        connection.cursor() as cursor,
        pytest.raises(Exception, match="denied"),
    ):
        cursor.execute("SELECT * FROM larapos.orders")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slave_connections_needed_for_purge": "1"}, "without a replica binary logs never expire, so the disk fills"),
        ({"max_binlog_total_size": "1073741824"}, "a busy day removes binary logs before a run seals them"),
        ({"binlog_expire_logs_auto_purge": "OFF"}, "Binary logs never expire"),
    ],
    ids=["purge-gate", "total-size", "auto-purge"],
)
def test_risks_that_this_server_does_not_know(settings: dict[str, str], words: str) -> None:
    (risk,) = _binlog_server.describe_risks({"binlog_expire_logs_seconds": "604800", **settings})
    assert words in risk

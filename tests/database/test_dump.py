# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full of a real server: what is in it, what its manifest says, what it leaves alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo.server import ThrowawayServer, create_operator
from tests.database.estate import DATABASE, OPERATOR_PASSWORD, SCHEMA, sql

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Estate, FakeTools


def plain_text(estate: Estate, name: str) -> str:
    """Open an artifact with stock tools only."""
    identity = estate.keys.directory / "identity-1"
    opened = subprocess.run(["age", "-d", "-i", identity, estate.local / name], check=True, capture_output=True).stdout
    unpack = ["gzip", "-dc"] if ".gz" in name else ["zstd", "-dc"]
    return subprocess.run(unpack, input=opened, check=True, capture_output=True).stdout.decode()


@pytest.mark.parametrize(("compression", "ending"), [("gzip", ".sql.gz.age"), ("zstd", ".sql.zst.age")])
def test_a_full_opens_with_stock_tools_and_matches_its_manifest(estate: Estate, compression: str, ending: str) -> None:
    manifest = estate.dump(compression=compression).manifest
    assert manifest is not None
    assert manifest.artifact.endswith(ending)
    text = plain_text(estate, manifest.artifact)
    assert text.rstrip().splitlines()[-1].startswith("-- Dump completed")
    assert len(text.encode()) == manifest.plain_size
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=estate.local, capture_output=True, text=True)
    fingerprint = f"{manifest.artifact}.fingerprint.zst.age"
    assert checked.stdout == f"{manifest.artifact}: OK\n{fingerprint}: OK\n"
    assert {oct(path.stat().st_mode & 0o777) for path in estate.local.iterdir()} == {"0o600"}
    assert oct(estate.local.stat().st_mode & 0o777) == "0o700"


def test_the_manifest_names_the_exact_position_the_server_stands_at(estate: Estate) -> None:
    file, position = sql(estate.source, "SHOW MASTER STATUS").split("\t")[:2]
    gtid = sql(estate.source, "SELECT @@gtid_binlog_pos").strip()
    manifest = estate.dump().manifest
    assert manifest is not None
    assert manifest.position == {
        "file": file,
        "position": int(position),
        "gtid": gtid,
        "time": manifest.document["created_at"],
    }
    assert manifest.document["objects"] == {
        "tables": 4,
        "views": 1,
        "sequences": 1,
        "triggers": 1,
        "routines": 2,
        "events": 1,
    }
    assert manifest.document["schema_collation"] == "utf8mb4_unicode_ci"
    assert manifest.document["ddl_guard"] == "block_ddl"


def test_the_rows_are_those_of_the_position_while_orders_go_on(estate: Estate) -> None:
    stop = threading.Event()

    def sell() -> None:
        connection = estate.source.connect(database=DATABASE)
        with connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("INSERT INTO orders (total) VALUES (1)")

    seller = threading.Thread(target=sell)
    sql(estate.source, "RESET MASTER")
    seller.start()
    try:
        while int(sql(estate.source, "SELECT COUNT(*) FROM larapos.orders")) < 50:
            time.sleep(0.05)
        manifest = estate.dump(encrypt=False, recipients=()).manifest
    finally:
        stop.set()
        seller.join()
    assert manifest is not None
    position = manifest.position
    events = subprocess.run(
        ["mariadb-binlog", "--no-defaults", "-v", f"--stop-position={position['position']}"]
        + [str(estate.source.datadir / position["file"])],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    text = subprocess.run(["gzip", "-dc", estate.local / manifest.artifact], capture_output=True, text=True).stdout
    sold = len(re.findall(r"^\((?:\d+),1\.00,2\.00", text, re.M))
    assert sold >= 50
    assert events.count("### INSERT INTO `larapos`.`orders`") == sold


def test_the_gzip_maker_is_named_and_falls_back(
    estate: Estate, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = estate.dump().manifest
    assert first is not None
    assert first.document["tool_versions"]["compressor"].startswith("igzip ")
    only(fake_tools, monkeypatch, without={"igzip", "pigz"})
    second = estate.dump().manifest
    assert second is not None
    assert second.document["tool_versions"]["compressor"].startswith("gzip ")


def only(fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch, *, without: set[str]) -> None:
    """Leave the commands of a branch in PATH, but for *without*."""
    from ansible_collections.larapee.backup.plugins.module_utils import _process

    for name in {"age", "gzip", "igzip", "pigz", "zstd", "ssh-keygen", "mariadb-dump", "mariadb"} - without:
        (fake_tools.directory / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setattr(_process, "_STANDARD_DIRECTORIES", ())
    monkeypatch.setenv("PATH", str(fake_tools.directory))


def test_fulls_are_numbered_named_apart_and_never_overwrite(estate: Estate) -> None:
    manifests = [estate.dump(compression=each).manifest for each in ("gzip", "zstd", "gzip")]
    assert [m.sequence for m in manifests if m] == [1, 2, 3]
    assert len({m.artifact.split(".")[0] for m in manifests if m}) == 3
    assert manifests[2] is not None
    assert manifests[1] is not None
    assert manifests[2].document["previous"] == manifests[1].artifact
    assert len({m.epoch for m in manifests if m}) == 1


def test_a_rebuilt_server_starts_a_new_epoch(estate: Estate) -> None:
    first = estate.dump().manifest
    sql(estate.source, "FLUSH BINARY LOGS")
    estate.dump()
    sql(estate.source, "RESET MASTER")
    second = estate.dump().manifest
    assert first is not None
    assert second is not None
    assert second.epoch != first.epoch
    assert second.document["epoch_reason"] == "the binary log went back"


def test_check_mode_checks_everything_and_writes_nothing(estate: Estate) -> None:
    outcome = estate.dump(check_mode=True)
    assert outcome.manifest is None
    assert outcome.plan["objects"]["tables"] == 4
    assert not estate.local.exists()
    assert not estate.state.exists()
    with pytest.raises(BackupError, match="the account lacks SELECT"):
        estate.dump(check_mode=True, database="larapos_")


def test_foreign_option_files_are_not_read(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".my.cnf").write_text("[mysqldump]\nskip-triggers\nskip-comments\n[client]\nuser=nobody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MYSQL_HOME", str(tmp_path))
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.document["objects"]["triggers"] == 1


def test_an_option_file_that_could_change_the_dump_is_refused(estate: Estate) -> None:
    with estate.operator_file.open("a") as handle:
        handle.write("[mysqldump]\nskip-triggers\n")
    with pytest.raises(BackupError, match=r"the group \[mysqldump\] is not allowed"):
        estate.dump()


def test_an_option_file_that_others_can_read_is_refused(estate: Estate) -> None:
    estate.operator_file.chmod(0o640)
    with pytest.raises(BackupError, match="chmod 600"):
        estate.dump()


def test_an_empty_database_is_a_full_like_any_other(estate: Estate) -> None:
    sql(estate.source, "DROP DATABASE larapos; CREATE DATABASE larapos CHARACTER SET latin1 COLLATE latin1_spanish_ci")
    manifest = estate.dump().manifest
    assert manifest is not None
    assert set(manifest.document["objects"].values()) == {0}
    estate.restore()
    shown = sql(estate.target, "SHOW CREATE DATABASE larapos")
    assert "latin1_spanish_ci" in shown


def test_a_server_without_binary_log_is_backed_up_without_coordinates(estate: Estate, tmp_path: Path) -> None:
    with ThrowawayServer(tmp_path / "plain", log_bin=False) as server:
        sql(server, SCHEMA)
        create_operator(server, database=DATABASE, password="pw")
        file = server.write_option_file(tmp_path / "plain.cnf", user="larapee-backup", password="pw")
        manifest = estate.dump(option_file=str(file)).manifest
    assert manifest is not None
    assert set(manifest.position) == {"time"}


def test_ddl_waits_until_the_dump_is_done(estate: Estate, fake_tools: FakeTools, tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    fake_tools.dump_client(f'touch {reached}; while [ ! -e {gate} ]; do sleep 0.05; done; exec $real "$@"')
    altered = threading.Event()

    def migrate() -> None:
        sql(estate.source, "ALTER TABLE larapos.emptied ADD COLUMN later INT")
        altered.set()

    result: list[object] = []
    threads = [threading.Thread(target=lambda: result.append(estate.dump())), threading.Thread(target=migrate)]
    try:
        threads[0].start()
        while not reached.exists():
            time.sleep(0.02)
        threads[1].start()
        assert not altered.wait(0.7)
    finally:
        gate.touch()
        for thread in threads:
            thread.join()
    assert altered.is_set()
    assert len(result) == 1


def test_ddl_that_cannot_be_held_off_is_detected_and_the_full_is_taken_again(
    estate: Estate, fake_tools: FakeTools, tmp_path: Path
) -> None:
    sql(estate.source, "REVOKE RELOAD ON *.* FROM 'larapee-backup'@'localhost'")
    once = tmp_path / "once"
    client = f"mariadb --no-defaults -uroot -S {estate.source.socket}"
    alter = f"{client} -e 'ALTER TABLE larapos.emptied ADD COLUMN later INT'"
    fake_tools.dump_client(f'$real "$@"; status=$?; if [ ! -e {once} ]; then touch {once}; {alter}; fi; exit $status')
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.document["ddl_guard"] == "fingerprint"
    assert "thrown away" in outcome.warnings[0]
    assert "`later`" in plain_text(estate, outcome.manifest.artifact)
    assert len([name for name in estate.files() if name.endswith(".sql.gz.age")]) == 1


def test_ddl_in_every_attempt_fails_and_keeps_nothing(estate: Estate, fake_tools: FakeTools) -> None:
    sql(estate.source, "REVOKE RELOAD ON *.* FROM 'larapee-backup'@'localhost'")
    client = f"mariadb --no-defaults -uroot -S {estate.source.socket}"
    alter_column = f'{client} -e "ALTER TABLE larapos.emptied ADD COLUMN c$RANDOM$RANDOM INT"'
    fake_tools.dump_client(f'$real "$@"; status=$?; {alter_column}; exit $status')
    with pytest.raises(BackupError, match="definitions changed during each of 3 attempts"):
        estate.dump()
    assert estate.files() == set()


def test_a_table_without_transactions_is_refused_when_its_writes_cannot_be_held_off(estate: Estate) -> None:
    sql(estate.source, "CREATE TABLE larapos.old (i INT) ENGINE=MyISAM")
    assert estate.dump().manifest is not None
    sql(estate.source, "REVOKE RELOAD ON *.* FROM 'larapee-backup'@'localhost'")
    with pytest.raises(BackupError, match="old have no transactions"):
        estate.dump()


def test_a_clock_set_back_keeps_the_order_and_is_said(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime as dt

    first = estate.dump().manifest
    assert first is not None
    real = _clock.now
    monkeypatch.setattr(_clock, "now", lambda: real() - dt.timedelta(days=400))
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.sequence == 2
    assert "clock" in outcome.warnings[0]
    chosen = estate.restore(check_mode=True)
    assert chosen.entry.name == outcome.manifest.artifact


def test_a_full_that_one_identity_opens_warns_of_it(estate: Estate) -> None:
    first, second = estate.keys.recipients
    alone = [estate.dump(recipients=(first,)), estate.dump(recipients=(first, first))]
    assert all(any("encrypted to one recipient" in line for line in each.warnings) for each in alone)
    for enough in (estate.dump(recipients=(first, second)), estate.dump(encrypt=False, recipients=())):
        assert not any("recipient" in line for line in enough.warnings)


def test_after_an_older_state_was_put_back_numbers_go_on_and_latest_is_the_latest(
    estate: Estate, tmp_path: Path
) -> None:
    signers = str(estate.keys.allowed_signers)
    for number in range(1, 10):
        outcome = estate.dump(allowed_signers=signers)
        assert outcome.manifest is not None
        assert (outcome.manifest.sequence, outcome.manifest.set_number) == (number, number)
        if number == 3:
            shutil.copytree(estate.state, tmp_path / "day 3")
    shutil.rmtree(estate.state)
    shutil.copytree(tmp_path / "day 3", estate.state)
    sql(estate.source, "INSERT INTO orders (total) VALUES (77.77)", database=DATABASE)
    outcome = estate.dump(allowed_signers=signers)
    assert outcome.manifest is not None
    assert outcome.warnings == []
    assert (outcome.manifest.sequence, outcome.manifest.set_number) == (10, 10)
    assert estate.restore().entry.name == outcome.manifest.artifact
    assert sql(estate.target, "SELECT COUNT(*) FROM orders WHERE total = 77.77", database=DATABASE) == "1\n"
    assert estate.verify().failures == []


def test_a_manifest_holds_no_amounts_and_no_rows(estate: Estate) -> None:
    estate.dump()
    (path,) = estate.local.glob("*.manifest.json")
    text = path.read_text()
    assert json.loads(text)["branch"] == "branch-001"
    for secret in ("12.50", "Hara", "tea", "AGE-SECRET", OPERATOR_PASSWORD):
        assert secret not in text

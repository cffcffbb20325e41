# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a full silently less than the database: limits of the session, grants, history, rounding, signatures."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock
from ansible_collections.larapee.backup.plugins.module_utils._manifest import parse_time
from larapee_runner.demo.server import ThrowawayServer, create_operator
from tests.database.estate import BRANCH, DATABASE, SCHEMA, sql
from tests.database.test_dump import plain_text
from tests.database.test_dump_faults import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.database.estate import Estate, FakeTools

OPERATOR = "'larapee-backup'@'localhost'"


@contextmanager
def set_global(estate: Estate, name: str, value: str, *, back: str = "DEFAULT") -> Iterator[None]:
    sql(estate.source, f"SET GLOBAL {name}={value}")
    try:
        yield
    finally:
        sql(estate.source, f"SET GLOBAL {name}={back}")


@pytest.mark.parametrize(
    ("name", "value", "back", "said"),
    [
        ("sql_select_limit", "1", "DEFAULT", "sql_select_limit is 1 in every session"),
        ("init_connect", "'SET sql_select_limit=1'", "''", "sql_select_limit is 1 in every session"),
        ("system_versioning_asof", "'2020-01-01'", "DEFAULT", "system_versioning_asof is 2020-01-01"),
    ],
)
def test_a_session_that_hides_rows_is_refused(estate: Estate, name: str, value: str, back: str, said: str) -> None:
    with set_global(estate, name, value, back=back):
        refused(estate, said, reason="limited_session")
    assert estate.dump().manifest is not None


@pytest.mark.parametrize("mode", ["ANSI_QUOTES", "ORACLE", "NO_BACKSLASH_ESCAPES"])
def test_the_servers_own_sql_mode_does_not_matter(estate: Estate, mode: str) -> None:
    sql(estate.source, "CREATE DATABASE IF NOT EXISTS `it's`; CREATE TABLE IF NOT EXISTS `it's`.t (i INT)")
    sql(estate.source, f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `it's`.* TO {OPERATOR}")
    with set_global(estate, "sql_mode", f"'{mode}'"):
        assert estate.dump().manifest is not None
        other = estate.dump(database="it's", local_path=str(estate.root / "other")).manifest
    assert other is not None
    assert other.document["objects"]["tables"] == 1
    sql(estate.source, "DROP DATABASE `it's`")


def test_a_more_specific_grant_shadows_the_wider_one(estate: Estate) -> None:
    sql(
        estate.source,
        f"REVOKE TRIGGER ON larapos.* FROM {OPERATOR};"
        f"GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `lara%`.* TO {OPERATOR}",
    )
    refused(estate, "the account lacks TRIGGER", reason="missing_privilege")
    sql(estate.source, f"GRANT TRIGGER ON larapos.* TO {OPERATOR}")
    manifest = estate.dump().manifest
    assert manifest is not None
    assert manifest.document["objects"]["triggers"] == 1


HISTORY = (
    "CREATE TABLE prices (id INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING;"
    "INSERT INTO prices VALUES (1, 10); UPDATE prices SET price = 20; UPDATE prices SET price = 30;"
)
VERSIONS = "SELECT price, row_start, row_end FROM larapos.prices FOR SYSTEM_TIME ALL ORDER BY price"


def test_old_versions_of_rows_come_back(estate: Estate) -> None:
    sql(estate.source, HISTORY, database=DATABASE)
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.warnings == []
    estate.restore()
    versions = sql(estate.source, VERSIONS)
    assert len(versions.splitlines()) == 3
    assert sql(estate.target, VERSIONS) == versions
    # And with the stock client only.
    sql(estate.target, "CREATE OR REPLACE DATABASE larapos")
    sql(estate.target, plain_text(estate, outcome.manifest.artifact), database=DATABASE)
    assert sql(estate.target, VERSIONS) == versions


def test_old_versions_that_cannot_be_dumped_are_said(estate: Estate, fake_tools: FakeTools) -> None:
    sql(estate.source, HISTORY, database=DATABASE)
    by_transaction = (
        "CREATE TABLE precise (x INT, a BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, "
        "z BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (a, z)) WITH SYSTEM VERSIONING;"
        "INSERT INTO precise (x) VALUES (1); UPDATE precise SET x = 2"
    )
    sql(estate.source, by_transaction, database=DATABASE)
    (warning,) = estate.dump().warnings
    assert warning.startswith("precise, prices: old versions of rows are not in the full; precise have transaction-")
    estate.restore()
    assert sql(estate.target, "SELECT x FROM larapos.precise").split() == ["2"]
    sql(estate.source, "DROP TABLE larapos.precise")
    old = 'if [ "$2" = --help ]; then /usr/bin/mariadb-dump "$@" | grep -v dump-history; exit; fi\n'
    fake_tools.script("mariadb-dump", old + 'exec /usr/bin/mariadb-dump "$@"')
    (warning,) = estate.dump().warnings
    assert warning.startswith("prices: old versions of rows are not in the full; install a dump client of MariaDB")


def test_a_versioned_table_without_transactions_needs_its_writes_held_off(estate: Estate) -> None:
    sql(estate.source, "CREATE TABLE larapos.old (i INT) ENGINE=Aria WITH SYSTEM VERSIONING")
    assert estate.dump(local_path=str(estate.root / "other")).manifest is not None
    sql(estate.source, f"REVOKE RELOAD ON *.* FROM {OPERATOR}")
    refused(estate, "old have no transactions", reason="not_transactional")


def test_what_a_dump_gives_back_otherwise_is_said_once(estate: Estate) -> None:
    columns = ", ".join(f"f{number} FLOAT" for number in range(7))
    sql(
        estate.source,
        f"SET time_zone='+05:00'; CREATE TABLE larapos.m ({columns}, price FLOAT(10,2), d DOUBLE, ts TIMESTAMP NULL, "
        "day DATE AS (DATE(ts)) STORED, hour INT AS (HOUR(ts)) VIRTUAL, twice DOUBLE AS (d * 2) STORED);"
        "INSERT INTO larapos.m (f0, price, d, ts) VALUES (16777217, 1234567.88, 0.1, '2026-01-02 00:30:00')",
    )
    rounded, recomputed = estate.dump().warnings
    assert rounded.startswith("m.f0, m.f1, m.f2, m.f3, m.f4 and 2 more: FLOAT columns")
    assert recomputed.startswith("m.day: stored columns generated from a TIMESTAMP")
    estate.restore()
    values = "SET time_zone='+05:00'; SELECT f0 + 0e0, price + 0e0, d, ts, twice, day FROM larapos.m"
    before, after = (sql(server, values).strip().split("\t") for server in (estate.source, estate.target))
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True, True, True, False]


def test_the_client_dumps_the_server_that_was_inspected(estate: Estate) -> None:
    """Left to itself, the client takes the socket beside an empty host, and the driver the host."""
    port = f"{30000 + estate.source.pid % 20000}"
    extra = ("--skip-skip-networking", "--bind-address=127.0.0.1", f"--port={port}")
    with ThrowawayServer(estate.root / "tcp", extra_args=extra) as server:
        sql(server, SCHEMA + "CREATE TABLE only_here (i INT)")
        create_operator(server, database=DATABASE, password="pw", user="larapee-backup")
        sql(server, f"RENAME USER {OPERATOR} TO 'larapee-backup'@'127.0.0.1'")
        sql(estate.source, f"SET PASSWORD FOR {OPERATOR} = PASSWORD('pw')")
        file = estate.root / "tcp.cnf"
        file.touch(0o600)
        file.write_text(
            f"[client]\nuser=larapee-backup\npassword=pw\nhost=\nport={port}\nsocket={estate.source.socket}\n"
        )
        manifest = estate.dump(option_file=str(file)).manifest
    assert manifest is not None
    assert "CREATE TABLE `only_here`" in plain_text(estate, manifest.artifact)


@pytest.mark.parametrize("name", ["100%", "shop%s"])
def test_a_database_may_have_a_percent_in_its_name(estate: Estate, name: str) -> None:
    for server in (estate.source, estate.target):
        sql(server, f"DROP DATABASE IF EXISTS `{name}`")
    sql(estate.source, f"CREATE DATABASE `{name}`; CREATE TABLE `{name}`.t (i INT); INSERT INTO `{name}`.t VALUES (7)")
    sql(estate.source, f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `{name}`.* TO {OPERATOR}")
    sql(estate.target, f"GRANT ALL ON `{name}`.* TO 'larapee-restore'@'localhost'")
    try:
        estate.dump(database=name)
        estate.restore(database=name)
        assert sql(estate.target, f"SELECT i FROM `{name}`.t").split() == ["7"]
    finally:
        for server in (estate.source, estate.target):
            sql(server, f"DROP DATABASE IF EXISTS `{name}`")


def test_a_password_may_have_any_letters(estate: Estate) -> None:
    password = "€ñ日本"
    sql(estate.source, f"SET PASSWORD FOR {OPERATOR} = PASSWORD('{password}')")
    estate.source.write_option_file(estate.operator_file, user="larapee-backup", password=password)
    assert estate.dump().manifest is not None


def test_a_full_whose_signature_nobody_would_accept_is_not_begun(estate: Estate) -> None:
    accepted = str(estate.keys.allowed_signers)
    other = str(estate.keys.directory / "branch-002")
    refused(estate, "is not accepted", reason="signature_not_accepted", allowed_signers=accepted, signing_key=other)
    assert estate.dump(allowed_signers=accepted).manifest is not None


def test_a_full_whose_time_is_outside_the_keys_is_not_published(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was valid when the run began; what counts is the manifest's own time."""
    public = (estate.keys.directory / "branch-001.pub").read_text().strip()
    signers = estate.root / "allowed_signers"
    signers.write_text(f'{BRANCH} namespaces="larapee-backup",valid-before="20261201Z" {public}\n')
    in_time = ["2026-11-30T23:59:59Z"]
    monkeypatch.setattr(_clock, "now", lambda: parse_time(in_time.pop() if in_time else "2026-12-01T00:00:01Z"))
    refused(estate, "is not accepted", reason="signature_not_accepted", allowed_signers=str(signers))
    assert in_time == []


def test_a_damaged_memory_of_numbers_is_said_and_the_full_is_taken(estate: Estate) -> None:
    estate.dump()
    (estate.state / "sequences" / f"{BRANCH}.json").write_text("{")
    assert [(check.artifact, check.status) for check in estate.verify().failures] == [("sequence", "NOT RUN")]
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.sequence == 2
    assert outcome.warnings[0].startswith("Numbers go on from the catalogue: the last number given is unreadable")
    assert estate.verify().failures == []


def test_a_forged_manifest_changes_neither_number_nor_line(estate: Estate) -> None:
    first = estate.dump().manifest
    assert first is not None
    forged = estate.local / "db-20250101-0000.sql.gz.age.manifest.json"
    text = (estate.local / f"{first.artifact}.manifest.json").read_text()
    text = text.replace(first.artifact, "db-20250101-0000.sql.gz.age").replace(first.epoch, first.run_id)
    forged.write_text(text.replace('"sequence": 1', '"sequence": 30000000'))
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.sequence == 2
    assert outcome.manifest.epoch == first.epoch
    assert outcome.manifest.document["previous"] == first.artifact
    assert outcome.warnings == ["Their numbers were never given, so they do not count: db-20250101-0000.sql.gz.age."]


def test_what_others_put_into_the_place_stops_no_full(estate: Estate) -> None:
    estate.dump()
    deep = estate.local / "db-20250101-0000.sql.gz.manifest.json"
    deep.write_bytes(b"[" * 200_000)
    subprocess.run(["mkfifo", estate.local / "db-20250101-0001.sql.gz.manifest.json"], check=True)
    assert estate.dump().manifest is not None
    failed = {check.artifact: check.reason for check in estate.verify().failures}
    assert failed[deep.name] == "unusable manifest: it is not JSON"
    assert failed["db-20250101-0001.sql.gz.manifest.json"] == "unusable manifest: not a regular file"

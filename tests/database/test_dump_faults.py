# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a dump: each must fail with a word on what to do, keep nothing, and leave the next run clean."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._names import companion_name
from tests.database.estate import sql
from tests.database.test_dump import only

if TYPE_CHECKING:
    from tests.database.estate import Estate, FakeTools


def refused(estate: Estate, match: str, *, reason: str, **changes: object) -> BackupError:
    """Take a full that must fail, and prove that it left nothing."""
    with pytest.raises(BackupError, match=match) as caught:
        estate.dump(**changes)
    assert caught.value.reason == reason
    assert str(caught.value).startswith("Failed to ")
    assert estate.files() == set()
    return caught.value


def test_dump_client_killed_half_way(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.dump_client('$real "$@" | head -c 3000; kill -KILL $$')
    refused(estate, "the dump client was ended by signal 9", reason="stage_failed")


def test_the_connection_of_the_dump_client_killed_half_way(estate: Estate, fake_tools: FakeTools) -> None:
    """The real client, the real server: the server ends its connection while it reads."""
    fill = "INSERT INTO orders (slip) SELECT REPEAT('x', 1000000) FROM seq_1_to_60"
    sql(estate.source, fill, database="larapos")
    kill = (
        f"mariadb --no-defaults -uroot -S {estate.source.socket} -BNe \"SELECT CONCAT('KILL ', id, ';') "
        "FROM information_schema.processlist WHERE user = 'larapee-backup' AND info LIKE 'SELECT%SQL_NO_CACHE%'\" | "
        f"mariadb --no-defaults -uroot -S {estate.source.socket}"
    )
    fake_tools.dump_client(
        f'(while :; do {kill}; done) >/dev/null 2>&1 & killer=$!; $real "$@"; status=$?; kill $killer; exit $status'
    )
    refused(estate, "the dump client ended with status [23]", reason="stage_failed")


def test_dump_client_fails_after_writing_everything(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.dump_client('$real "$@"; exit 2')
    refused(estate, "the dump client ended with status 2", reason="stage_failed")


@pytest.mark.parametrize("lines", [1, 3, 40])
def test_dump_client_ends_well_with_a_truncated_dump(estate: Estate, fake_tools: FakeTools, lines: int) -> None:
    fake_tools.dump_client(f'$real "$@" | head -n -{lines}; exit 0')
    refused(estate, "without '-- Dump completed'", reason="truncated")


def test_dump_client_leaves_objects_out_and_ends_well(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.dump_client('$real "$1" --ignore-table=larapos.emptied "${@:2:$#-3}" --skip-triggers -- larapos')
    refused(estate, "3 of 4 tables, 0 of 1 triggers", reason="incomplete")


def test_dump_client_says_something_unknown(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.dump_client('echo "mariadb-dump: Warning: skipped a thing" >&2; exec $real "$@"')
    refused(estate, "skipped a thing", reason="dump_message")


def test_a_broken_view_fails_the_dump_loudly(estate: Estate) -> None:
    sql(
        estate.source,
        "CREATE TABLE larapos.gone (i INT); CREATE VIEW larapos.broken AS SELECT * FROM larapos.gone;"
        "DROP TABLE larapos.gone",
    )
    refused(estate, "broken", reason="stage_failed")


@pytest.mark.parametrize(
    ("privilege", "scope"),
    [
        ("TRIGGER", "larapos.*"),
        ("EVENT", "larapos.*"),
        ("SHOW VIEW", "larapos.*"),
        ("SELECT", "larapos.*"),
        ("SELECT", "mysql.proc"),
    ],
)
def test_missing_privilege_is_refused_before_the_dump(estate: Estate, privilege: str, scope: str) -> None:
    sql(estate.source, f"REVOKE {privilege} ON {scope} FROM 'larapee-backup'@'localhost'")
    error = refused(estate, "the account lacks", reason="missing_privilege")
    assert privilege in str(error)


def test_a_privilege_held_through_a_role_counts(estate: Estate) -> None:
    sql(
        estate.source,
        """REVOKE TRIGGER ON larapos.* FROM 'larapee-backup'@'localhost';
        CREATE OR REPLACE ROLE backup_role; GRANT TRIGGER ON larapos.* TO backup_role;
        GRANT backup_role TO 'larapee-backup'@'localhost';
        SET DEFAULT ROLE backup_role FOR 'larapee-backup'@'localhost'""",
    )
    assert estate.dump().manifest is not None


def test_age_missing(estate: Estate, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    only(fake_tools, monkeypatch, without={"age"})
    refused(estate, "Install the package age", reason="tool_missing")


def test_age_ends_badly(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.script("age", 'if [ "$1" = --version ]; then exec /usr/bin/age --version; fi\n/usr/bin/age "$@"; exit 9')
    refused(estate, "age ended with status 9", reason="stage_failed")


def test_compressor_is_killed(estate: Estate, fake_tools: FakeTools) -> None:
    fake_tools.script("igzip", "head -c 100; kill -KILL $$")
    refused(estate, "igzip was ended by signal 9", reason="stage_failed")


@pytest.mark.parametrize(
    ("recipients", "match", "reason"),
    [
        ((), "no age recipient is configured", "no_recipient"),
        (("age1" + "q" * 58,), "age ended with status 1", "stage_failed"),
        (("not-a-key",), "recipient 1", "bad_recipient"),
        (("AGE-SECRET-KEY-1" + "Q" * 58,), "it is a private key", "private_key"),
    ],
)
def test_bad_recipient(estate: Estate, recipients: tuple[str, ...], match: str, reason: str) -> None:
    error = refused(estate, match, reason=reason, recipients=recipients)
    assert "SECRET-KEY-1Q" not in str(error)


def test_server_stopped(estate: Estate) -> None:
    text = estate.operator_file.read_text().replace("mysqld.sock", "nobody.sock")
    estate.operator_file.write_text(text)
    refused(estate, "Failed to connect to .*nobody.sock as larapee-backup", reason="database_unreachable")


def test_wrong_password(estate: Estate) -> None:
    sql(estate.source, "ALTER USER 'larapee-backup'@'localhost' IDENTIFIED BY 'other'")
    error = refused(estate, "Access denied", reason="database_unreachable")
    assert "back" not in str(error).replace("larapee-backup", "")


def test_no_such_database(estate: Estate) -> None:
    sql(estate.source, "DROP DATABASE larapos")
    refused(estate, "no such database", reason="no_database")


def test_signing_key_missing(estate: Estate) -> None:
    refused(estate, "signing key", reason="missing_file", signing_key=str(estate.root / "nothing"))


def test_branch_that_is_no_code(estate: Estate) -> None:
    refused(estate, "branch's code", reason="bad_branch", branch="../etc")


def test_a_second_dump_at_once_is_told_who_holds_the_lock(estate: Estate, fake_tools: FakeTools) -> None:
    import threading
    import time

    gate, reached = estate.root / "gate", estate.root / "reached"
    fake_tools.dump_client(f'touch {reached}; while [ ! -e {gate} ]; do sleep 0.05; done; exec $real "$@"')
    outcomes: list[object] = []
    first = threading.Thread(target=lambda: outcomes.append(estate.dump(run_id="7a0a8f8e-0000-4000-8000-000000000001")))
    first.start()
    while not reached.exists():
        time.sleep(0.02)
    try:
        with pytest.raises(BackupError, match="7a0a8f8e-0000-4000-8000-000000000001") as caught:
            estate.dump()
    finally:
        gate.touch()
        first.join()
    assert caught.value.reason == "lock_held"
    assert len(outcomes) == 1


def test_what_a_crash_left_is_removed_by_the_next_run_and_foreign_files_stay(estate: Estate) -> None:
    estate.local.mkdir(mode=0o700)
    crashed = "db-20260101-0300.sql.gz.age"
    (estate.local / f".{crashed}.intent").write_bytes(b"rubbish")
    for name in (crashed, f"{crashed}.manifest.json.sig"):
        part = estate.local / f".{name}.part"
        part.write_bytes(b"rubbish")
        (estate.local / name).hardlink_to(part)
    foreign = {"db-20250101-0300.sql.gz", "notes.txt", ".hidden.part"}
    for name in foreign:
        (estate.local / name).write_bytes(b"not ours")
    outcome = estate.dump()
    assert outcome.manifest is not None
    assert crashed in outcome.warnings[0]
    name = outcome.manifest.artifact
    made = {name, companion_name(name), f"{name}.manifest.json", f"{name}.manifest.json.sig", "SHA256SUMS"}
    assert estate.files() == made | foreign


def test_a_dump_after_a_restore_that_did_not_finish_is_refused(estate: Estate) -> None:
    sql(estate.source, "CREATE TABLE larapos.larapee_backup_unfinished_restore (i INT)")
    refused(estate, "a restore into it did not finish", reason="unfinished_restore")


def test_a_killed_dumper_leaves_no_dump_client_behind(estate: Estate, fake_tools: FakeTools) -> None:
    """SIGKILL of the process that dumps, while the client waits: the client must go too."""
    import os
    import signal
    import time

    reached = estate.root / "reached"
    fake_tools.dump_client(f"echo $$ >{reached}; exec sleep 600")
    child = os.fork()
    if child == 0:
        estate.dump()
        os._exit(0)
    while not (reached.exists() and reached.read_text().strip()):
        time.sleep(0.02)
    client = int(reached.read_text())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 5
    while subprocess.run(["kill", "-0", str(client)], capture_output=True).returncode == 0:
        assert time.monotonic() < deadline, "the dump client outlived the killed dumper"
        time.sleep(0.05)
    fake_tools.dump_client('exec $real "$@"')
    outcome = estate.dump()
    assert "Removed what an interrupted run left" in outcome.warnings[0]


def test_a_server_without_tls_is_refused_when_the_option_file_asks_for_it(estate: Estate) -> None:
    with estate.operator_file.open("a") as handle:
        handle.write("ssl\n")
    refused(estate, "SSL is required|asks for TLS", reason="database_unreachable")

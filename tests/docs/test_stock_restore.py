# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/restore-with-stock-tools.md, executed as it stands, with nothing in PATH but the tools that it names."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _epoch
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo.server import create_operator
from tests.database.estate import BRANCH, DATABASE, OPERATOR_PASSWORD, Estate, sql, stock_picture
from tests.docs.forger import forge
from tests.docs.pages import blocks, code, table
from tests.docs.person import MARK, PAGE, Person, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def person(estate: Estate, tmp_path: Path) -> Iterator[Person]:
    someone = Person(estate, directory=tmp_path)
    yield someone
    for setting, value in (("max_allowed_packet", 1 << 30), ("log_bin_trust_function_creators", 1)):
        sql(estate.target, f"SET GLOBAL {setting} = {value}")


@pytest.fixture
def ready(person: Person) -> Person:
    """With a gzip full at hand."""
    manifest = person.estate.dump().manifest
    assert manifest is not None
    person.takes(manifest.artifact)
    return person


@pytest.mark.parametrize(
    ("compression", "encrypt", "tools"),
    [("gzip", True, ("age", "gzip")), ("zstd", True, ("age", "zstd")), ("gzip", False, ("gzip",))],
)
def test_the_page_restores_an_equal_database(
    person: Person, compression: str, encrypt: bool, tools: tuple[str, ...]
) -> None:
    estate = person.estate
    recipients = estate.keys.recipients if encrypt else ()
    before = stock_picture(estate.source)
    manifest = estate.dump(compression=compression, encrypt=encrypt, recipients=recipients).manifest
    assert manifest is not None
    person.takes(manifest.artifact, *tools)
    person.state.mkdir()
    done = person.follows()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "STOP" not in done.stderr
    assert "😀" in before
    assert stock_picture(estate.target) == before
    assert f'"position": {manifest.position["position"]}' in done.stdout.split("Restored up to")[1]
    assert "root@localhost" in done.stdout.split("Restored up to")[1]
    assert _epoch.demanded(str(person.state), branch=BRANCH) == "restored by hand"


def test_without_a_state_directory_nothing_is_written_there(ready: Person) -> None:
    assert ready.follows().returncode == 0
    assert not ready.state.exists()


def test_a_flipped_byte_stops_before_anything_is_loaded(ready: Person) -> None:
    content = bytearray(ready.path.read_bytes())
    content[len(content) // 2] ^= 1
    ready.path.write_bytes(content)
    ready.is_stopped("not the one that was signed")
    assert schemas(ready.estate) == []


def test_an_edited_manifest_stops_before_anything_is_loaded(ready: Person) -> None:
    manifest = ready.place / f"{ready.artifact}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"sequence": ', '"sequence": 1'))
    ready.is_stopped("not signed by branch-001")
    assert schemas(ready.estate) == []


def test_a_missing_signature_stops_before_anything_is_loaded(ready: Person) -> None:
    (ready.place / f"{ready.artifact}.manifest.json.sig").unlink()
    ready.is_stopped(".manifest.json.sig is missing")
    assert schemas(ready.estate) == []


def test_the_signature_of_another_branch_stops_it(ready: Person) -> None:
    manifest = ready.place / f"{ready.artifact}.manifest.json"
    signature = ready.place / f"{ready.artifact}.manifest.json.sig"
    signature.unlink()
    key = ready.estate.keys.directory / "branch-002"
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "larapee-backup", "-f", key, manifest], check=True)
    ready.is_stopped("not signed by branch-001")
    assert schemas(ready.estate) == []


def test_the_signing_key_is_judged_at_the_time_of_the_manifest(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that has been replaced since is good for what it signed in its time, and for nothing else."""
    monkeypatch.setattr(_clock, "now", lambda: datetime(2026, 3, 1, 23, 15, tzinfo=UTC))
    manifest = person.estate.dump().manifest
    assert manifest is not None
    person.takes(manifest.artifact)
    signers = person.allowed_signers.read_text()
    person.allowed_signers = tmp_path / "signers"
    person.allowed_signers.write_text(signers.replace(" namespaces", ' valid-before="20260301231400Z",namespaces'))
    person.is_stopped("key has expired", "not signed by branch-001")
    person.allowed_signers.write_text(signers.replace(" namespaces", ' valid-before="20260301231600Z",namespaces'))
    assert person.follows().returncode == 0


def test_an_older_full_under_the_name_of_a_newer_one_stops_it(ready: Person) -> None:
    newer = "db-20991231-2359.sql.gz.age"
    for suffix in ("", ".manifest.json", ".manifest.json.sig"):
        (ready.place / f"{ready.artifact}{suffix}").rename(ready.place / f"{newer}{suffix}")
    ready.artifact = newer
    ready.is_stopped("this manifest is that of db-")
    assert schemas(ready.estate) == []


def test_the_wrong_identity_stops_before_anything_is_loaded(ready: Person, tmp_path: Path) -> None:
    ready.identity = tmp_path / "stranger"
    subprocess.run(["age-keygen", "-o", ready.identity], check=True, capture_output=True)
    ready.is_stopped("no identity matched any of the recipients", "does not open")
    assert schemas(ready.estate) == []


def test_a_schema_that_exists_is_left_alone(ready: Person) -> None:
    sql(
        ready.estate.target,
        "CREATE DATABASE larapos; CREATE TABLE larapos.live (id INT); INSERT INTO larapos.live VALUES (7)",
    )
    ready.is_stopped("database exists", "could not be created")
    assert sql(ready.estate.target, "SELECT id FROM larapos.live").split() == ["7"]
    assert sql(ready.estate.target, "SHOW TABLES FROM larapos").split() == ["live"]


def test_packets_that_are_too_small_are_told_before(ready: Person) -> None:
    sql(ready.estate.target, "SET GLOBAL max_allowed_packet = 1048576")
    ready.is_stopped("max_allowed_packet must be")
    assert schemas(ready.estate) == []


def test_triggers_that_the_account_may_not_create_are_told_before(ready: Person) -> None:
    sql(ready.estate.target, "SET GLOBAL log_bin_trust_function_creators = 0")
    ready.is_stopped("may not create triggers and functions")
    assert schemas(ready.estate) == []
    sql(ready.estate.target, "GRANT SUPER ON *.* TO 'larapee-restore'@'localhost'")
    assert ready.follows().returncode == 0


@pytest.mark.parametrize("payload", ["\\! touch {made}", "LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t;"])
def test_what_a_stolen_key_signed_runs_no_command_and_reads_no_file(
    person: Person, tmp_path: Path, payload: str
) -> None:
    (tmp_path / "secret").write_text("of this host\n")
    person.takes(forge(person.estate, payload.format(made=tmp_path / "made", secret=tmp_path / "secret")))
    person.is_stopped("the load broke off")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("this artifact belongs to branch-002", {"branch": "branch-002"}),
        ("what comes out is not what was backed up", {"plain_sha256": "0" * 64}),
        ("it is cut short", {"end": "-- no mark\n"}),
    ],
)
def test_what_the_branch_itself_signed_wrongly_stops_before_anything_is_loaded(
    person: Person, words: str, changes: dict[str, str]
) -> None:
    person.takes(forge(person.estate, "INSERT INTO t VALUES (1);", **changes))
    person.is_stopped(words)
    assert schemas(person.estate) == []


def test_a_decompressor_that_dies_while_it_loads_is_noticed(ready: Person) -> None:
    real = os.readlink(ready.tools / "gzip")
    count = ready.state.with_name("calls")
    (ready.tools / "gzip").unlink()
    whole = f'[ "$(/bin/wc -l <{count})" -lt 3 ] && exec {real} "$@"'
    ready.script("gzip", f'echo >>{count}\n{whole}\n{real} "$@" | /usr/bin/head -n 40\nexit 1')
    ready.is_stopped("the load broke off (decrypt, decompress, mariadb ended with 0 1 0)")


def test_a_load_that_breaks_off_leaves_a_mark_that_no_backup_passes(ready: Person) -> None:
    estate = ready.estate
    sql(estate.target, "REVOKE SET USER ON *.* FROM 'larapee-restore'@'localhost'")
    ready.is_stopped("ERROR 1227", "the load broke off (decrypt, decompress, mariadb ended with")
    assert MARK in sql(estate.target, "SHOW TABLES FROM larapos").split()
    create_operator(estate.target, database=DATABASE, password=OPERATOR_PASSWORD)
    file = estate.target.write_option_file(estate.root / "other.cnf", user="larapee-backup", password=OPERATOR_PASSWORD)
    with pytest.raises(BackupError, match=MARK):
        estate.dump(option_file=str(file))


def test_what_a_client_left_out_without_a_word_is_found(ready: Person) -> None:
    real = os.readlink(ready.tools / "mariadb")
    (ready.tools / "mariadb").unlink()
    loses_a_table = f'{real} "$@" && exec {real} "$1" -e "DROP TABLE larapos.emptied"'
    ready.script("mariadb", f'case "$*" in *--sandbox*) {loses_a_table} ;; *) exec {real} "$@" ;; esac')
    ready.is_stopped("the schema holds tables 3", "but the full holds tables 4")
    assert MARK in sql(ready.estate.target, "SHOW TABLES FROM larapos").split()


def test_every_stop_has_its_advice() -> None:
    commands = "".join(block.text for block in blocks(PAGE, "bash"))
    stops = re.findall(r'stop "([^"]+)"', commands)
    advice = [text for row in table(PAGE, "| it says |") for text in code(row[0])]
    assert len(stops) == commands.count("|| stop ")
    assert [stop for stop in stops if not any(text in stop for text in advice)] == []
